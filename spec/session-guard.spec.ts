/** The guard in an app with express-session: what it refuses, what it remembers, and what it does while nobody answers. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createInterface } from 'node:readline';
import express, { type ErrorRequestHandler, type Request } from 'express';
import session from 'express-session';
import { Redis } from 'ioredis';
import request from 'supertest';
import type { User } from '../src/directory/user.js';
import { openIdConnect, type PersonName, type SessionGuardOptions, sessionGuard } from '../src/session-guard.js';
import { startCluster } from './support/cluster.js';
import { type Endpoint, person, startEndpoint } from './support/endpoint.js';
import { eventually } from './support/eventually.js';
import { startSentinelSet } from './support/sentinel.js';
import { startWire } from './support/wire.js';

declare module 'express-session' {
  interface SessionData {
    email: string;
    signedInAt: number;
  }
}

const TOKEN = 'a-sessions-token-of-the-specs';
const MINUTE_MS = 60_000;
const REDIS = new URL(process.env.TEST_REDIS_URL as string);

let endpoint: Endpoint;
let front: Awaited<ReturnType<typeof startFront>>;
let count = 0;
const closing: (() => Promise<unknown> | unknown)[] = [];

beforeAll(async () => {
  endpoint = await startEndpoint({
    tenant: { sessions: { tokens: [TOKEN] } },
    gateway: { now: Date.now, roles: ['api'] },
  });
  front = await startFront(endpoint.gateway.url);
});
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
  front.through();
});
afterAll(async () => {
  await front.close();
  await endpoint.close();
});

/** A person of their own for each spec. */
async function somebody(): Promise<string> {
  count += 1;
  await endpoint.gateway.directory.put('default', person(`person-${count}`));
  return `person-${count}@example.com`;
}

async function deleteAndCreate(email: string): Promise<void> {
  const { users } = endpoint.gateway.directory;
  const [[found] = []] = await users.find('default', [{ kind: 'email', value: email }]);
  const { id: _, meta: __, ...attributes } = (found as User).resource;
  await users.remove('default', (found as User).resource);
  await users.create('default', attributes);
}

async function logOut(email: string): Promise<void> {
  const response = await endpoint.post(await endpoint.sign(), { sub_id: { format: 'email', email } });
  expect(response.status).toBe(204);
}

/** An app whose people sign in with a word, and whose sessions are in memory. */
async function startSite(options: Partial<SessionGuardOptions> = {}) {
  const errors: Error[] = [];
  const guard = sessionGuard({
    gateway: front.url,
    token: TOKEN,
    prefix: endpoint.gateway.prefix,
    person: (req) => (req.session.email === undefined ? undefined : { email: req.session.email }),
    startedAt: (req) => req.session.signedInAt,
    onError: (error) => errors.push(error),
    ...options,
  });
  const store = new session.MemoryStore();
  const site = express();
  site.use(session({ secret: 'a-secret-of-the-specs', resave: false, saveUninitialized: false, store }));
  site.post('/login/:email', (req, res) => {
    Object.assign(req.session, { email: req.params.email });
    if (req.query.at !== 'unknown') req.session.signedInAt = Number(req.query.at ?? Date.now());
    res.status(204).end();
  });
  site.use(guard);
  site.get('/me', (req, res) => {
    res.json({ email: req.session.email ?? null });
  });
  const server = await listen(site);
  closing.push(() => close(server), guard.close);
  const url = urlOf(server);
  return {
    errors,
    sessions: () => new Promise<number>((resolve) => store.length?.((_error, length = 0) => resolve(length))),
    /** A device that is signed in. */
    async signIn(email: string, at?: number | 'unknown') {
      const agent = request.agent(url);
      await agent.post(`/login/${email}${at === undefined ? '' : `?at=${at}`}`);
      return { me: async () => agent.get('/me') };
    },
    stranger: async () => request(url).get('/me'),
  };
}

/** As `startSite`, told of changes by Redis; goes on once it listens there. */
async function startToldSite(options: Partial<SessionGuardOptions> = {}, redis = REDIS.href) {
  const site = await startSite({ redis, cacheMs: 10 * MINUTE_MS, staleMs: 10 * MINUTE_MS, ...options });
  await eventually(listeners, (number) => number === 1);
  return site;
}

async function listeners(): Promise<number> {
  const { redis, prefix } = endpoint.gateway;
  const [, number] = (await redis.pubsub('NUMSUB', `${prefix}:{default}:valid-after`)) as [string, number];
  return number;
}

type Device = { me: () => Promise<request.Response> };

async function expectGood(device: Device): Promise<void> {
  const { status, body } = await device.me();
  expect([status, typeof body.email]).toEqual([200, 'string']);
}

async function expectEnded(device: Device): Promise<void> {
  const response = await device.me();
  expect(response.status).toBe(401);
  expect(response.headers).toMatchObject({
    'content-type': expect.stringContaining('application/problem+json'),
    'cache-control': 'no-store',
  });
  expect(response.body).toMatchObject({ status: 401, code: 'session_ended' });
}

async function expectUnknown(device: Device): Promise<void> {
  const response = await device.me();
  expect(response.status).toBe(503);
  expect(Number(response.headers['retry-after'])).toBeGreaterThan(0);
  expect(response.body).toMatchObject({ status: 503, code: 'gateway_unavailable' });
  expect(response.text).not.toMatch(/example\.com|token/);
}

describe('a session', () => {
  it('is good while its person was never logged out, and who is signed out is not guarded', async () => {
    const site = await startSite();
    await expectGood(await site.signIn(await somebody()));
    const asked = front.asked.length;
    expect((await site.stranger()).body).toEqual({ email: null });
    expect(front.asked).toHaveLength(asked);
  });

  it('that is older than the logout is refused and destroyed on every device; one that begins later is good', async () => {
    const site = await startSite({ cacheMs: 0 });
    const email = await somebody();
    const devices = [await site.signIn(email), await site.signIn(email)];
    const other = await site.signIn(await somebody());
    for (const device of devices) await expectGood(device);
    await logOut(email);
    for (const device of devices) await expectEnded(device);
    expect(await site.sessions()).toBe(1);
    await expectGood(other);
    // The cookie names nothing any more, so the device is signed out.
    expect((await devices[0]?.me())?.body).toEqual({ email: null });
    await expectGood(await site.signIn(email));
  });

  it.each<[string, number | 'unknown']>([
    ['no start', 'unknown'],
    ['a start in seconds', Math.floor(Date.now() / 1_000)],
    ['a start that is no number', Number.NaN],
    ['a start long ago', 0],
  ])('with %s is refused where there is a watermark', async (_what, at) => {
    const site = await startSite();
    const email = await somebody();
    await logOut(email);
    await expectEnded(await site.signIn(email, at));
  });

  it('that was ended stays ended when its person is deleted and comes back under the same names', async () => {
    const email = await somebody();
    const site = await startSite({ cacheMs: 0 });
    const old = await site.signIn(email);
    await logOut(email);
    await deleteAndCreate(email);
    await expectEnded(old);
    await expectGood(await site.signIn(email));
  });

  it('that cannot be destroyed is not let through', async () => {
    const email = await somebody();
    const site = await startSite({
      startedAt: (req) => {
        req.sessionStore.destroy = (_id, done) => done?.(new Error('the store is away'));
        return 0;
      },
    });
    await logOut(email);
    expect((await (await site.signIn(email)).me()).status).toBe(500);
  });

  it('that is void is handed to onVoid, after it was destroyed', async () => {
    const email = await somebody();
    const site = await startSite({
      onVoid: (req, res) => res.redirect(`/login?prompt=login&left=${String(req.session?.email)}`),
    });
    const device = await site.signIn(email);
    await logOut(email);
    const response = await device.me();
    expect([response.status, response.headers.location]).toEqual([302, '/login?prompt=login&left=undefined']);
  });
});

describe('a person without a name', () => {
  const unsure = (name: unknown) => () => name as PersonName;

  it.each<[string, unknown, string]>([
    ['undefined', { email: undefined }, 'email'],
    ['null', { externalId: null }, 'externalId'],
    ['empty', { userName: '' }, 'userName'],
    ['missing', {}, 'person'],
    ['missing altogether', null, 'person'],
  ])('is a mistake of the app, and gets nobody in [%s]', async (_what, name, told) => {
    const failures: Error[] = [];
    for (const whenUnknown of ['refuse', 'allow'] as const) {
      const guard = sessionGuard({
        gateway: front.url,
        token: TOKEN,
        person: unsure(name),
        startedAt: () => 0,
        whenUnknown,
        onError: () => {},
      });
      const site = express();
      site.use(guard).get('/me', (_req, res) => void res.json({}));
      site.use(((error, _req, res, _next) => {
        failures.push(error);
        res.status(500).end();
      }) as ErrorRequestHandler);
      expect((await request(site).get('/me')).status).toBe(500);
      await guard.close();
    }
    expect(failures).toHaveLength(2);
    for (const error of failures) {
      expect(error).toBeInstanceOf(TypeError);
      expect(error.message).toContain(told);
    }
  });

  it('is who signs in without sub by OpenID Connect', () => {
    const req = { oidc: { isAuthenticated: () => true, idTokenClaims: {} } } as unknown as Request;
    expect(openIdConnect().person(req)).toEqual({ externalId: undefined });
  });
});

describe('an answer', () => {
  it('serves for cacheMs, and concurrent questions about one person are one', async () => {
    const site = await startSite({ cacheMs: 300 });
    const device = await site.signIn(await somebody());
    const asked = front.asked.length;
    await Promise.all(Array.from({ length: 10 }, () => expectGood(device)));
    expect(front.asked.length - asked).toBe(1);
    await new Promise((resolve) => setTimeout(resolve, 350));
    await expectGood(device);
    expect(front.asked.length - asked).toBe(2);
  });

  it('is never kept for another name', async () => {
    const site = await startSite();
    const [email, other] = [await somebody(), await somebody()];
    await logOut(other);
    await expectGood(await site.signIn(email));
    await expectEnded(await site.signIn(other, 0));
  });

  it.each<[string, RequestListener]>([
    ['a refusal', (_req, res) => res.writeHead(401).end('{"validAfter":null}')],
    ['a failure', (_req, res) => res.writeHead(503).end()],
    ['a page', (_req, res) => res.end('<html>')],
    ['an empty object', (_req, res) => res.end('{}')],
    ['a time that is none', (_req, res) => res.end('{"user":"1","validAfter":"soon"}')],
    ['a redirect', (_req, res) => res.writeHead(302, { location: front.url }).end()],
    ['no answer', (req) => req.socket.destroy()],
  ])(
    'that is %s is none: 503, with the reason for who runs the app and not for the visitor',
    async (_what, listener) => {
      const site = await startSite();
      const device = await site.signIn(await somebody());
      front.answerWith(listener);
      await expectUnknown(device);
      expect(site.errors).toHaveLength(1);
      expect(site.errors[0]?.message).not.toMatch(/example\.com|a-sessions-token/);
    },
  );

  it('of another tenant, or to a wrong token, is none', async () => {
    const email = await somebody();
    for (const options of [{ tenant: 'acme' }, { token: 'another-sessions-token-of-the-specs' }]) {
      const site = await startSite(options);
      await expectUnknown(await site.signIn(email));
      expect(site.errors[0]?.message).toContain('answered 401');
    }
  });

  it('that is kept serves up to staleMs while the gateway is away, and refuses whom it refused', async () => {
    const site = await startSite({ cacheMs: 0, staleMs: 700 });
    const [email, out] = [await somebody(), await somebody()];
    const device = await site.signIn(email);
    await expectGood(device);
    await logOut(out);
    await expectEnded(await site.signIn(out, 0));
    front.answerWith((req) => req.socket.destroy());
    await expectGood(device);
    await expectEnded(await site.signIn(out, 0));
    await new Promise((resolve) => setTimeout(resolve, 750));
    await expectUnknown(device);
    front.through();
    await expectGood(device);
  });

  it('that is missing lets through only where the app wants it so', async () => {
    const site = await startSite({ whenUnknown: 'allow' });
    const email = await somebody();
    const device = await site.signIn(email);
    front.answerWith((req) => req.socket.destroy());
    await expectGood(device);
    front.through();
    await logOut(email);
    await expectEnded(device);
  });
});

describe('told by Redis', () => {
  it('it refuses at once what it had kept as good', async () => {
    const site = await startToldSite();
    const took: number[] = [];
    for (let round = 0; round < 5; round += 1) {
      const email = await somebody();
      const device = await site.signIn(email);
      await expectGood(device);
      await logOut(email);
      const start = performance.now();
      for (;;) {
        if ((await device.me()).status === 401) break;
        if (performance.now() - start > 2_000) throw new Error('not refused within two seconds');
      }
      took.push(performance.now() - start);
    }
    console.log(`from the 204 to the first refused request: ${took.map((ms) => ms.toFixed(1)).join(', ')} ms`);
  });

  it('it refuses who had a watermark before, without asking again', async () => {
    const site = await startToldSite();
    const email = await somebody();
    await logOut(email);
    const device = await site.signIn(email);
    await expectGood(device);
    const asked = front.asked.length;
    await logOut(email);
    await eventually(device.me, ({ status }) => status === 401);
    expect(front.asked).toHaveLength(asked);
  });

  it('it refuses who was deleted and came back, and had a watermark before', async () => {
    const email = await somebody();
    const site = await startToldSite();
    await logOut(email);
    await deleteAndCreate(email);
    const device = await site.signIn(email);
    await expectGood(device);
    await logOut(email);
    await eventually(device.me, ({ status }) => status === 401);
  });

  it.each([
    ['behind Sentinels', async () => startSentinelSet()],
    ['of a Cluster', async () => startCluster('{default}')],
  ])(
    'of a Redis %s, it is told by whatever master there is',
    async (_, start) => {
      const set = await start();
      closing.push(set.close);
      const { prefix } = endpoint.gateway;
      const channel = `${prefix}:{default}:valid-after`;
      const site = await startSite({ redis: set.url, cacheMs: 10 * MINUTE_MS, staleMs: 10 * MINUTE_MS });
      const publish = async (user: string) => {
        const heard = await set.master.admin.publish(channel, `${user} ${Date.now() + 1_000}`);
        return 'masters' in set || heard === 1;
      };
      await eventually(() => publish('nobody'), Boolean);
      const email = await somebody();
      await logOut(email);
      const device = await site.signIn(email, Date.now() + 100);
      await expectGood(device);
      const asked = front.asked.length;
      const [[user] = []] = await endpoint.gateway.directory.users.find('default', [{ kind: 'email', value: email }]);
      await eventually(
        async () => (await publish(user?.resource.id as string)) && (await device.me()).status,
        (status) => status === 401,
      );
      // It was told, and did not have to ask.
      expect(front.asked).toHaveLength(asked);
      expect(site.errors).toEqual([]);
    },
    60_000,
  );

  it('that an empty variable names, it is not told', async () => {
    const site = await startSite({ redis: '' });
    await expectGood(await site.signIn(await somebody()));
    expect(site.errors).toEqual([]);
  });

  it.each(['localhost:6379', 'redis+sentinel://localhost:26379', 'https://redis.example.com'])(
    'an address that is none is a mistake [%s]',
    (redis) => {
      const guard = () =>
        sessionGuard({
          gateway: endpoint.gateway.url,
          token: TOKEN,
          redis,
          person: () => undefined,
          startedAt: () => 0,
        });
      expect(guard).toThrow(/^redis of the session guard is /);
    },
  );

  it('while it asks, it keeps no answer that is older than what it was told', async () => {
    const site = await startToldSite();
    const email = await somebody();
    const device = await site.signIn(email);
    const held = front.hold();
    const early = device.me();
    await held.answered;
    await logOut(email);
    // The channel is one connection: what was told before this is heard by now.
    await eventually(listeners, (number) => number === 1);
    await new Promise((resolve) => setTimeout(resolve, 100));
    held.release();
    // This request came before the logout.
    expect((await early).status).toBe(200);
    await expectEnded(device);
  });

  it('it asks again once the connection is lost, and is told again once it is back', async () => {
    const wire = await startWire(Number(REDIS.port));
    closing.push(wire.close);
    const site = await startToldSite({}, wire.url);
    const [email, other] = [await somebody(), await somebody()];
    const [device, next] = [await site.signIn(email), await site.signIn(other)];
    await expectGood(device);
    await expectGood(next);
    // New connections go through, but not at once: the guard waits half a second before it tries.
    wire.mend();
    await eventually(listeners, (number) => number === 0);
    await logOut(email);
    await expectEnded(device);
    await eventually(listeners, (number) => number === 1);
    await expectGood(next);
    await logOut(other);
    await eventually(next.me, ({ status }) => status === 401);
  });

  it('of the logout of somebody else, it still has an answer up to staleMs while the gateway is away', async () => {
    // Shorter than cacheMs, which says nothing of how long an answer that is asked for again may serve.
    const site = await startToldSite({ staleMs: 1_500 });
    const [email, other] = [await somebody(), await somebody()];
    const device = await site.signIn(email);
    await expectGood(device);
    const start = performance.now();
    await logOut(other);
    front.answerWith((req) => req.socket.destroy());
    await eventually(
      async () => {
        await expectGood(device);
        return site.errors.length;
      },
      (number) => number > 0,
    );
    await new Promise((resolve) => setTimeout(resolve, 1_600 - (performance.now() - start)));
    await expectUnknown(device);
  });

  it('of a first logout while the gateway is away, it refuses as soon as the gateway is back', async () => {
    const site = await startToldSite();
    const email = await somebody();
    const device = await site.signIn(email);
    await expectGood(device);
    front.answerWith((req) => req.socket.destroy());
    await logOut(email);
    await eventually(
      async () => {
        await expectGood(device);
        return site.errors.length;
      },
      (number) => number > 0,
    );
    front.through();
    await expectEnded(device);
  });

  it('it is not told by another tenant', async () => {
    const site = await startToldSite();
    const device = await site.signIn(await somebody());
    await expectGood(device);
    const asked = front.asked.length;
    const publisher = new Redis(REDIS.href);
    await publisher.publish(`${endpoint.gateway.prefix}:{acme}:valid-after`, `1 ${Date.now() + MINUTE_MS}`);
    publisher.disconnect();
    await expectGood(device);
    expect(front.asked).toHaveLength(asked);
  });
});

it('the example of the documentation runs as it stands', async () => {
  const document = readFileSync(new URL('../docs/session-guard.md', import.meta.url), 'utf8');
  const [, example = ''] = /```js\n(import express[\s\S]*?)```/.exec(document) ?? [];
  const child = spawn(process.execPath, ['--input-type=module', '--eval', example], {
    cwd: new URL('..', import.meta.url),
    stdio: ['ignore', 'pipe', 'inherit'],
    env: {
      ...{ GATEWAY_URL: endpoint.gateway.url, SESSIONS_TOKEN: TOKEN, GATEWAY_REDIS_URL: REDIS.href },
      ...{ SESSION_SECRET: 'a-secret-of-the-specs', PORT: '0' },
    },
  });
  const exit = once(child, 'exit');
  closing.push(
    () => exit,
    () => child.kill(),
  );
  const [url] = await Promise.race([once(createInterface(child.stdout), 'line'), exit]);
  const email = await somebody();
  const device = request.agent(String(url));
  expect((await device.post('/login').send({ email })).status).toBe(204);
  await logOut(email);
  const response = await device.get('/me');
  expect([response.status, response.body.code]).toEqual([401, 'session_ended']);
  expect((await device.post('/login').send({ email })).status).toBe(204);
  expect((await device.get('/me')).body).toEqual({ email });
});

/** What the guard asks passes here, where it can be counted, held or answered otherwise. */
async function startFront(target: string) {
  const asked: string[] = [];
  const ask = (req: IncomingMessage) =>
    fetch(target + String(req.url), { headers: { authorization: String(req.headers.authorization) } });
  const pass: RequestListener = async (req, res) => {
    const response = await ask(req);
    const text = await response.text();
    res.writeHead(response.status, { 'content-type': 'application/json' }).end(text);
  };
  let listener = pass;
  const server = await listen((req, res) => {
    asked.push(String(req.url));
    listener(req, res);
  });
  return {
    url: urlOf(server),
    asked,
    through() {
      listener = pass;
    },
    answerWith(other: RequestListener) {
      listener = other;
    },
    /** The gateway answers the next question, and the answer waits here until it is released. */
    hold() {
      let release = () => {};
      const released = new Promise<void>((resolve) => {
        release = resolve;
      });
      const answered = new Promise<void>((resolve) => {
        listener = async (req, res) => {
          listener = pass;
          const text = await (await ask(req)).text();
          resolve();
          await released;
          res.end(text);
        };
      });
      return { answered, release };
    },
    close: () => close(server),
  };
}

async function listen(listener: RequestListener): Promise<Server> {
  const server = createServer(listener).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server;
}

function urlOf(server: Server): string {
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function close(server: Server): Promise<void> {
  const closed = once(server, 'close');
  server.close();
  server.closeAllConnections();
  await closed;
}
