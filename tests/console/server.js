// A server of one's own: the real binary, on free loopback ports, with an empty directory.

import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const START_LIMIT = 60_000;

/** A loopback port nobody listens on at the moment. */
export function freePort() {
  return new Promise((resolve, reject) => {
    const probe = net.createServer().unref();
    probe.on('error', reject);
    probe.listen(0, '127.0.0.1', () => {
      const { port } = probe.address();
      probe.close(() => resolve(port));
    });
  });
}

/** Waits until something is true, and gives it. */
export async function until(what, probe, limit = 20_000) {
  const end = Date.now() + limit;
  for (;;) {
    const found = await probe();
    if (found) return found;
    if (Date.now() > end) throw new Error(`in vain awaited: ${what}`);
    await sleep(50);
  }
}

export class Server {
  /** Starts one with these settings (`{ DEMO: 'true' }`), and waits until it is ready. */
  static async start(binary, settings) {
    const directory = await mkdtemp(path.join(tmpdir(), 'enchufe-console-'));
    const [port, metrics] = [await freePort(), await freePort()];
    const own = Object.entries(process.env).filter(([name]) => !name.startsWith('ENCHUFE_'));
    const given = Object.entries(settings).map(([name, value]) => [`ENCHUFE_${name}`, value]);
    const env = Object.fromEntries([
      ...own,
      ['ENCHUFE_LISTEN', `127.0.0.1:${port}`],
      ['ENCHUFE_METRICS_LISTEN', `127.0.0.1:${metrics}`],
      ['ENCHUFE_DATA_DIR', path.join(directory, 'data')],
      ...given,
    ]);
    // Should this process be killed, the server goes with it.
    const child = spawn('setpriv', ['--pdeathsig', 'TERM', binary, 'serve'], {
      cwd: directory,
      env,
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    const server = new Server();
    Object.assign(server, { child, directory, url: `http://127.0.0.1:${port}`, said: '' });
    child.stderr.setEncoding('utf8');
    child.stderr.on('data', (text) => (server.said = (server.said + text).slice(-65_536)));
    await until('the server is ready', () => server.isReady(), START_LIMIT);
    return server;
  }

  async isReady() {
    if (this.child.exitCode !== null) throw new Error(`the server ended:\n${this.said}`);
    const answer = await fetch(`${this.url}/healthz`).catch(() => null);
    return answer?.ok;
  }

  /** The link it printed, and the token. */
  printed() {
    const link = /(http\S+\/console\/enter\?code=\S+)/.exec(this.said)?.[1];
    const token = /Admin token[^:]*:\s+(\S+)/.exec(this.said)?.[1];
    return { link, token };
  }

  /** One request of the API; anything but a 2xx answer is an error. */
  async api(method, route, body) {
    const answer = await fetch(`${this.url}/api/v1/${route}`, {
      method,
      headers: {
        Authorization: `Bearer ${this.token}`,
        ...(body ? { 'Content-Type': 'application/json' } : {}),
      },
      body: body && JSON.stringify(body),
    });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${method} ${route}: ${answer.status} ${text}`);
    return text ? JSON.parse(text) : null;
  }

  /** A new token of a role. */
  async tokenOf(role) {
    return (await this.api('POST', 'tokens', { name: `A ${role}`, role })).token;
  }

  async stop() {
    this.child.kill('SIGTERM');
    await Promise.race([new Promise((end) => this.child.once('exit', end)), sleep(30_000)]);
    this.child.kill('SIGKILL');
    await rm(this.directory, { recursive: true, force: true });
  }
}

/** A line to a server that can be cut: its connections end, and new ones are refused. */
export class Line {
  static async to(url) {
    const target = new URL(url);
    const line = new Line();
    Object.assign(line, { target, sockets: new Set(), port: await freePort() });
    await line.mend();
    line.url = `http://127.0.0.1:${line.port}`;
    return line;
  }

  async mend() {
    this.listener = net.createServer((client) => {
      const server = net.connect(Number(this.target.port), this.target.hostname);
      for (const socket of [client, server]) {
        this.sockets.add(socket);
        socket.on('error', () => {});
        socket.on('close', () => {
          this.sockets.delete(socket);
          client.destroy();
          server.destroy();
        });
      }
      client.pipe(server).pipe(client);
    });
    await new Promise((done) => this.listener.listen(this.port, '127.0.0.1', done));
  }

  cut() {
    this.listener.close();
    this.sockets.forEach((socket) => socket.destroy());
  }
}
