// A headless Chromium for a test: one command a line on stdin, as JSON
// ["name", arguments …], and one answer a line on stdout.

'use strict';

const fs = require('fs');
const os = require('os');
const path = require('path');
const readline = require('readline');
const { chromium } = require('playwright-core');

const seconds = Number(process.env.BROWSER_SECONDS || 10) * 1000;
const said = [];       // errors of the page and its console
const requested = [];  // what it asked for
let page;

const commands = {
  async open(url, scheme, width, height) {
    await page.emulateMedia({ colorScheme: scheme });
    await page.setViewportSize({ width, height });
    await page.goto(url);
    return page.title();
  },
  // Whether the expression becomes true in the page.  Asked from here: the
  // page's policy forbids the eval() that waitForFunction() needs there.
  async until(expression) {
    for (const end = Date.now() + seconds; Date.now() < end;) {
      if (await page.evaluate(expression)) { return true; }
      await new Promise(resolve => setTimeout(resolve, 50));
    }
    return false;
  },
  evaluate: expression => page.evaluate(expression),
  async hover(selector, x, y) {
    const box = await page.locator(selector).boundingBox();
    await page.mouse.move(box.x + box.width * x, box.y + box.height * y);
    return true;
  },
  async shot(file) {
    await page.screenshot({ path: file, fullPage: true });
    return fs.statSync(file).size;
  },
  said: () => said.splice(0),
  requested: () => requested.splice(0),
};

(async () => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'esputnik-chromium-'));
  const context = await chromium.launchPersistentContext(folder, {
    executablePath: process.env.CHROMIUM || '/usr/bin/chromium',
    headless: true,
    args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic',
      '--no-first-run', '--disable-background-networking',
      '--disable-component-update', '--disable-sync', '--disable-dev-shm-usage'],
  });
  const end = async () => {
    await context.close();
    fs.rmSync(folder, { recursive: true, force: true });
    process.exit(0);
  };

  page = context.pages()[0] || await context.newPage();
  page.setDefaultTimeout(seconds);
  page.on('console', m => { if (m.type() === 'error') { said.push(m.text()); } });
  page.on('pageerror', e => said.push(e.message));
  page.on('request', r => requested.push(r.url()));

  const answer = a => process.stdout.write(JSON.stringify(a) + '\n');
  answer({ ok: context.browser() ? context.browser().version() : 'chromium' });

  for await (const line of readline.createInterface({ input: process.stdin })) {
    const [name, ...args] = JSON.parse(line);
    try {
      const ok = await commands[name](...args);
      answer({ ok: ok === undefined ? null : ok });
    } catch (e) {
      answer({ error: e.message.split('\n')[0] });
    }
  }
  await end();
})().catch(e => {
  process.stdout.write(JSON.stringify({ error: e.message }) + '\n');
  process.exit(1);
});
