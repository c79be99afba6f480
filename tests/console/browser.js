// Debian's Chromium, and somebody who sits before it.

import { existsSync } from 'node:fs';
import { chromium } from 'playwright-core';

/** Nothing in it talks to anybody but the server. */
const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

export async function launch() {
  const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium';
  if (!existsSync(executablePath)) throw new Error(`${executablePath} is not there: run \`cargo xtask env\``);
  return chromium.launch({ executablePath, args: FLAGS });
}

/** A person with a window of their own. What the browser complains of is kept. */
export class Person {
  static async open(browser, url, options = {}) {
    const person = new Person();
    const context = await browser.newContext({
      baseURL: url,
      locale: 'en-GB',
      timezoneId: 'Europe/Madrid',
      viewport: { width: 1280, height: 900 },
      ...options,
    });
    const page = await context.newPage();
    page.setDefaultTimeout(20_000);
    Object.assign(person, { context, page, complaints: [] });
    page.on('pageerror', (error) => person.complaints.push(String(error)));
    page.on('console', (message) => {
      // Each refusal of the server is a line too; those are what scenarios are about.
      const refused = /Failed to load resource/.test(message.text());
      if (message.type() === 'error' && !refused) person.complaints.push(message.text());
    });
    page.on('dialog', (dialog) => {
      person.complaints.push(`a dialog opened: ${dialog.message()}`);
      dialog.dismiss();
    });
    return person;
  }

  /** Signs in with a token, as people do. */
  async signIn(token) {
    await this.page.goto('/console');
    await this.page.getByLabel(/Access token|Token de acceso/).fill(token);
    await this.page.getByRole('button', { name: /Sign in|Entrar/ }).click();
    await this.page.waitForURL(/\/console$/);
  }

  close() {
    return this.context.close();
  }
}
