/** The watermark as apps ask for it: who may ask, what raises it, and what is the same for everybody who has none. */
import { Redis } from 'ioredis';
import request, { type Response } from 'supertest';
import { createValidAfter } from '../../src/valid-after.js';
import { expectDocumented } from '../support/documented.js';
import { ADA, type Endpoint, person, startEndpoint } from '../support/endpoint.js';
import { ADMIN_TOKEN, configOf } from '../support/gateway.js';

const TOKEN = 'a-sessions-token-of-the-specs';
const ACME = 'a-sessions-token-of-the-acme-specs';
const SCIM_TOKEN = 'a-scim-token-of-the-specs';
const PARTIAL = '0oa6partial';

let endpoint: Endpoint;
let subscriber: Redis;
const heard: string[] = [];

beforeAll(async () => {
  endpoint = await startEndpoint({
    moreTrusts: (issuer) => [
      {
        id: 'partial',
        issuers: [issuer],
        client: PARTIAL,
        keys: { jwksUri: `${issuer}/oauth2/v1/keys` },
        mode: 'refresh-only',
      },
    ],
    tenant: { sessions: { tokens: [TOKEN] }, scim: { tokens: [SCIM_TOKEN], revokeOnDeactivate: true } },
    moreTenants: () => [{ id: 'acme', sessions: { tokens: [ACME] } }, { id: 'closed' }],
  });
  const { prefix, directory } = endpoint.gateway;
  for (const name of ['grace', 'barbara', 'alan']) {
    await directory.put('default', person(name, { emails: [`${name}@example.com`, 'team@example.com'] }));
  }
  subscriber = new Redis(process.env.TEST_REDIS_URL as string);
  subscriber.on('message', (_channel, message) => heard.push(message));
  await subscriber.subscribe(`${prefix}:{default}:valid-after`);
});

afterAll(async () => {
  subscriber.disconnect();
  await endpoint.close();
});

const ask = (query: Record<string, string>, token = TOKEN) => {
  const test = request(endpoint.gateway.url).get(`/api/sessions/valid-after?${new URLSearchParams(query)}`);
  return token === '' ? test : test.set('authorization', `Bearer ${token}`);
};
const byHand = (body: object) =>
  request(endpoint.gateway.url).post('/api/revocations').set('authorization', `Bearer ${ADMIN_TOKEN}`).send(body);
const iso = (ms: number) => new Date(ms).toISOString();

const userOf = async (userName: string) => {
  const [[found] = []] = await endpoint.gateway.directory.users.find('default', [
    { kind: 'userName', value: userName },
  ]);
  return found?.resource.id as string;
};

function expectAnswer(response: Response, answer: object): void {
  expectDocumented('readValidAfter', 200, response);
  expect(response.body).toEqual(answer);
}

describe('nobody may ask', () => {
  it.each<[string, string, Record<string, string>]>([
    ['without a token', '', {}],
    ['with a token of nobody', 'a-sessions-token-of-nobody', {}],
    ['with a part of the token', TOKEN.slice(0, -1), {}],
    ['with more than the token', `${TOKEN}x`, {}],
    ["with another tenant's token", ACME, {}],
    ["with this tenant's token, of another tenant", TOKEN, { tenant: 'acme' }],
    ['of a tenant without tokens', TOKEN, { tenant: 'closed' }],
    ['of a tenant that is not there', TOKEN, { tenant: 'nowhere' }],
    ['of a member of every object', TOKEN, { tenant: '__proto__' }],
    ['with the token of provisioning', SCIM_TOKEN, {}],
  ])('%s', async (_what, token, query) => {
    const response = await ask({ ...query, email: 'ada@example.com' }, token);
    expectDocumented('readValidAfter', 401, response, 'invalid_token');
    expect(response.headers['www-authenticate']).toMatch(/^Bearer /);
  });

  it('for a tenant twice, with the token of one of them', async () => {
    const response = await request(endpoint.gateway.url)
      .get('/api/sessions/valid-after?tenant=default&tenant=acme&email=ada@example.com')
      .set('authorization', `Bearer ${TOKEN}`);
    expectDocumented('readValidAfter', 401, response, 'invalid_token');
  });

  it('anything else with such a token', async () => {
    for (const path of ['/api/revocations', '/api/apps', '/api/sessions']) {
      const response = await request(endpoint.gateway.url).get(path).set('authorization', `Bearer ${TOKEN}`);
      expect([path, response.status]).toEqual([path, 401]);
    }
  });

  it.each<[string, Record<string, string>]>([
    ['nobody', {}],
    ['two names at once', { email: 'ada@example.com', userName: 'ada@example.com' }],
    ['an empty name', { email: '' }],
    ['an unknown kind of name', { phone: '+441632960001' }],
    ['a name that is too long', { email: 'a'.repeat(1_001) }],
  ])('about %s, and no value is repeated', async (_what, query) => {
    const response = await ask(query);
    expectDocumented('readValidAfter', 400, response, 'malformed_request');
    expect(response.text).not.toContain('example.com');
  });

  it('about a tenant that is not there, also as an operator', async () => {
    const response = await ask({ tenant: 'nowhere', email: 'ada@example.com' }, ADMIN_TOKEN);
    expectDocumented('readValidAfter', 404, response, 'not_found');
  });

  it('with a token that is short: the settings are refused', () => {
    const settings = { tenants: [{ id: 'default', sessions: { tokens: ['short'] } }] };
    expect(() => configOf(settings)).toThrow('tenants[0].sessions.tokens[0] needs at least 20 characters');
  });
});

describe('the watermark', () => {
  it('of somebody who has none, and of nobody, is the same to the last byte', async () => {
    const answers = [
      await ask({ email: 'grace@example.com' }),
      await ask({ email: 'nobody@example.com' }),
      await ask({ id: '__proto__' }),
      await ask({ email: 'ada@example.com' }, ADMIN_TOKEN),
      await ask({ tenant: 'acme', email: 'ada@example.com' }, ACME),
    ];
    for (const answer of answers) {
      expectAnswer(answer, { user: null, validAfter: null });
      expect(answer.headers['cache-control']).toBe('no-store');
    }
  });

  it('is there with the 204, by whatever name, for as long as revocations are kept, and is told', async () => {
    const { gateway, clock } = endpoint;
    heard.length = 0;
    expect((await endpoint.post(await endpoint.sign())).status).toBe(204);
    const user = await userOf('ada@example.com');
    const answer = { user, validAfter: iso(clock.now) };
    for (const query of [{ email: 'ADA@example.com' }, { userName: 'ada@example.com' }, { externalId: '00u1ada' }]) {
      expectAnswer(await ask(query), answer);
    }
    expectAnswer(await ask({ id: user }), answer);
    expectAnswer(await ask({ id: user }, ADMIN_TOKEN), answer);
    const left = await gateway.redis.pttl(`${gateway.prefix}:{default}:valid-after:${user}`);
    expect(left).toBeGreaterThan(89 * 86_400_000);
    expect(heard).toEqual([`${user} ${clock.now}`]);
  });

  it('stays where it is on a repeat of the request', async () => {
    const { clock } = endpoint;
    clock.now += 1_000;
    const jwt = await endpoint.sign();
    expect((await endpoint.post(jwt)).status).toBe(204);
    const first = (await ask({ email: 'ada@example.com' })).body;
    expect(first.validAfter).toBe(iso(clock.now));
    clock.now += 5_000;
    expect((await endpoint.post(jwt)).status).toBe(204);
    expect((await ask({ email: 'ada@example.com' })).body).toEqual(first);
  });

  it('never goes back', async () => {
    const { redis, prefix } = endpoint.gateway;
    const marks = createValidAfter(redis, { prefix, retentionMs: 60_000 });
    const before = await ask({ email: 'ada@example.com' });
    const user = before.body.user as string;
    heard.length = 0;
    await marks.raise({ tenant: 'default', user, acceptedAt: Date.parse(before.body.validAfter) - 1 });
    await marks.raise({ tenant: 'default', user, acceptedAt: Date.parse(before.body.validAfter) });
    expect((await ask({ email: 'ada@example.com' })).body).toEqual(before.body);
    expect(heard).toEqual([]);
  });

  it('is not touched by a trust that ends no sessions, nor by a refusal', async () => {
    const before = (await ask({ email: 'ada@example.com' })).body;
    endpoint.clock.now += 1_000;
    const partial = await endpoint.sign({ claims: { sub: PARTIAL } });
    expect((await endpoint.post(partial)).status).toBe(204);
    expect((await byHand({ email: 'ada@example.com', mode: 'refresh-only' })).status).toBe(202);
    expect((await endpoint.post(await endpoint.sign({ claims: { exp: 1 } }))).status).toBe(401);
    const team = { sub_id: { format: 'email', email: 'team@example.com' } };
    expect((await endpoint.post(await endpoint.sign(), team)).status).toBe(422);
    expect((await ask({ email: 'ada@example.com' })).body).toEqual(before);
    expectAnswer(await ask({ email: 'team@example.com' }), { user: null, validAfter: null });
  });

  it('is raised by hand, and of an address that several share it is the newest', async () => {
    const { clock } = endpoint;
    for (const name of ['grace', 'alan']) {
      clock.now += 1_000;
      expect((await byHand({ email: `${name}@example.com` })).status).toBe(202);
      expectAnswer(await ask({ email: `${name}@example.com` }), {
        user: await userOf(`${name}@example.com`),
        validAfter: iso(clock.now),
      });
    }
    expectAnswer(await ask({ email: 'team@example.com' }), { user: null, validAfter: iso(clock.now) });
  });

  it('is raised by a deactivation that is a revocation, and outlives the user', async () => {
    const { clock, gateway } = endpoint;
    clock.now += 1_000;
    const user = await userOf('barbara@example.com');
    const gone = await request(gateway.url)
      .delete(`/scim/v2/Users/${user}`)
      .set('authorization', `Bearer ${SCIM_TOKEN}`);
    expect(gone.status).toBe(204);
    expectAnswer(await ask({ userName: 'barbara@example.com' }), { user, validAfter: iso(clock.now) });
  });

  it.each([['externalId'], ['userName'], ['email']])('outlives the user who comes back, by the %s', async (kind) => {
    const { clock, gateway } = endpoint;
    const { users } = gateway.directory;
    const [userName, externalId] = [`again-${kind}@example.com`, `00u-again-${kind}`];
    const attributes = { userName, externalId, emails: [{ value: userName }] };
    const query = { [kind]: kind === 'externalId' ? externalId : userName } as Record<string, string>;
    clock.now += 1_000;
    const first = await users.create('default', attributes);
    expect((await byHand({ userName })).status).toBe(202);
    const validAfter = iso(clock.now);
    await users.remove('default', first);
    expectAnswer(await ask(query), { user: first.id, validAfter });
    const second = await users.create('default', attributes);
    // Neither of the two alone: a change of either may be of this person.
    expectAnswer(await ask(query), { user: null, validAfter });
    await users.remove('default', second);
    const third = await users.create('default', attributes);
    expectAnswer(await ask(query), { user: null, validAfter });
    expectAnswer(await ask({ id: third.id }), { user: null, validAfter: null });
    clock.now += 1_000;
    expect((await byHand({ userName })).status).toBe(202);
    expectAnswer(await ask(query), { user: null, validAfter: iso(clock.now) });
    expectAnswer(await ask({ id: third.id }), { user: third.id, validAfter: iso(clock.now) });
  });

  it('of one who never had any is not there for whoever comes back, nor for anybody else', async () => {
    const { users } = endpoint.gateway.directory;
    const attributes = { userName: 'never@example.com', externalId: '00u-never' };
    await users.remove('default', await users.create('default', attributes));
    await users.create('default', attributes);
    for (const query of [{ userName: attributes.userName }, { externalId: '00u-never' }]) {
      expectAnswer(await ask(query), { user: null, validAfter: null });
    }
    expectAnswer(await ask({ tenant: 'acme', userName: 'again-email@example.com' }, ACME), {
      user: null,
      validAfter: null,
    });
  });

  it('belongs to what is accepted: where Redis cannot write it, the answer is 503, and the repeat writes it', async () => {
    const { gateway, clock } = endpoint;
    clock.now += 1_000;
    const { user, validAfter } = (await ask({ email: 'ada@example.com' })).body;
    const key = `${gateway.prefix}:{default}:valid-after:${user}`;
    await gateway.redis.multi().del(key).hset(key, 'not', 'a string').exec();
    const jwt = await endpoint.sign();
    expect((await endpoint.post(jwt, ADA)).status).toBe(503);
    expect((await byHand({ email: 'ada@example.com' })).status).toBe(503);
    await gateway.redis.del(key);
    expect((await endpoint.post(await endpoint.sign(), ADA)).status).toBe(204);
    const after = (await ask({ email: 'ada@example.com' })).body;
    expect(after).toEqual({ user, validAfter: iso(clock.now) });
    expect(after.validAfter).not.toBe(validAfter);
  });
});
