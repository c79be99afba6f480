// The console in a real browser against the real server, with the demo's simulated chargers and
// others that do as they are told.
//
//   node tests/console/run.js                    every scenario, and axe on every page
//   node tests/console/run.js --only=dialog      scenarios whose name has this in it
//   node tests/console/run.js --pictures=DIR     pictures of every page, and nothing else
//   node tests/console/run.js --load             5,000 stations, 200 changes a second: figures
//
// Prints `ok - name` or `not ok - name: why` for each thing, and ends with 0 if all were ok.

import { parseArgs } from 'node:util';

import { launch } from './browser.js';
import { measure } from './load.js';
import { checkAccess, takePictures } from './pages.js';
import { scenarios } from './scenarios.js';
import { Server, until } from './server.js';

const options = {
  only: { type: 'string' },
  pictures: { type: 'string' },
  pages: { type: 'string' },
  wait: { type: 'string', default: '0' },
  load: { type: 'boolean' },
};
const { values: args } = parseArgs({ options });
const binary = process.env.TEST_BINARY;
if (!binary) throw new Error('TEST_BINARY names the binary to try: run `cargo xtask console`');

let failed = 0;

function told(name, faults) {
  if (faults.length === 0) {
    console.log(`ok - ${name}`);
    return;
  }
  failed += 1;
  console.log(`not ok - ${name}: ${faults.join(' | ').replaceAll('\n', ' ')}`);
}

async function tell(name, scenario, world) {
  const faults = [];
  let people = [];
  try {
    people = await scenario(world);
  } catch (error) {
    faults.push(String(error?.message ?? error));
  }
  for (const person of people) {
    faults.push(...person.complaints.map((complaint) => `the browser complains: ${complaint}`));
    await person.close();
  }
  // Those of a story that failed are still open.
  await Promise.all(world.browser.contexts().map((context) => context.close()));
  told(name, faults);
}

const servers = [];

/** A server with tokens for every role. */
async function network(browser, settings) {
  const server = await Server.start(binary, { AUTH_FAILURES_PER_MINUTE: '1000', ...settings });
  servers.push(server);
  server.token = (await until('the token is printed', () => server.printed().token));
  const tokens = {};
  for (const role of ['viewer', 'operator', 'admin']) tokens[role] = await server.tokenOf(role);
  const enter = (id, name) => server.api('POST', 'stations', { id, name });
  const quiet = () => network(browser, { ALLOW_UNAUTHENTICATED_CHARGERS: 'true' });
  return { browser, server, tokens, enter, quiet };
}

/** One with simulated chargers, and a session that runs. */
async function demo(browser) {
  const world = await network(browser, { DEMO: 'true', DRILLS: 'true' });
  await until('the demo charges', async () => (await world.server.api('GET', 'sessions?active=true')).sessions.length > 0, 90_000);
  return world;
}

const browser = await launch();
let world = null;
try {
  if (args.load) {
    await measure(browser, binary);
  } else {
    world = await demo(browser);
    await new Promise((done) => { setTimeout(done, Number(args.wait) * 1000); });
    if (args.pictures) {
      await takePictures(world, args.pictures, args.pages?.split(','));
    } else {
      const wanted = Object.entries(scenarios).filter(([name]) => !args.only || name.includes(args.only));
      for (const [name, scenario] of wanted) await tell(name, scenario, world);
      if (!args.only || args.only === 'axe') await checkAccess(world, told);
    }
  }
} catch (error) {
  told('the run', [String(error?.stack ?? error)]);
  if (world) console.log(world.server.said.slice(-4_000));
} finally {
  await browser.close();
  await Promise.all(servers.map((server) => server.stop()));
}
process.exitCode = failed === 0 ? 0 : 1;
