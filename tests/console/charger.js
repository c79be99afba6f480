// A charger that does what a scenario has it do: OCPP 1.6, over somebody else's library.

import ocpp from 'ocpp-rpc';

export class Charger {
  /** Connects and boots. Commands are accepted, unless `answers` has another answer. */
  static async connect(server, id, answers = {}) {
    const charger = new Charger();
    const client = new ocpp.RPCClient({
      endpoint: `${server.url.replace('http', 'ws')}/ocpp`,
      identity: id,
      protocols: ['ocpp1.6'],
      strictMode: true,
      reconnect: false,
    });
    client.handle(({ method }) => answers[method] ?? { status: 'Accepted' });
    client.handle('GetConfiguration', () => ({ configurationKey: [{ key: 'HeartbeatInterval', readonly: false, value: '300' }] }));
    client.handle('UnlockConnector', () => answers.UnlockConnector ?? { status: 'Unlocked' });
    charger.client = client;
    await client.connect();
    await client.call('BootNotification', {
      chargePointVendor: 'Mestral Systems',
      chargePointModel: 'Duo 22',
      firmwareVersion: '2026.3',
      chargePointSerialNumber: 'MS-0042',
    });
    return charger;
  }

  status(status, more = {}) {
    const told = { connectorId: 1, status, errorCode: 'NoError', timestamp: new Date().toISOString() };
    return this.client.call('StatusNotification', { ...told, ...more });
  }

  async start(idTag, meterStart) {
    const told = { connectorId: 1, idTag, meterStart, timestamp: new Date().toISOString() };
    this.transaction = (await this.client.call('StartTransaction', told)).transactionId;
  }

  meter(energy, power, at = new Date()) {
    return this.client.call('MeterValues', {
      connectorId: 1,
      transactionId: this.transaction,
      meterValue: [{
        timestamp: at.toISOString(),
        sampledValue: [
          { value: String(energy), measurand: 'Energy.Active.Import.Register', unit: 'Wh' },
          { value: String(power), measurand: 'Power.Active.Import', unit: 'W' },
        ],
      }],
    });
  }

  stop(meterStop) {
    const told = { transactionId: this.transaction, meterStop, timestamp: new Date().toISOString() };
    return this.client.call('StopTransaction', told);
  }

  close() {
    return this.client.close();
  }
}
