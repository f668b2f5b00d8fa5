/** The demo as people run it: a process of its own, its verdict as its exit code, and nothing left behind. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from '@jest/globals';
import { type Observation, problemsWith } from '../../src/commands/demo/verdict.js';

const CHECKOUT = fileURLToPath(new URL('../..', import.meta.url));
const RUN_MS = 60_000;

const temporary = mkdtempSync(join(tmpdir(), 'demo-spec-'));
const children: ChildProcess[] = [];
afterAll(() => {
  for (const child of children) child.kill('SIGKILL');
  rmSync(temporary, { recursive: true, force: true });
});

describe('the demo', () => {
  it(
    'signs Ada out of both apps everywhere and leaves Grace alone, with exit code 0',
    async () => {
      const demo = startDemo(['--once']);
      await demo.says('provisioned by Okta');
      expect(demo.redisProcesses()).not.toEqual([]);
      expect(await demo.exit).toEqual([0, null]);
      const text = demo.text();
      expect(text).toMatch(/^ {2}204 after \d+ ms: accepted/m);
      expect(text).toMatch(/^ {2}rev_\w{32} {2}completed in \d+ ms$/m);
      expect(text).toMatch(/^ {2}Ada, laptop +ended after \d+ ms +ended after \d+ ms$/m);
      expect(text).toMatch(/^ {2}Ada, phone +ended after \d+ ms +ended after \d+ ms$/m);
      expect(text.match(/^ {2}Grace, laptop +signed in +signed in$/gm)).toHaveLength(2);
      expect(text).toContain('✔ Ada: 4 sessions ended, and both apps ask for the password again.');
      expect(text).not.toContain('\u001b');
      expect(demo.leftovers()).toEqual([]);
    },
    RUN_MS,
  );

  // Beside the others, since most of it is waiting; it finds the ports taken, too.
  it.concurrent(
    'has exit code 1 where one app does not end the sessions, and names them',
    async () => {
      const demo = startDemo(['--once'], [answering('/backchannel-logout', 404)]);
      expect(await demo.exit).toEqual([1, null]);
      const text = demo.text();
      expect(text).toMatch(/^ {2}Ada, laptop +signed in +ended after \d+ ms$/m);
      expect(text).toContain("✘ Ada's session in the wiki on the laptop is still alive.");
      expect(text).toContain("✘ Ada's session in the wiki on the phone is still alive.");
      expect(text).toMatch(/^ {2}wiki +failed +1 attempt; not_found$/m);
      expect(text).not.toContain('in the shop');
      expect(text).not.toContain('sessions ended');
      expect(demo.leftovers()).toEqual([]);
    },
    RUN_MS,
  );

  it(
    'has exit code 1 where the gateway does not accept the request',
    async () => {
      const demo = startDemo(['--once'], [answering('/global-token-revocation', 503)]);
      expect(await demo.exit).toEqual([1, null]);
      expect(demo.text()).toContain('The gateway answered 503');
      expect(demo.leftovers()).toEqual([]);
    },
    RUN_MS,
  );

  it(
    'stays up after its verdict until it is told to stop, with exit code 0 (SIGINT, twice)',
    async () => {
      const demo = startDemo([]);
      await demo.says('The demo ends with');
      const [wiki] = /http:\/\/127\.0\.0\.1:\d+(?=\/login)/.exec(demo.text()) ?? [];
      expect((await fetch(`${wiki}/me`)).status).toBe(401);
      demo.kill('SIGINT');
      await delay(30); // While it closes.
      demo.kill('SIGINT');
      expect(await demo.exit).toEqual([0, null]);
      expect(demo.leftovers()).toEqual([]);
    },
    RUN_MS,
  );

  it(
    'has exit code 1 where it is stopped before its verdict, and leaves nothing behind (SIGTERM)',
    async () => {
      const demo = startDemo(['--once']);
      await demo.says('Starting');
      demo.kill('SIGTERM');
      const stoppedAt = Date.now();
      expect(await demo.exit).toEqual([1, null]);
      expect(Date.now() - stoppedAt).toBeLessThan(8_000);
      expect(demo.text()).not.toContain('204');
      expect(demo.leftovers()).toEqual([]);
    },
    RUN_MS,
  );

  it(
    'says in one sentence that it needs a checkout, where its packages are not installed',
    async () => {
      const demo = startDemo(
        ['--once'],
        [],
        checkoutWithout(['oidc-provider', 'better-auth', 'express-openid-connect']),
      );
      expect(await demo.exit).toEqual([1, null]);
      expect(demo.text()).toBe('The demo runs from a checkout of the repository only: run `npm run demo` there.\n');
    },
    RUN_MS,
  );
});

describe('the verdict', () => {
  const good: Observation[] = [
    { person: 'Ada', device: 'laptop', site: 'wiki', aliveBefore: true, aliveAfter: false },
    { person: 'Ada', device: 'phone', site: 'shop', aliveBefore: true, aliveAfter: false },
    { person: 'Grace', device: 'laptop', site: 'shop', aliveBefore: true, aliveAfter: true },
  ];
  const but = (index: number, change: Partial<Observation>) =>
    good.map((observation, at) => (at === index ? { ...observation, ...change } : observation));

  it('is good where every session of the person ended and nobody else’s', () => {
    expect(problemsWith(good, 'Ada')).toEqual([]);
  });

  it.each([
    ['a session of the person lives', but(1, { aliveAfter: true }), /Ada's session in the shop on the phone/],
    ['a session of somebody else ended', but(2, { aliveAfter: false }), /Grace's session .* should not have/],
    ['a session of the person was not alive before', but(0, { aliveBefore: false }), /Ada's session .* not alive/],
    ['a session of somebody else was not alive before', but(2, { aliveBefore: false }), /Grace's session .* not alive/],
    ['no session of the person was seen', good.slice(2), /No session of Ada/],
    ['no session of anybody else was seen', good.slice(0, 2), /Nobody else/],
  ])('is bad where %s', (_variant, observations, sentence) => {
    expect(problemsWith(observations, 'Ada')).toEqual([expect.stringMatching(sentence)]);
  });
});

/** In a process of its own, whose temporary folder nobody else uses. */
function startDemo(args: string[], preloads: string[] = [], cwd = CHECKOUT) {
  const folder = mkdtempSync(join(temporary, 'run-'));
  const imports = preloads.flatMap((module) => ['--import', module]);
  const child = spawn(process.execPath, [...imports, 'bin/universal-logout.mjs', 'demo', ...args], {
    cwd,
    env: { ...process.env, TMPDIR: folder },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  children.push(child);
  let text = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
    });
  }
  const exit = once(child, 'close');
  const redisProcesses = () =>
    execFileSync('ps', ['-A', '-ww', '-o', 'args='], { encoding: 'utf8' })
      .split('\n')
      .filter((line) => line.includes(folder));
  return {
    exit,
    text: () => text,
    kill: (signal: NodeJS.Signals) => child.kill(signal),
    redisProcesses,
    /** Processes and files of the demo that outlived it. */
    leftovers: () => [...redisProcesses(), ...readdirSync(folder).filter((name) => name.startsWith('logout-'))],
    async says(words: string): Promise<void> {
      while (!text.includes(words)) {
        if (child.exitCode !== null || child.signalCode !== null) {
          throw new Error(`The demo ended without "${words}":\n${text}`);
        }
        await Promise.race([once(child.stdout, 'data'), exit]);
      }
    },
  };
}

/** A module that makes every server of the process answer this path with this status: an app, or a gateway, that is broken. */
function answering(path: string, status: number): string {
  const program = `
    import { Server } from 'node:http';
    const { emit } = Server.prototype;
    Server.prototype.emit = function (event, req, res) {
      if (event !== 'request' || req.url !== ${JSON.stringify(path)}) return emit.apply(this, arguments);
      res.writeHead(${status}).end();
      return true;
    };
  `;
  return `data:text/javascript,${encodeURIComponent(program)}`;
}

/** The sources beside every installed package but these. */
function checkoutWithout(packages: string[]): string {
  const folder = mkdtempSync(join(temporary, 'checkout-'));
  for (const name of ['package.json', 'bin', 'dist']) {
    cpSync(join(CHECKOUT, name), join(folder, name), { recursive: true });
  }
  mkdirSync(join(folder, 'node_modules'));
  for (const name of readdirSync(join(CHECKOUT, 'node_modules'))) {
    if (packages.includes(name)) continue;
    symlinkSync(join(CHECKOUT, 'node_modules', name), join(folder, 'node_modules', name));
  }
  return folder;
}
