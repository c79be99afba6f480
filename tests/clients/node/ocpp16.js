// A charger on `ocpp-rpc`, which checks every message of both directions against the OCPP 1.6
// schemas. It gets ENCHUFE_URL, ENCHUFE_TOKEN, STATION, PASSWORD and ID_TAG, and prints
// `ok - name` or `not ok - name: why`.
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import ocpp from 'ocpp-rpc';

const { ENCHUFE_URL, ENCHUFE_TOKEN, STATION, PASSWORD, ID_TAG } = process.env;
const ENDPOINT = `${ENCHUFE_URL.replace(/^http/, 'ws')}/ocpp`;
const HOUR_MS = 3_600_000;

// ---- The operator's side: HTTP

async function http(method, path, body) {
  const answer = await fetch(`${ENCHUFE_URL}/api/v1${path}`, {
    method,
    headers: { authorization: `Bearer ${ENCHUFE_TOKEN}`, 'content-type': 'application/json' },
    body: body && JSON.stringify(body),
    signal: AbortSignal.timeout(20_000),
  });
  const text = await answer.text();
  return { status: answer.status, body: text ? JSON.parse(text) : null };
}

async function get(path) {
  const { status, body } = await http('GET', path);
  assert.equal(status, 200, `GET ${path}: ${JSON.stringify(body)}`);
  return body;
}

const station = () => get(`/stations/${STATION}`);

/** Sends a command and returns it once it has ended. */
async function command(name, parameters = {}) {
  const path = `/stations/${STATION}/commands?wait=10`;
  const { status, body } = await http('POST', path, { command: name, parameters });
  assert.equal(status, 200, `${name}: ${JSON.stringify(body)}`);
  return body;
}

async function ends(outcome, name, parameters) {
  const ended = await command(name, parameters);
  assert.equal(ended.outcome, outcome, `${name}: ${JSON.stringify(ended)}`);
  assert.ok(ended.completed_at, `${name} ended without a time`);
  return ended;
}

// ---- The charger's side: OCPP

const calls = []; // every call that came from the server, in order
const answers = {
  ChangeAvailability: { status: 'Accepted' },
  ChangeConfiguration: { status: 'Accepted' },
  ClearCache: { status: 'Accepted' },
  DataTransfer: { status: 'Accepted', data: 'pong' },
  GetConfiguration: {
    configurationKey: [{ key: 'HeartbeatInterval', readonly: false, value: '300' }],
    unknownKey: ['Nonsense'],
  },
  RemoteStartTransaction: { status: 'Accepted' },
  RemoteStopTransaction: { status: 'Accepted' },
  Reset: { status: 'Accepted' },
  TriggerMessage: { status: 'Accepted' },
  UnlockConnector: { status: 'Unlocked' },
};

function charger(options) {
  return new ocpp.RPCClient({
    endpoint: ENDPOINT,
    identity: STATION,
    password: PASSWORD,
    protocols: ['ocpp1.6'],
    strictMode: true,
    reconnect: false,
    callTimeoutMs: 10_000,
    wsOpts: { perMessageDeflate: { threshold: 0 } }, // compress whatever the length
    ...options,
  });
}

const client = charger();
const violations = [];
client.on('strictValidationFailure', ({ method, error }) => violations.push(`${method}: ${error.message}`));
client.on('badMessage', ({ error }) => violations.push(error.message));
client.handle(async ({ method, params }) => {
  calls.push({ method, params });
  const answer = answers[method];
  if (answer instanceof Function) return answer(params);
  if (!answer) throw ocpp.createRPCError('NotImplemented');
  return answer;
});

/** What the server last asked of the charger with this action. */
const asked = (method) => calls.findLast((call) => call.method === method)?.params;

const report = (connectorId, status, errorCode = 'NoError') =>
  client.call('StatusNotification', { connectorId, status, errorCode, timestamp: new Date().toISOString() });

async function refused(options, code) {
  await assert.rejects(charger(options).connect(), (error) => {
    assert.equal(error.code, code, `got ${error.code ?? error.message}`);
    return true;
  });
}

// ---- The story

let failures = 0;
async function test(name, body) {
  try {
    await body();
    console.log(`ok - ${name}`);
  } catch (error) {
    failures += 1;
    console.log(`not ok - ${name}: ${error.message}`);
  }
}

await test('a wrong password is refused before the upgrade', () => refused({ password: 'not the password 123' }, 401));
await test('no password is refused before the upgrade', () => refused({ password: null }, 401));
await test('an unknown station is not found', () => refused({ identity: `${STATION}-NOT` }, 404));
await test('a command to a station that is not connected is a conflict', async () => {
  const { status } = await http('POST', `/stations/${STATION}/commands`, { command: 'clear_cache', parameters: {} });
  assert.equal(status, 409);
});

const compressed = { compress: 0, decompress: 0 }; // messages, by what was done to them here
await test('it connects with ocpp1.6 and permessage-deflate', async () => {
  await client.connect();
  assert.equal(client.protocol, 'ocpp1.6');
  assert.match(client._ws.extensions, /permessage-deflate/);
  const deflate = client._ws._extensions['permessage-deflate'];
  for (const direction of ['compress', 'decompress']) {
    const original = deflate[direction];
    deflate[direction] = (...args) => {
      compressed[direction] += 1;
      return original.apply(deflate, args);
    };
  }
});
await test('a boot is accepted', async () => {
  const answer = await client.call('BootNotification', {
    chargePointVendor: 'Example',
    chargePointModel: 'Node 22',
    chargePointSerialNumber: 'N-1',
    firmwareVersion: '1.2.3',
  });
  assert.equal(answer.status, 'Accepted');
  assert.ok(answer.interval > 0);
  assert.ok(Math.abs(Date.parse(answer.currentTime) - Date.now()) < 60_000, answer.currentTime);
  const { vendor, model, firmware_version, online, reporting } = await station();
  assert.deepEqual(
    { vendor, model, firmware_version, online, reporting },
    { vendor: 'Example', model: 'Node 22', firmware_version: '1.2.3', online: true, reporting: 'charger' },
  );
});
await test('connectors 0 and 1 report themselves available', async () => {
  await report(0, 'Available');
  await report(1, 'Available');
  assert.equal((await station()).status, 'available');
});
await test('a long status text comes through compressed and whole', async () => {
  await client.call('StatusNotification', {
    connectorId: 1,
    status: 'Available',
    errorCode: 'NoError',
    info: 'ñ'.repeat(50),
  });
  const { evses } = await station();
  assert.equal(evses[0].connectors[0].reported.info, 'ñ'.repeat(50));
  assert.ok(compressed.compress > 0);
});
await test('a heartbeat tells the time', async () => {
  const { currentTime } = await client.call('Heartbeat', {});
  assert.ok(Math.abs(Date.parse(currentTime) - Date.now()) < 60_000, currentTime);
});
await test('a known id tag is accepted, an unknown one is not', async () => {
  const status = async (idTag) => (await client.call('Authorize', { idTag })).idTagInfo.status;
  assert.equal(await status(ID_TAG), 'Accepted');
  assert.equal(await status('NOBODY'), 'Invalid');
});

// A session of one hour at 7 kW that ended a moment ago.
const startedAt = new Date(Date.now() - HOUR_MS);
const start = { connectorId: 1, idTag: ID_TAG, meterStart: 1_000, timestamp: startedAt.toISOString() };
let transactionId;
let sessionId;
const session = () => get(`/sessions/${sessionId}`);

await test('a transaction starts', async () => {
  await report(1, 'Preparing');
  const answer = await client.call('StartTransaction', start);
  assert.equal(answer.idTagInfo.status, 'Accepted');
  assert.ok(answer.transactionId > 0);
  transactionId = answer.transactionId;
  const { sessions } = await get(`/sessions?station_id=${STATION}&active=true`);
  assert.equal(sessions.length, 1);
  assert.equal(String(sessions[0].transaction_id), String(transactionId));
  assert.equal(sessions[0].id_tag, ID_TAG);
  sessionId = sessions[0].id;
});
await test('a retried start gets the same transaction', async () => {
  const answer = await client.call('StartTransaction', start);
  assert.equal(answer.transactionId, transactionId);
  const { sessions } = await get(`/sessions?station_id=${STATION}`);
  assert.equal(sessions.length, 1);
});
await test('a charging connector makes the station occupied', async () => {
  await report(1, 'Charging');
  assert.equal((await station()).status, 'occupied');
});
await test('meter values reach the session', async () => {
  await client.call('MeterValues', {
    connectorId: 1,
    transactionId,
    meterValue: [
      {
        timestamp: new Date(startedAt.getTime() + HOUR_MS / 2).toISOString(),
        sampledValue: [
          { value: '4.5', measurand: 'Energy.Active.Import.Register', unit: 'kWh' },
          { value: '7000', measurand: 'Power.Active.Import', unit: 'W' },
        ],
      },
    ],
  });
  const { state, meter_values } = await session();
  assert.equal(state, 'active');
  assert.deepEqual([meter_values.at(-1).energy_wh, meter_values.at(-1).power_w], [4_500, 7_000]);
});
await test('request_stop_transaction names the session', async () => {
  await ends('accepted', 'request_stop_transaction', { session_id: sessionId });
  assert.deepEqual(asked('RemoteStopTransaction'), { transactionId });
});
await test('request_stop_transaction names the transaction', async () => {
  await ends('accepted', 'request_stop_transaction', { transaction_id: String(transactionId) });
  assert.deepEqual(asked('RemoteStopTransaction'), { transactionId });
});
const stop = {
  transactionId,
  idTag: ID_TAG,
  meterStop: 8_000,
  timestamp: new Date(startedAt.getTime() + HOUR_MS).toISOString(),
  reason: 'Remote',
};
await test('the transaction stops and its energy can be billed', async () => {
  const answer = await client.call('StopTransaction', stop);
  assert.equal(answer.idTagInfo?.status ?? 'Accepted', 'Accepted');
  const { state, energy_wh, billing_ready, billing_problems } = await session();
  assert.deepEqual(
    { state, energy_wh, billing_ready, billing_problems },
    { state: 'ended', energy_wh: 7_000, billing_ready: true, billing_problems: [] },
  );
});
await test('a retried stop changes nothing', async () => {
  await client.call('StopTransaction', stop);
  const { energy_wh, billing_ready } = await session();
  assert.deepEqual({ energy_wh, billing_ready }, { energy_wh: 7_000, billing_ready: true });
});
await test('the station is available again', async () => {
  await report(1, 'Available');
  assert.equal((await station()).status, 'available');
});
await test('a faulted connector makes the station faulted, with its code', async () => {
  await report(1, 'Faulted', 'GroundFailure');
  const { status, evses } = await station();
  assert.equal(status, 'faulted');
  assert.equal(evses[0].connectors[0].reported.error_code, 'GroundFailure');
  await report(1, 'Available');
  assert.equal((await station()).status, 'available');
});
await test('data transfer and the two progress reports are answered', async () => {
  const { status } = await client.call('DataTransfer', { vendorId: 'com.example', messageId: 'ping', data: '{}' });
  assert.ok(['Accepted', 'Rejected', 'UnknownMessageId', 'UnknownVendorId'].includes(status), status);
  await client.call('FirmwareStatusNotification', { status: 'Installed' });
  await client.call('DiagnosticsStatusNotification', { status: 'Idle' });
});

// ---- Every command, as the operator gives it and as the charger hears it

const trigger = 'boot_notification heartbeat meter_values status_notification firmware_status_notification diagnostics_status_notification';
const pascal = (snake) => snake.replace(/(?:^|_)(.)/g, (_, letter) => letter.toUpperCase());
for (const [name, parameters, action, heard] of [
  ['reset', { type: 'soft' }, 'Reset', { type: 'Soft' }],
  ['reset', { type: 'hard' }, 'Reset', { type: 'Hard' }],
  ['unlock_connector', { evse: 1 }, 'UnlockConnector', { connectorId: 1 }],
  ['change_availability', { availability: 'inoperative' }, 'ChangeAvailability', { connectorId: 0, type: 'Inoperative' }],
  ['change_availability', { availability: 'operative' }, 'ChangeAvailability', { connectorId: 0, type: 'Operative' }],
  ['change_availability', { evse: 1, availability: 'operative' }, 'ChangeAvailability', { connectorId: 1, type: 'Operative' }],
  ['change_configuration', { key: 'HeartbeatInterval', value: '300' }, 'ChangeConfiguration', { key: 'HeartbeatInterval', value: '300' }],
  ['get_configuration', { keys: ['HeartbeatInterval', 'Nonsense'] }, 'GetConfiguration', { key: ['HeartbeatInterval', 'Nonsense'] }],
  ['get_configuration', {}, 'GetConfiguration', {}],
  ['clear_cache', {}, 'ClearCache', {}],
  ['request_start_transaction', { id_tag: ID_TAG, evse: 1 }, 'RemoteStartTransaction', { idTag: ID_TAG, connectorId: 1 }],
  ['request_start_transaction', { id_tag: ID_TAG }, 'RemoteStartTransaction', { idTag: ID_TAG }],
  ['data_transfer', { vendor_id: 'com.example', message_id: 'ping', data: 'x' }, 'DataTransfer', { vendorId: 'com.example', messageId: 'ping', data: 'x' }],
  ...trigger.split(' ').map((message) => ['trigger_message', { message }, 'TriggerMessage', { requestedMessage: pascal(message) }]),
  ['trigger_message', { message: 'status_notification', evse: 1 }, 'TriggerMessage', { requestedMessage: 'StatusNotification', connectorId: 1 }],
]) {
  await test(`${name} ${JSON.stringify(parameters)} is accepted`, async () => {
    const before = calls.length;
    await ends('accepted', name, parameters);
    assert.ok(calls.length > before, `${action} was not asked`);
    assert.deepEqual(asked(action), heard);
  });
}
await test('get_configuration returns what the charger said', async () => {
  const { response, id } = await ends('accepted', 'get_configuration');
  assert.match(JSON.stringify(response), /HeartbeatInterval/);
  assert.equal((await get(`/commands/${id}`)).outcome, 'accepted');
});
await test('a long command comes through compressed and whole', async () => {
  const data = 'ñandú '.repeat(200).trim();
  await ends('accepted', 'data_transfer', { vendor_id: 'com.example', data });
  assert.deepEqual(asked('DataTransfer'), { vendorId: 'com.example', data });
  assert.ok(compressed.decompress > 0);
});
await test('a refused command is rejected', async () => {
  answers.Reset = { status: 'Rejected' };
  await ends('rejected', 'reset', { type: 'soft' });
});
await test('a command answered with an error is failed', async () => {
  answers.UnlockConnector = () => {
    throw ocpp.createRPCError('InternalError', 'the lock is stuck');
  };
  const { detail } = await ends('failed', 'unlock_connector', { evse: 1 });
  assert.match(detail, /InternalError|stuck/);
});
await test('calls of both directions cross', async () => {
  answers.ClearCache = async () => {
    await client.call('Heartbeat', {});
    return { status: 'Accepted' };
  };
  await ends('accepted', 'clear_cache');
});
await test('many commands at once all end', async () => {
  const all = await Promise.all(Array.from({ length: 10 }, () => command('get_configuration')));
  assert.deepEqual(new Set(all.map(({ outcome }) => outcome)), new Set(['accepted']));
});

// ---- Leaving and coming back

const offline = async () => {
  const deadline = Date.now() + 5_000;
  while ((await station()).online && Date.now() < deadline) await sleep(50);
  const { status, online } = await station();
  assert.deepEqual({ status, online }, { status: 'offline', online: false });
};
await test('a charger that leaves is offline at once', async () => {
  await client.close();
  await offline();
});
await test('a reconnect needs no new boot, and the last known status holds', async () => {
  await client.connect();
  await client.call('Heartbeat', {});
  const { online, status } = await station();
  assert.deepEqual({ online, status }, { online: true, status: 'available' });
});
await test('a charger that is cut off is offline at once', async () => {
  await client.close({ force: true });
  await offline();
});
await test('nothing broke the schemas', () => assert.deepEqual(violations, []));

process.exit(failures ? 1 : 0);
