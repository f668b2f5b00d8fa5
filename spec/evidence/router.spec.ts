/** `POST /tenants/{tenant}/apps/{app}/events`: only what the app has signed is read, and only what is of nobody is kept. */
import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { Writable } from 'node:stream';
import { Router } from 'express';
import { Redis } from 'ioredis';
import pino from 'pino';
import request, { type Response } from 'supertest';
import { z } from 'zod';
import { createApp } from '../../src/app.js';
import { createAudit, readAudit } from '../../src/audit.js';
import { anyName } from '../../src/connectors/account.js';
import { cerby } from '../../src/connectors/cerby.js';
import { type Connector, defineConnector, NONE } from '../../src/connectors/connector.js';
import { createEvidenceRouter } from '../../src/evidence/router.js';
import type { App } from '../../src/fanout/call-app.js';
import { createEvidenceStore } from '../../src/fanout/evidence.js';
import { connectForRequests } from '../../src/redis.js';
import { RequestError } from '../../src/request-error.js';
import { createCalls } from '../support/call.js';
import { ADA, API_KEY, createCerby, event, KEY_OWNER, signedByCerby } from '../support/cerby.js';
import { expectDocumented } from '../support/documented.js';
import { eventually } from '../support/eventually.js';
import { startVendor, type Vendor } from '../support/vendor.js';

const PATH = '/tenants/acme/apps/cerby/events';
const fake = createCerby();
const HMAC = 'a-s3cret-of-the-webhook';

let redis: Redis;
let prefix: string;
let log: string;
let nowMs = Date.parse('2026-11-26T12:00:10.000Z');
let refusals: string[];
let limit: number;
let audits: number;

beforeEach(() => {
  redis = new Redis(process.env.TEST_REDIS_URL as string);
  prefix = `spec-${randomUUID().slice(0, 8)}`;
  log = '';
  nowMs = Date.parse('2026-11-26T12:00:10.000Z');
  refusals = [];
  limit = Number.POSITIVE_INFINITY;
  audits = Number.POSITIVE_INFINITY;
});
afterEach(async () => {
  const left = await redis.keys(`${prefix}:*`);
  if (left.length > 0) await redis.del(left);
  redis.disconnect();
});

const lines = new Writable({
  write(chunk, _encoding, done) {
    log += chunk;
    done();
  },
});

/** Has no `receive`; or has one that makes of an event what it should not. */
function connectorThat(receive?: Connector<unknown>['receive']): Connector<unknown> {
  return defineConnector<unknown>({
    ...{ name: 'other', options: z.unknown(), account: anyName, modes: ['full'], docs: {} as never },
    ...{ revoke: async () => NONE, check: async () => ({ ok: true, detail: '' }) },
    ...(receive && { receive }),
  });
}

function appWith(more: Partial<App> = {}, client: Parameters<typeof createEvidenceStore>[0] = redis) {
  const options = cerby.options.parse({
    ...{ url: 'https://acme.cerby.com', apiKey: API_KEY, keyOwner: KEY_OWNER },
    webhookKeys: [fake.publicKey, `hmac-sha256=${HMAC}`],
  });
  const app = { tenant: 'acme', id: 'cerby', connector: cerby as Connector<unknown>, options } as App;
  const logger = pino({ level: 'trace' }, lines);
  const router = createEvidenceRouter({
    apps: [
      { ...app, ...more },
      { ...app, id: 'silent', connector: connectorThat() },
    ],
    evidence: createEvidenceStore(client, prefix),
    async refused(address) {
      refusals.push(address);
      if (refusals.length <= limit) return undefined;
      return new RequestError(429, 'too_many_requests', 'Too many requests.', { headers: { 'retry-after': '7' } });
    },
    async audited() {
      audits -= 1;
      return audits >= 0;
    },
    audit: createAudit(client, { prefix, tenants: ['acme'] }),
    ...{ logger, now: () => nowMs },
  });
  return createApp(Router(), [router], logger);
}

const rotated = (more: object = {}) =>
  event('account.credentials.rotated', new Date(nowMs), {
    ...{ account_id: 'account-1', application: 'figma', credentials_identifier: ADA },
    ...more,
  });

type Sending = {
  path?: string;
  headers?: string[];
  app?: ReturnType<typeof appWith>;
  keys?: Parameters<typeof signedByCerby>[2];
};

async function send(body: string | object, sending: Sending = {}): Promise<Response> {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  const { path = PATH, app = appWith(), keys = [fake.privateKey] } = sending;
  const headers = sending.headers ?? signedByCerby(text, new Date(nowMs), keys);
  // supertest would set them by name, and so send each once.
  const asked = request(app).post(path);
  const byName = new Map<string, string[]>();
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i] as string;
    byName.set(name, [...(byName.get(name) ?? []), headers[i + 1] as string]);
  }
  for (const [name, values] of byName) asked.set(name, (values.length > 1 ? values : values[0]) as string);
  return asked.send(text);
}

const kept = () => createEvidenceStore(redis, prefix).read({ tenant: 'acme', app: 'cerby' }, ['account-1', 'job-1']);

const trail = async () =>
  (await redis.xrange(`${prefix}:{acme}:audit`, '-', '+')).map(([, fields]) => readAudit(fields));

describe('an event that the app has signed', () => {
  it('is kept, by the account and by the job that it is about, without what names a person', async () => {
    const sent = event('automation.password.rotated', new Date(nowMs), {
      ...{ automation_job_id: 'job-1', application: 'figma', account_id: 'account-1', automation_link: `x/${ADA}` },
    }) as { event_id: string };
    expectDocumented('receiveEvent', 204, await send({ ...sent, credentials_identifier: ADA }));
    const what = { type: 'automation.password.rotated', at: nowMs, ok: true, eventId: sent.event_id };
    expect(await kept()).toEqual([
      { about: 'account-1', ...what },
      { about: 'job-1', ...what },
    ]);
    const keys = await redis.keys(`${prefix}:*`);
    for (const key of keys.filter((one) => one.includes(':evidence:'))) {
      const stored = JSON.stringify([key, await redis.hgetall(key)]);
      expect(stored).not.toMatch(/s3cret|@|figma/);
    }
    expect(keys.filter((one) => one.includes(':evidence:'))).toHaveLength(2);
  });

  it('is kept once, however often and in whatever delivery it comes', async () => {
    const sent = rotated();
    for (let attempt = 1; attempt <= 3; attempt += 1) {
      nowMs += 60_000;
      expectDocumented('receiveEvent', 204, await send(sent));
    }
    expect(await kept()).toHaveLength(1);
    expect((await trail()).filter((one) => one.event === 'evidence.received')).toHaveLength(1);
  });

  it.each([
    ['one that is of no use', 'account.access.shared'],
    ['one that nobody knows yet', 'account.vault.assigned'],
  ])('that is %s is taken and not kept', async (_what, type) => {
    const sent = event(type, new Date(nowMs), { account_id: 'account-1', account_name: ADA });
    expectDocumented('receiveEvent', 204, await send(sent));
    expect(await redis.keys(`${prefix}:*:evidence:*`)).toEqual([]);
  });

  it.each([
    ['by its name', 'account.credentials.rotation_failed', {}],
    ['by its error', 'automation.succeeded', { error: { code: 'BadCredentials', message: ADA, user_action: 'x' } }],
  ])('is a failure where it says so [%s]', async (_what, type, more) => {
    await send(event(type, new Date(nowMs), { account_id: 'account-1' }, more));
    expect(await kept()).toMatchObject([{ ok: false }]);
  });

  it.each([
    ['no JSON', '{'],
    ['nothing', ''],
    ['a list', '[]'],
    ['no id', { event_type: 'automation.succeeded', occurred_at: '2026-11-26T12:00:10.000Z', data: {} }],
    ['an id that is none', rotated({ account_id: ADA })],
    ['a time that is none', { ...(rotated() as object), occurred_at: 'lately' }],
  ])('is refused where it cannot be read [%s]', async (_what, body) => {
    expectDocumented('receiveEvent', 400, await send(body), 'malformed_request');
    expect(await kept()).toEqual([]);
  });

  it('may be signed by a secret, and by two keys while one is changed', async () => {
    const old = generateKeyPairSync('ed25519').privateKey;
    expectDocumented('receiveEvent', 204, await send(rotated(), { keys: [HMAC] }));
    expectDocumented('receiveEvent', 204, await send(rotated(), { keys: [old, fake.privateKey] }));
    expectDocumented('receiveEvent', 204, await send(rotated(), { keys: [fake.privateKey, old] }));
    expect(await kept()).toHaveLength(3);
  });

  it('may come with its signatures joined into one header, as some proxies do', async () => {
    const body = JSON.stringify(rotated());
    const headers = signedByCerby(body, new Date(nowMs), ['another secret of 16', HMAC]);
    const signatures = headers.filter((_, i) => headers[i - 1] === 'X-Cerby-Signature');
    const timestamp = ['X-Cerby-Signature-Timestamp', new Date(nowMs).toISOString()];
    const joined = ['X-Cerby-Signature', signatures.join(', '), ...timestamp];
    expectDocumented('receiveEvent', 204, await send(body, { headers: joined }));
  });
});

describe('whoever cannot sign', () => {
  const now = () => new Date(nowMs);
  const body = () => JSON.stringify(rotated());

  const ways: [string, (text: string) => Sending & { text?: string }][] = [
    ['without any header', () => ({ headers: [] })],
    [
      'with another key',
      (text) => ({ headers: signedByCerby(text, now(), [generateKeyPairSync('ed25519').privateKey]) }),
    ],
    ['with another secret', (text) => ({ headers: signedByCerby(text, now(), [`${HMAC}x`]) })],
    ['with another body', (text) => ({ headers: signedByCerby(`${text} `, now(), [fake.privateKey]) })],
    ['more than five minutes ago', (text) => ({ headers: signedByCerby(text, new Date(nowMs - 300_001), [HMAC]) })],
    ['more than five minutes ahead', (text) => ({ headers: signedByCerby(text, new Date(nowMs + 300_001), [HMAC]) })],
    [
      'with a newer time than was signed',
      (text) => {
        const headers = signedByCerby(text, new Date(nowMs - 600_000), [HMAC]);
        return {
          headers: headers.map((one, i) => (headers[i - 1]?.endsWith('Timestamp') ? now().toISOString() : one)),
        };
      },
    ],
    [
      'with two times',
      (text) => ({
        headers: [...signedByCerby(text, now(), [HMAC]), 'X-Cerby-Signature-Timestamp', now().toISOString()],
      }),
    ],
    [
      'with a time that is none',
      (text) => ({
        headers: signedByCerby(text, now(), [HMAC]).map((one) => (one === now().toISOString() ? 'now' : one)),
      }),
    ],
    [
      'with a public key for a secret',
      (text) => ({ headers: signedByCerby(text, now(), [fake.publicKey.replace('ed25519=', '')]) }),
    ],
    [
      'with a signature of nothing',
      () => ({ headers: ['X-Cerby-Signature', 'ed25519=', 'X-Cerby-Signature-Timestamp', now().toISOString()] }),
    ],
    [
      'by another algorithm',
      (text) => ({
        headers: signedByCerby(text, now(), [HMAC]).map((one) => one.replace(/^hmac-sha256=/, 'none=')),
      }),
    ],
    ['hidden behind many signatures', (text) => ({ headers: signedByCerby(text, now(), ['1', '2', '3', '4', HMAC]) })],
    ['to an app that there is not', () => ({ path: '/tenants/acme/apps/nothing/events' })],
    ['to a tenant that there is not', () => ({ path: '/tenants/nobody/apps/cerby/events' })],
    ['to an app that sends no events', () => ({ path: '/tenants/acme/apps/silent/events' })],
    ['to an app of another name', () => ({ path: '/tenants/acme/apps/CERBY/events' })],
  ];

  it.each(ways)('gets one and the same answer, and nothing is kept [%s]', async (_how, way) => {
    const text = body();
    const response = await send(text, way(text));
    expectDocumented('receiveEvent', 401, response, 'invalid_signature');
    expect(response.body.detail).toBe('This needs the signature of an app that sends events.');
    expect(await redis.keys(`${prefix}:*:evidence:*`)).toEqual([]);
    expect(refusals).toHaveLength(1);
  });

  it('has nothing parsed', async () => {
    expectDocumented('receiveEvent', 401, await send('{', { headers: [] }), 'invalid_signature');
  });

  it('is refused where the settings have no key', async () => {
    const { data: options } = cerby.options.safeParse({
      url: 'https://acme.cerby.com',
      apiKey: API_KEY,
      keyOwner: KEY_OWNER,
    });
    const response = await send(rotated(), { app: appWith({ options }) });
    expectDocumented('receiveEvent', 401, response, 'invalid_signature');
  });

  it('is told to wait where it tries too often; a good one never is', async () => {
    limit = 1;
    const app = appWith();
    expectDocumented('receiveEvent', 401, await send(rotated(), { app, headers: [] }), 'invalid_signature');
    expectDocumented('receiveEvent', 429, await send(rotated(), { app, headers: [] }), 'too_many_requests');
    expectDocumented('receiveEvent', 204, await send(rotated(), { app }));
  });

  it('is written down as often as the audit trail has room for strangers, and what is good always', async () => {
    audits = 2;
    const app = appWith();
    for (let i = 0; i < 5; i++) {
      expectDocumented('receiveEvent', 401, await send(rotated(), { app, headers: [] }), 'invalid_signature');
    }
    expectDocumented('receiveEvent', 204, await send(rotated(), { app }));
    const events = (await eventually(trail, ({ length }) => length >= 3)).map(({ event: name }) => name);
    expect(events).toEqual(['evidence.refused', 'evidence.refused', 'evidence.received']);
  });

  it('stands in the log and the audit trail, without what it sent', async () => {
    await send(rotated({ account_id: ADA }), { headers: ['X-Cerby-Signature', `ed25519=${ADA}`] });
    await send(rotated(), { path: `/tenants/acme/apps/${encodeURIComponent(ADA)}/events` });
    await send(rotated());
    const entries = await trail();
    expect(entries).toContainEqual({
      ...{ event: 'evidence.refused', tenant: 'acme', app: 'cerby', status: '401', reason: 'invalid_signature' },
    });
    expect(entries).toContainEqual({
      ...{ event: 'evidence.received', tenant: 'acme', app: 'cerby', state: 'account.credentials.rotated' },
    });
    expect(log).toContain('evidence.refused');
    expect(log).toContain('evidence.received');
    for (const text of [log, JSON.stringify(entries)]) expect(text).not.toMatch(/s3cret|example\.com|figma/);
  });
});

describe('a request that is none', () => {
  it.each(['get', 'put', 'delete', 'patch'] as const)('is answered 405 [%s]', async (method) => {
    expectDocumented('receiveEvent', 405, await request(appWith())[method](PATH), 'method_not_allowed');
  });

  it('is too large beyond 16 kB, signed or not', async () => {
    const large = JSON.stringify({ ...(rotated() as object), more: 'x'.repeat(16 * 1024) });
    expectDocumented('receiveEvent', 413, await send(large), 'body_too_large');
    expectDocumented('receiveEvent', 413, await send(large, { headers: [] }), 'body_too_large');
  });

  it('is not unpacked', async () => {
    const text = JSON.stringify(rotated());
    const headers = [...signedByCerby(text, new Date(nowMs), [HMAC]), 'Content-Encoding', 'gzip'];
    expectDocumented('receiveEvent', 415, await send(text, { headers }), 'unsupported_media_type');
  });
});

it('while Redis is away the app is told to come again, and a stranger learns nothing of that', async () => {
  const away = connectForRequests({ url: 'redis://127.0.0.1:1' });
  away.on('error', () => {});
  const app = appWith({}, away);
  const response = await send(rotated(), { app });
  expectDocumented('receiveEvent', 503, response, 'redis_unavailable');
  expect(response.headers['retry-after']).toMatch(/^\d+$/);
  expectDocumented('receiveEvent', 401, await send(rotated(), { app, headers: [] }), 'invalid_signature');
  away.disconnect();
});

it('keeps no address, whatever a connector takes for an id', async () => {
  const one = { about: 'account-1', type: 'x', at: 1, ok: true, eventId: '1' };
  const connector = connectorThat(() => [
    { ...one, about: ADA },
    { ...one, type: 'a sentence' },
    { ...one, eventId: '' },
    { ...one, about: 'a'.repeat(129) },
    one,
  ]);
  expectDocumented('receiveEvent', 204, await send('anything', { app: appWith({ connector }) }));
  expect(await redis.keys(`${prefix}:*:evidence:*`)).toEqual([`${prefix}:{acme}:evidence:cerby:account-1`]);
});

describe('together with cerby', () => {
  let vendor: Vendor;
  let calls: Awaited<ReturnType<typeof createCalls>>;
  beforeAll(async () => {
    vendor = await startVendor();
    calls = await createCalls();
  });
  afterAll(() => Promise.all([vendor.close(), calls.close()]));

  it('what its Universal Logout has reported is a sign, and the account is not asked', async () => {
    const workspace = createCerby();
    vendor.reset(workspace.routes());
    const acceptedAt = nowMs - 5_000;
    const events = workspace.universalLogout('user-ada', new Date(nowMs));
    expect(events).toHaveLength(3);
    for (const sent of events) expectDocumented('receiveEvent', 204, await send(sent));
    const options = cerby.options.parse({ url: vendor.url, apiKey: API_KEY, keyOwner: KEY_OWNER, watchSeconds: 600 });
    const store = createEvidenceStore(redis, prefix);
    const call = calls.call({
      ...{ acceptedAt, now: () => new Date(nowMs) },
      evidence: (abouts) => store.read({ tenant: 'acme', app: 'cerby' }, abouts),
    });
    const begun = await cerby.revoke(ADA, options, call);
    if (!('pending' in begun)) throw new Error('it has not begun');
    expect(await cerby.poll?.(begun.pending.poll, options, call)).toMatchObject({
      ...{ state: 'accepted', what: [] },
      partial: expect.stringMatching(/signs at 1 of 1 accounts$/),
    });
    expect(vendor.violations).toEqual([]);
    expect(vendor.requests.map((one) => one.call)).toEqual(['GET /api/v1/users', 'GET /api/v1/users/{}/accounts']);
  });
});

describe('the keys', () => {
  const pair = generateKeyPairSync('ed25519');
  const optionsWith = (key: string) => ({
    ...{ url: 'https://acme.cerby.com', apiKey: API_KEY, keyOwner: KEY_OWNER, webhookKeys: [key] },
  });

  it.each([
    ['PEM', pair.publicKey.export({ format: 'pem', type: 'spki' }).toString()],
    ['DER in base64', pair.publicKey.export({ format: 'der', type: 'spki' }).toString('base64')],
    [
      'its 32 bytes in base64',
      Buffer.from(pair.publicKey.export({ format: 'jwk' }).x ?? '', 'base64url').toString('base64'),
    ],
    ['its 32 bytes in base64url', String(pair.publicKey.export({ format: 'jwk' }).x)],
  ])('may be given as %s', async (_form, key) => {
    const options = cerby.options.parse(optionsWith(`ed25519=${key}`));
    expectDocumented(
      'receiveEvent',
      204,
      await send(rotated(), { app: appWith({ options }), keys: [pair.privateKey] }),
    );
  });

  it.each([
    ['nothing', ''],
    ['no algorithm', 'a-secret-of-the-webhook'],
    ['an unknown one', 'none=a-secret-of-the-webhook'],
    ['a short secret', 'hmac-sha256=short'],
    ['no key', 'ed25519=not a key'],
    [
      'a key of another kind',
      `ed25519=${generateKeyPairSync('x25519').publicKey.export({ format: 'pem', type: 'spki' })}`,
    ],
  ])('are a mistake of the settings where they are %s', (_what, key) => {
    const { error } = cerby.options.safeParse(optionsWith(key));
    expect(error?.issues[0]?.path).toEqual(['webhookKeys', 0]);
    if (key !== '') expect(error?.message).not.toContain(key);
  });
});
