// How the console bears 5,000 stations and 200 state changes a second: figures for
// docs/performance.md, as lines of a Markdown table.

import { Person } from './browser.js';
import { Server, until } from './server.js';

const STATIONS = 5_000;
const CHANGES_A_SECOND = 200;
const SECONDS = 30;
const STATES = ['available', 'occupied', 'faulted', 'available', 'reserved', 'occupied'];

/** Does something for each, so many at a time. */
async function forEach(items, width, work) {
  const queue = items.values();
  await Promise.all(Array.from({ length: width }, async () => {
    for (const item of queue) await work(item);
  }));
}

function spread(number, steps) {
  return ((number * steps) % STATIONS) / STATIONS;
}

async function enter(server) {
  const numbers = Array.from({ length: STATIONS }, (_, number) => number);
  await forEach(numbers, 64, (number) => server.api('POST', 'stations', {
    id: `CP-${number}`,
    name: `Aparcamiento ${number}`,
    location: {
      latitude: 38.5 + 2 * spread(number, 37),
      longitude: -1.5 + 2.5 * spread(number, 101),
      address: `Calle de la Paz ${number}, Valencia`,
    },
  }));
}

/** Changes states at a steady rate, and gives how many were acknowledged. */
async function change(server, seconds) {
  let changed = 0;
  const under = new Set();
  const begin = performance.now();
  for (let number = 0; number < seconds * CHANGES_A_SECOND; number += 1) {
    const due = begin + (number * 1000) / CHANGES_A_SECOND;
    const early = due - performance.now();
    if (early > 1) await new Promise((done) => { setTimeout(done, early); });
    const status = STATES[(number + Math.floor(number / STATIONS)) % STATES.length];
    const request = server
      .api('PUT', `stations/CP-${(number * 7) % STATIONS}/status`, { status })
      .then(() => { changed += 1; })
      .finally(() => under.delete(request));
    under.add(request);
    if (under.size > 100) await Promise.race(under);
  }
  await Promise.all(under);
  return { changed, took: (performance.now() - begin) / 1000 };
}

const quantile = (numbers, part) =>
  [...numbers].sort((a, b) => a - b)[Math.min(numbers.length - 1, Math.floor(numbers.length * part))] ?? 0;

/** Watches the page's main thread: what held it up, and how long a key waits to be seen. */
function watch() {
  window.seen = { long: [], keys: [], frames: [] };
  new PerformanceObserver((list) => {
    list.getEntries().forEach((it) => window.seen.long.push(it.duration));
  }).observe({ type: 'longtask' });
  new PerformanceObserver((list) => {
    const keys = list.getEntries().filter((it) => it.name === 'keydown');
    keys.forEach((it) => window.seen.keys.push({ wait: it.processingStart - it.startTime, all: it.duration }));
  }).observe({ type: 'event', durationThreshold: 16 });
  let last = performance.now();
  const frame = (now) => {
    window.seen.frames.push(now - last);
    last = now;
    requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
}

const row = (...cells) => console.log(`| ${cells.join(' | ')} |`);
const ms = (number) => `${number.toFixed(number < 10 ? 1 : 0)} ms`;
const kb = (bytes) => `${(bytes / 1000).toFixed(1)} KB`;

export async function measure(browser, binary) {
  const server = await Server.start(binary, {});
  try {
    server.token = await until('the token is printed', () => server.printed().token);
    await enter(server);
    const person = await Person.open(browser, server.url);
    const { page } = person;
    await person.signIn(server.token);
    await page.locator('#live.on').waitFor();

    // As it comes, with an empty cache.
    const cdp = await person.context.newCDPSession(page);
    await cdp.send('Network.enable');
    await cdp.send('Network.setCacheDisabled', { cacheDisabled: true });
    let bytes = 0;
    cdp.on('Network.dataReceived', (it) => { bytes += it.dataLength; });
    const loads = [];
    for (let round = 0; round < 10; round += 1) {
      bytes = 0;
      await page.goto('/console', { waitUntil: 'load' });
      loads.push(await page.evaluate(() => {
        const [it] = performance.getEntriesByType('navigation');
        const paint = performance.getEntriesByName('first-contentful-paint')[0];
        return { first: it.responseStart, ready: it.domContentLoadedEventEnd, paint: paint?.startTime ?? 0 };
      }));
      loads.at(-1).bytes = bytes;
    }
    const median = (field) => quantile(loads.map((it) => it[field]), 0.5);
    row('first page with 5,000 stations, style, script and icons, uncompressed', kb(median('bytes')), '< 100 KB');
    row('the same: first byte; painted; ready (median of 10)', `${ms(median('first'))}; ${ms(median('paint'))}; ${ms(median('ready'))}`, '< 200 ms');

    // What a viewer is sent while the network changes.
    const stream = { messages: 0, bytes: 0, longest: 0 };
    cdp.on('Network.eventSourceMessageReceived', ({ data }) => {
      stream.messages += 1;
      stream.bytes += data.length;
      stream.longest = Math.max(stream.longest, data.length);
    });
    await page.evaluate(watch);
    const typing = (async () => {
      const field = page.locator('[data-slash]');
      const end = Date.now() + SECONDS * 1000;
      while (Date.now() < end) {
        await field.press('a');
        await page.waitForTimeout(400);
      }
    })();
    const [{ changed, took }] = await Promise.all([change(server, SECONDS), typing]);
    const seen = await page.evaluate(() => window.seen);
    const rate = Math.round(changed / took);
    row('state changes acknowledged while the page was open', `${rate} /s for ${Math.round(took)} s`, '200 /s');
    row('what the stream sent a viewer', `${kb(stream.bytes / took)}/s in ${(stream.messages / took).toFixed(1)} messages/s, the longest ${kb(stream.longest)}`, '≤ 2 messages/s, ≤ 32 KB each');
    row('tasks that held the page up for more than 50 ms', `${seen.long.length}, the longest ${ms(Math.max(0, ...seen.long))}`, 'none beyond 200 ms');
    const waits = seen.keys.map((it) => it.wait);
    const all = seen.keys.map((it) => it.all);
    row('from a key to its handling; to its being painted (p95 of those above 16 ms)', seen.keys.length ? `${ms(quantile(waits, 0.95))}; ${ms(quantile(all, 0.95))}` : 'none above 16 ms', '< 200 ms');
    row('between two frames, p99', ms(quantile(seen.frames, 0.99)), '< 100 ms');
    await until('the page shows where things stand', async () => {
      const { stations } = await server.api('GET', 'stations?status=faulted&limit=500');
      const shown = await page.locator('[data-count="faulted"]').first().innerText();
      return Number(shown.replace(/\D/g, '')) >= Math.min(500, stations.length);
    });
    await person.close();
  } finally {
    await server.stop();
  }
}
