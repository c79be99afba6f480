// Every page, held against axe in both themes, and taken a picture of at three widths.

import { mkdir } from 'node:fs/promises';
import path from 'node:path';

import axe from 'axe-core';

import { Person } from './browser.js';

const RULES = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];
export const THEMES = ['light', 'dark'];
/** A phone, a laptop, a screen on the wall. */
export const WIDTHS = { phone: [390, 844], laptop: [1280, 860], wall: [2560, 1440] };

/** The pages of a network that has one of each thing, by name. */
export async function pages(server) {
  const { sessions } = await server.api('GET', 'sessions?limit=200');
  // The longest one that has a curve.
  const session = sessions.find((it) => it.ended_at) ?? sessions[0];
  const { entries } = await server.api('GET', 'journal/entries');
  const { stations } = await server.api('GET', 'stations?status=occupied');
  const busy = sessions.find((it) => it.state === 'active')?.station_id;
  const station = busy ?? stations[0]?.id ?? (await server.api('GET', 'stations')).stations[0].id;
  return {
    overview: '/console',
    station: `/console/stations/${station}`,
    history: `/console/stations/${station}/history`,
    question: `/console/stations/${station}/availability?to=inoperative`,
    sessions: '/console/sessions',
    ...(session ? { session: `/console/sessions/${session.id}` } : {}),
    'id-tags': '/console/id-tags',
    journal: '/console/journal',
    entry: `/console/journal/${entries[0].id}`,
    tokens: '/console/tokens',
    drills: '/console/drills',
    about: '/console/about',
    fault: '/console/nowhere',
  };
}

async function withTheme(world, theme, options) {
  const person = await Person.open(world.browser, world.server.url, options);
  const cookie = { name: 'enchufe_theme', value: theme, domain: '127.0.0.1', path: '/console' };
  await person.context.addCookies([cookie]);
  return person;
}

/** What axe finds on a page, in words. */
async function findings(page) {
  await page.evaluate(axe.source);
  const { violations } = await page.evaluate(
    (values) => window.axe.run(document, { runOnly: { type: 'tag', values } }),
    RULES,
  );
  return violations.flatMap(({ id, nodes }) =>
    nodes.slice(0, 3).map((node) => `${id}: ${node.target} ${node.failureSummary?.split('\n')[1] ?? ''}`));
}

/** Holds every page against axe; `told` hears of each. */
export async function checkAccess(world, told) {
  for (const theme of THEMES) {
    const person = await withTheme(world, theme);
    const { page } = person;
    await page.goto('/console/sign-in');
    await told(`axe finds nothing on sign-in, ${theme}`, await findings(page));
    await person.signIn(world.tokens.admin);
    for (const [name, address] of Object.entries(await pages(world.server))) {
      await page.goto(address);
      await told(`axe finds nothing on ${name}, ${theme}`, await findings(page));
    }
    await page.goto((await pages(world.server)).station);
    await page.getByRole('link', { name: /Take the station out/ }).click();
    await page.getByRole('dialog').waitFor();
    await told(`axe finds nothing on a dialog, ${theme}`, await findings(page));
    await page.keyboard.press('Escape');
    await page.locator('#journal').getByRole('button').click();
    await page.waitForURL(/story/);
    await told(`axe finds nothing on a story, ${theme}`, await findings(page));
    await person.close();
  }
}

/** Takes a picture of every page at every width in both themes. */
export async function takePictures(world, directory, only) {
  await mkdir(directory, { recursive: true });
  for (const theme of THEMES) {
    for (const [width, [w, h]] of Object.entries(WIDTHS)) {
      const person = await withTheme(world, theme, { viewport: { width: w, height: h } });
      const { page } = person;
      const shoot = (name) =>
        page.screenshot({ path: path.join(directory, `${name}-${width}-${theme}.png`), fullPage: width !== 'wall' });
      await page.goto('/console/sign-in');
      await shoot('sign-in');
      await person.signIn(world.tokens.admin);
      for (const [name, address] of Object.entries(await pages(world.server))) {
        if (only && !only.includes(name)) continue;
        await page.goto(address);
        await page.locator('#live.on').waitFor();
        await shoot(name);
      }
      await person.close();
    }
  }
}
