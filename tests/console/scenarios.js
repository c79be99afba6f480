// What people do at the console, each thing as a story. A story ends well or throws.

import assert from 'node:assert/strict';

import { Charger } from './charger.js';
import { Person } from './browser.js';
import { Line, until } from './server.js';

/** What a page says. */
const text = (page) => page.locator('main').innerText();

/** Leaves a mark that a reload would wipe out. */
const mark = (page) => page.evaluate(() => { window.notReloaded = true; });
const kept = (page) => page.evaluate(() => window.notReloaded === true);

async function visitor(world, role = 'admin', options) {
  const person = await Person.open(world.browser, world.server.url, options);
  await person.signIn(world.tokens[role]);
  return person;
}

export const scenarios = {
  async 'the printed link opens the console, once'(world) {
    const { link } = world.server.printed();
    assert.ok(link, `no link was printed: ${world.server.said}`);
    const person = await Person.open(world.browser, world.server.url);
    await person.page.goto(link);
    await person.page.waitForURL(/\/console$/);
    assert.ok(await person.page.getByRole('link', { name: 'Tokens' }).isVisible());
    const late = await Person.open(world.browser, world.server.url);
    await late.page.goto(link);
    assert.match(await text(late.page), /This link has been used/);
    return [person, late];
  },

  async 'a browser that opens / signs in with a token and lands on the overview'(world) {
    const person = await Person.open(world.browser, world.server.url);
    await person.page.goto('/');
    await person.page.waitForURL(/sign-in/);
    await person.page.getByLabel('Access token').fill('not-a-token-at-all');
    await person.page.keyboard.press('Enter');
    await person.page.getByRole('alert').filter({ hasText: 'not known' }).waitFor();
    await person.page.getByLabel('Access token').fill(world.tokens.operator);
    await person.page.keyboard.press('Enter');
    await person.page.waitForURL(/\/console$/);
    assert.match(await text(person.page), /Needs a person/);
    assert.equal(await person.page.getByRole('link', { name: 'Tokens' }).count(), 0);
    await person.page.getByRole('button', { name: 'Sign out' }).click();
    await person.page.waitForURL(/sign-in/);
    return [person];
  },

  async 'a connector turns occupied and faulted before one’s eyes'(world) {
    await world.enter('LIVE-1', 'Live at the station');
    const charger = await Charger.connect(world.server, 'LIVE-1');
    await charger.status('Available');
    const [street, room] = [await visitor(world, 'viewer'), await visitor(world, 'viewer')];
    await street.page.goto('/console/stations/LIVE-1');
    await room.page.goto('/console?q=LIVE-1');
    await Promise.all([mark(street.page), mark(room.page)]);
    const socket = street.page.locator('#street .socket').first();
    const row = room.page.locator('tr[data-station="LIVE-1"]');
    await row.locator('.s-available').waitFor();
    const title = await room.page.title();

    await charger.status('Charging');
    await socket.locator('.state', { hasText: 'Charging' }).waitFor();
    await socket.locator('.state', { hasText: 'Occupied' }).waitFor();
    await row.locator('.s-occupied').waitFor();

    await charger.status('Faulted', { errorCode: 'GroundFailure', info: 'leak at L2' });
    await socket.locator('.state.s-faulted').first().waitFor();
    await row.locator('.s-faulted', { hasText: 'Faulted' }).waitFor();
    await until('the reason is told', async () => /GroundFailure.*leak at L2/s.test(await text(street.page)));
    // The tab tells of it, and the list of what needs a person.
    await until('the title tells of trouble', async () => (await room.page.title()) !== title);
    await room.page.locator('#urgent', { hasText: 'Live at the station' }).waitFor();
    await charger.status('Available');
    await row.locator('.s-available').waitFor();
    assert.ok((await kept(street.page)) && (await kept(room.page)), 'a page was reloaded');
    await charger.close();
    await row.locator('.s-offline').waitFor();
    return [street, room];
  },

  async 'what changes around the reader leaves him where he is'(world) {
    const [id, other] = ['STAY-1', 'STAY-2'];
    // Where nothing else moves: the demo's chargers would drive it out of the feed, which has a dozen places.
    const still = await world.quiet();
    await still.enter(id, 'One stays');
    await still.enter(other, 'Another moves');
    const set = (station, status) => still.server.api('PUT', `stations/${station}/status`, { status });
    const person = await visitor(still, 'operator');
    const { page } = person;
    await page.goto('/console?sort=since');
    const focused = () => page.evaluate(() => document.activeElement.getAttribute('href'));
    const first = (region) => page.locator(`#${region} tbody tr, #${region} ol li`).first().innerText();
    for (const region of ['list', 'urgent', 'feed']) {
      await set(other, 'available');
      await set(id, 'available');
      await set(id, 'faulted');
      await until('it comes first', async () => /^Faulted.*STAY-1/s.test(await first('list')));
      const link = await page.waitForSelector(`#${region} a[href$="${id}"]`);
      await link.focus();
      const before = await first('feed');
      await set(other, 'faulted');
      await until(`${region} has changed`, async () => (await first('list')).includes(other) && (await first('feed')) !== before);
      assert.equal(await focused(), `/console/stations/${id}`, `the focus in ${region}`);
    }
    // What has left the feed, which has a dozen places, leaves the focus to what stands where it stood.
    for (let turn = 0; turn < 14; turn += 1) await set(other, turn % 2 ? 'faulted' : 'available');
    await page.locator(`#feed a[href$="${id}"]`).first().waitFor({ state: 'detached' });
    assert.ok(await page.evaluate(() => document.activeElement.matches('#feed a')), 'the focus is lost');

    await still.enter('STAY-3', 'Answers');
    const charger = await Charger.connect(still.server, 'STAY-3');
    const order = (command, parameters) => still.server.api('POST', 'stations/STAY-3/commands?wait=10', { command, parameters });
    await order('get_configuration', {});
    await page.goto('/console/stations/STAY-3');
    await page.locator('#given summary').click();
    await order('trigger_message', { message: 'heartbeat' });
    await page.locator('#given li').nth(1).waitFor();
    assert.match(await page.locator('#given details[open]').innerText(), /HeartbeatInterval/);
    await charger.close();
    return [person];
  },

  async 'a command is confirmed in a dialog, given, and its outcome seen'(world) {
    await world.enter('CMD-1', 'Command me');
    const charger = await Charger.connect(world.server, 'CMD-1');
    await charger.status('Available');
    const person = await visitor(world, 'operator');
    const { page } = person;
    await page.goto('/console/stations/CMD-1');
    await page.getByRole('button', { name: 'Restart' }).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByText('The charger ends what runs').waitFor();
    // Escape takes it back, and nothing was given.
    await page.keyboard.press('Escape');
    await dialog.waitFor({ state: 'detached' });
    assert.match(await page.locator('#given').innerText(), /None given yet/);

    await page.getByRole('button', { name: 'Restart' }).click();
    await dialog.getByRole('button', { name: 'Restart' }).click();
    await page.waitForURL(/command=/);
    await page.locator('#outcome', { hasText: 'Accepted' }).waitFor();
    // One that needs no question.
    await page.getByRole('button', { name: 'Ask', exact: true }).click();
    await page.locator('#outcome', { hasText: 'Ask for a message' }).waitFor();
    await page.locator('#given .o-accepted').nth(1).waitFor();
    await charger.close();
    await page.getByText('The charger is not connected').waitFor();
    return [person];
  },

  async 'a secret is confirmed in a dialog and is in no address'(world) {
    await world.enter('KEY-1', 'Keep it');
    const charger = await Charger.connect(world.server, 'KEY-1');
    await charger.status('Available');
    const person = await visitor(world, 'operator');
    const { page } = person;
    const addresses = [];
    page.on('request', (request) => addresses.push(request.url()));
    await page.goto('/console/stations/KEY-1');
    await page.getByText('More commands').click();
    await page.getByLabel('Key', { exact: true }).fill('AuthorizationKey');
    await page.getByLabel('Value', { exact: true }).fill('hunter2hunter2');
    const dialog = page.getByRole('dialog');
    // Taken back, it can be asked again.
    for (const button of ['Cancel', 'Set configuration']) {
      await page.getByRole('button', { name: 'Set', exact: true }).click();
      await dialog.getByText('AuthorizationKey = •••').waitFor();
      await dialog.getByText(button, { exact: true }).click();
      await dialog.waitFor({ state: 'detached' });
    }
    await page.waitForURL(/command=/);
    await page.locator('#outcome', { hasText: 'AuthorizationKey = •••' }).waitFor();
    assert.ok(!(await page.content()).includes('hunter2'));
    assert.deepEqual(addresses.filter((address) => address.includes('hunter2')), []);
    await charger.close();
    return [person];
  },

  async 'a session runs with its curve, and is stopped'(world) {
    await world.enter('RUN-1', 'Running');
    await world.server.api('PUT', 'id-tags/RUN-TAG', { status: 'accepted' });
    const charger = await Charger.connect(world.server, 'RUN-1');
    await charger.status('Charging');
    await charger.start('RUN-TAG', 1_000);
    const begin = Date.now();
    for (let step = 1; step <= 5; step += 1) {
      await charger.meter(1_000 + step * 900, 11_000 - step * 400, new Date(begin + step * 60_000));
    }
    const person = await visitor(world, 'operator');
    const { page } = person;
    await page.goto('/console/stations/RUN-1');
    await page.locator('#running path.area').waitFor();
    assert.match(await page.locator('#running').innerText(), /4\.5.kWh/);
    await page.locator('#running').getByText('In numbers').click();
    assert.equal(await page.locator('#running tbody tr').count(), 6);
    await charger.stop(6_000);
    await page.locator('#running', { hasText: 'Nobody charges here now' }).waitFor();
    await page.goto('/console/sessions?station=RUN-1');
    assert.match(await text(page), /5\.0.kWh/);
    await charger.close();
    return [person];
  },

  async 'an entry is written, analysed, changed and removed'(world) {
    const person = await visitor(world, 'operator');
    const { page } = person;
    await page.goto('/console/journal');
    await page.getByLabel('What was worked on').fill('Replaced the contactor');
    await page.getByLabel('What was hard').fill('The part was late, but it fitted perfectly');
    await page.getByLabel('What comes next').fill('Check the temperature on Monday');
    await page.getByRole('button', { name: 'Write it down' }).click();
    await page.waitForURL(/journal\/[0-9a-f-]+$/);
    await page.getByRole('button', { name: 'Analyse' }).click();
    await page.locator('#analysis .state').waitFor();
    const analysis = await page.locator('#analysis').innerText();
    assert.match(analysis, /It went well/);
    assert.match(analysis, /Read by: embedded/);
    await page.getByText('Edit', { exact: true }).click();
    await page.getByLabel('What was hard').fill('Nothing');
    await page.getByRole('button', { name: 'Save' }).click();
    await page.locator('dd', { hasText: 'Nothing' }).waitFor();
    await page.getByText('Edit', { exact: true }).click();
    await page.getByRole('link', { name: 'Remove' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Remove' }).click();
    await page.waitForURL(/\/console\/journal$/);
    return [person];
  },

  async 'a station’s story is told, and its citations lead to the events'(world) {
    await world.enter('STORY-1', 'A story');
    const charger = await Charger.connect(world.server, 'STORY-1');
    for (let round = 0; round < 3; round += 1) {
      await charger.status('Faulted', { errorCode: 'GroundFailure' });
      await charger.status('Available');
    }
    await charger.close();
    const person = await visitor(world, 'operator');
    const { page } = person;
    await page.goto('/console/stations/STORY-1');
    await page.getByRole('button', { name: 'Tell the story' }).click();
    await page.getByRole('heading', { name: 'Likely cause' }).waitFor();
    const cite = page.locator('.cites a[href*="history"]').first();
    const words = await cite.innerText();
    await cite.click();
    await page.waitForURL(/history\?before=\d+#e\d+/);
    assert.equal(await page.locator('li:target > span').innerText(), words);
    return [person];
  },

  async 'a drill is started, watched and aborted'(world) {
    const person = await visitor(world, 'operator');
    const { page } = person;
    await page.goto('/console/drills');
    await page.getByLabel('Processor').fill('5');
    await page.getByLabel('Duration').fill('120');
    await page.getByRole('button', { name: 'Start', exact: true }).click();
    await page.locator('#running', { hasText: 'Processor used' }).waitFor();
    await page.getByRole('link', { name: 'End it now' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'End it now' }).click();
    await page.locator('#running', { hasText: 'No drill runs' }).waitFor();
    await page.locator('#before', { hasText: 'Ended early' }).waitFor();
    return [person];
  },

  async 'a lost connection is shown, and resumed without a gap'(world) {
    await world.enter('GAP-1', 'Gap');
    await world.server.api('PUT', 'stations/GAP-1/status', { status: 'available' });
    const line = await Line.to(world.server.url);
    const person = await Person.open(world.browser, line.url);
    await person.signIn(world.tokens.viewer);
    const { page } = person;
    await page.goto('/console?q=GAP-1');
    const row = page.locator('tr[data-station="GAP-1"]');
    await row.locator('.s-available').waitFor();
    await page.locator('#live.on').waitFor();
    await mark(page);

    line.cut();
    await page.locator('#lost').waitFor();
    assert.match(await page.locator('#lost').innerText(), /The connection is lost/);
    for (const status of ['faulted', 'available', 'occupied']) {
      await world.server.api('PUT', 'stations/GAP-1/status', { status });
    }
    await page.waitForTimeout(1_000);
    assert.equal(await row.locator('.s-available').count(), 1);
    await line.mend();
    await row.locator('.s-occupied').waitFor();
    await page.locator('#lost').waitFor({ state: 'detached' });
    await page.locator('#feed', { hasText: 'Gap' }).waitFor();
    assert.ok(await kept(page), 'the page was reloaded');
    await person.close();
    line.cut();
    return [];
  },

  async 'the language is the browser’s, and is switched'(world) {
    const person = await visitor(world, 'admin', { locale: 'es-ES' });
    const { page } = person;
    assert.match(await text(page), /Requiere atención/);
    assert.equal(await page.locator('html').getAttribute('lang'), 'es');
    await page.getByRole('button', { name: 'English' }).click();
    await page.locator('html[lang=en]').waitFor();
    assert.match(await text(page), /Needs a person/);
    await page.goto('/console/about');
    assert.match(await text(page), /Database/);
    await page.getByRole('button', { name: 'Dark' }).click();
    await page.locator('html[data-theme=dark]').waitFor();
    assert.match(page.url(), /about$/);
    return [person];
  },

  async 'a viewer is offered no command, and refused one'(world) {
    await world.enter('VIEW-1', 'Look only');
    const charger = await Charger.connect(world.server, 'VIEW-1');
    const person = await visitor(world, 'viewer');
    const { page } = person;
    await page.goto('/console/stations/VIEW-1');
    assert.match(await text(page), /Giving commands needs the role operator/);
    assert.equal(await page.getByRole('button', { name: 'Restart' }).count(), 0);
    // By hand, from the very page, with all that it has.
    const status = await page.evaluate(async () => {
      const csrf = document.querySelector('input[name=csrf]').value;
      const body = new URLSearchParams({ csrf, command: 'reset', type: 'hard' });
      const answer = await fetch('/console/stations/VIEW-1/commands', { method: 'POST', body });
      return answer.status;
    });
    assert.equal(status, 403);
    const commands = await world.server.api('GET', 'stations/VIEW-1/commands');
    assert.deepEqual(commands.commands, []);
    await charger.close();
    return [person];
  },

  async 'hostile names are shown and do nothing'(world) {
    const hostile = '"><img src=x onerror=alert(1)><script>alert(2)</script>';
    await world.enter('EVIL-1', hostile);
    const charger = await Charger.connect(world.server, 'EVIL-1');
    await charger.status('Faulted', { errorCode: 'OtherError', info: '<b onmouseover=alert(3)>x</b>' });
    const person = await visitor(world, 'operator');
    const { page } = person;
    await page.goto('/console?q=EVIL-1');
    await page.locator('tr[data-station="EVIL-1"]', { hasText: hostile }).waitFor();
    // As an update too.
    await charger.status('Available');
    await page.locator('tr[data-station="EVIL-1"] .s-available').waitFor();
    await page.locator('#feed', { hasText: '<img src=x' }).waitFor();
    await page.goto('/console/stations/EVIL-1');
    assert.equal(await page.locator('h1').innerText(), hostile);
    assert.match(await text(page), /<b onmouseover=alert\(3\)>x<\/b>/);
    assert.equal(await page.locator('main img, main b[onmouseover]').count(), 0);
    await page.getByRole('link', { name: 'Take the station out of use' }).click();
    await page.getByRole('dialog').getByText('<img src=x').waitFor();
    await charger.close();
    await world.server.api('DELETE', 'stations/EVIL-1');
    return [person];
  },

  async 'without script it is read and done all the same'(world) {
    await world.enter('BARE-1', 'Without script');
    const charger = await Charger.connect(world.server, 'BARE-1');
    const person = await visitor(world, 'operator', { javaScriptEnabled: false });
    const { page } = person;
    await page.goto('/console?q=BARE-1');
    await page.getByRole('link', { name: 'Without script' }).first().click();
    await page.getByRole('button', { name: 'Restart' }).click();
    await page.getByText('The charger ends what runs').waitFor();
    await page.getByRole('button', { name: 'Restart' }).click();
    await page.locator('#outcome', { hasText: 'Accepted' }).waitFor();
    assert.match(await page.locator('#head').innerText(), /UTC/);
    await charger.close();
    return [person];
  },

  async 'the keyboard alone suffices'(world) {
    const person = await visitor(world, 'operator');
    const { page } = person;
    await page.goto('/console');
    await page.keyboard.press('Tab');
    assert.equal(await page.evaluate(() => document.activeElement.className), 'skip');
    await page.keyboard.press('Enter');
    assert.equal(await page.evaluate(() => document.activeElement.id), 'main');
    await page.keyboard.press('/');
    await page.keyboard.type('DEMO');
    assert.equal(await page.evaluate(() => document.activeElement.name), 'q');
    await page.keyboard.press('Enter');
    await page.waitForURL(/q=DEMO/);
    // Going through the choices goes nowhere; the button does.
    const choice = page.locator('select[name=status]');
    await choice.focus();
    await page.keyboard.press('ArrowDown');
    await page.waitForTimeout(500);
    assert.notEqual(await choice.inputValue(), '');
    assert.doesNotMatch(page.url(), /status=\w/);
    await page.getByRole('button', { name: 'Show', exact: true }).focus();
    await page.keyboard.press('Enter');
    await page.waitForURL(/status=\w/);
    await page.locator('select[name=sort]').focus();
    // Whatever has the focus shows it.
    await page.keyboard.press('Tab');
    await page.keyboard.press('Tab');
    const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineWidth);
    assert.equal(outline, '3px');
    return [person];
  },

  async 'times are the reader’s, with the exact one on hover'(world) {
    const person = await visitor(world, 'viewer', { timezoneId: 'Asia/Tokyo' });
    const { page } = person;
    await page.goto('/console');
    const time = page.locator('.foot time');
    const at = new Date(await time.getAttribute('datetime'));
    const tokyo = at.toLocaleTimeString('en-GB', { timeZone: 'Asia/Tokyo' });
    assert.equal(await time.innerText(), tokyo);
    assert.match(await time.getAttribute('title'), /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
    return [person];
  },

  async 'a revoked token is out at once'(world) {
    const made = await world.server.api('POST', 'tokens', { name: 'Leaver', role: 'viewer' });
    const person = await Person.open(world.browser, world.server.url);
    await person.signIn(made.token);
    await person.page.locator('#live.on').waitFor();
    await world.server.api('DELETE', `tokens/${made.id}`);
    await person.page.waitForURL(/sign-in/);
    return [person];
  },
};
