/** How the keys of an issuer are kept: fetched once for many, renewed, and outliving their issuer for a while (JWT-08, JWT-09). */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { type Endpoint, startEndpoint } from '../support/endpoint.js';
import { createKey, type Key, type Okta } from '../support/okta.js';
import { expectUnauthenticated } from '../support/refusal.js';

const SECOND = 1_000;
const HOUR = 3_600 * SECOND;
const MOST_TESTS = 80;

let endpoint: Endpoint;
let okta: Okta;
/** The keys that Okta has next, and one that is nobody's, under a kid of Okta's. */
let next: Key;
let stranger: Key;
/** The app of a trust that no test has used before: each trust keeps the keys of its issuer for itself. */
let client: string;
let tests = 0;

beforeAll(async () => {
  [next, stranger] = await Promise.all([createKey('okta-2'), createKey('okta-1')]);
  endpoint = await startEndpoint({
    moreTrusts: (issuer) =>
      Array.from({ length: MOST_TESTS }, (_, index) => ({
        id: `trust-${index}`,
        issuers: [issuer],
        client: `client-${index}`,
        keys: { jwksUri: `${issuer}/oauth2/v1/keys` },
      })),
  });
  ({ okta } = endpoint);
});

afterAll(() => endpoint.close());

beforeEach(() => {
  client = `client-${tests++}`;
  recover();
  okta.state.requests.length = 0;
  okta.state.keys = [okta.key.jwk];
});

function recover(): void {
  Object.assign(okta.state, { status: 200, body: undefined, delayMs: 0, headers: { 'cache-control': 'max-age=600' } });
}

const later = (ms: number) => {
  endpoint.clock.now += ms;
};

const sign = (key: Key = okta.key, kid = key.kid) => endpoint.sign({ key, header: { kid }, claims: { sub: client } });

const post = async (key?: Key, kid?: string) => (await endpoint.post(await sign(key, kid))).status;

async function refuses(key: Key, kid: string, reason: string): Promise<void> {
  const jwt = await sign(key, kid);
  await expectUnauthenticated(endpoint, () => endpoint.post(jwt), { reason });
}

const fetched = () => okta.state.requests.length;

describe('keys', () => {
  it('are fetched once for fifty requests that wait for them', async () => {
    okta.state.delayMs = 200;
    const statuses = await Promise.all(Array.from({ length: 50 }, () => post()));
    expect(statuses).toEqual(Array(50).fill(204));
    expect(fetched()).toBe(1);
  });

  it.each<[string | undefined, number]>([
    ['max-age=600', 600 * SECOND],
    ['public, max-age=3600, must-revalidate', HOUR],
    ['MAX-AGE=60', 60 * SECOND],
    ['max-age=3832304, must-revalidate', 24 * HOUR],
    [`max-age=${'9'.repeat(40)}`, 24 * HOUR],
    ['max-age=0', 30 * SECOND],
    ['no-store', 600 * SECOND],
    ['s-maxage=10', 600 * SECOND],
    ['max-age=-5', 600 * SECOND],
    [undefined, 600 * SECOND],
  ])('are kept as Cache-Control says, a day at most: %s', async (header, ms) => {
    okta.state.headers = header === undefined ? {} : { 'cache-control': header };
    expect(await post()).toBe(204);
    later(ms - 1);
    expect(await post()).toBe(204);
    expect(fetched()).toBe(1);
    later(1);
    expect(await post()).toBe(204);
    expect(fetched()).toBe(2);
  });

  it('are fetched anew for a kid that nobody knows, once in thirty seconds', async () => {
    expect(await post()).toBe(204);
    for (let round = 1; round <= 3; round++) {
      for (const kid of ['x', 'y', 'x']) await refuses(okta.key, kid, 'no_suitable_key');
      expect(fetched()).toBe(round);
      later(30 * SECOND - 1);
      await refuses(okta.key, 'x', 'no_suitable_key');
      expect(fetched()).toBe(round);
      later(1);
    }
  });

  it('are fetched anew once for fifty requests with kids that nobody knows', async () => {
    expect(await post()).toBe(204);
    later(30 * SECOND);
    const statuses = await Promise.all(Array.from({ length: 50 }, (_, index) => post(okta.key, `kid-${index}`)));
    expect(statuses).toEqual(Array(50).fill(401));
    expect(fetched()).toBe(2);
  });

  it('that are new work at once, and those of before for as long as they are shown', async () => {
    expect(await post()).toBe(204);
    okta.state.keys = [next.jwk, okta.key.jwk];
    later(30 * SECOND);
    expect(await post(next)).toBe(204);
    expect(await post()).toBe(204);
    expect(fetched()).toBe(2);
  });

  it('that are taken out of the set are refused when it is fetched again', async () => {
    expect(await post()).toBe(204);
    okta.state.keys = [next.jwk];
    later(600 * SECOND - 1);
    expect(await post()).toBe(204);
    later(1);
    await refuses(okta.key, 'okta-1', 'no_suitable_key');
    expect(fetched()).toBe(2);
  });

  it('that are replaced under the same kid are refused when the set is fetched again', async () => {
    expect(await post()).toBe(204);
    okta.state.keys = [stranger.jwk];
    later(600 * SECOND);
    expect(await post(stranger)).toBe(204);
    await refuses(okta.key, 'okta-1', 'signature_invalid');
  });
});

describe('keys without a kid', () => {
  const nameless = ({ jwk: { kid: _, ...jwk } }: Key) => jwk;
  const signNameless = (key: Key) => endpoint.sign({ key, header: { kid: undefined }, claims: { sub: client } });
  const postNameless = async (key: Key) => (await endpoint.post(await signNameless(key))).status;

  async function refusesNameless(key: Key): Promise<void> {
    const jwt = await signNameless(key);
    await expectUnauthenticated(endpoint, () => endpoint.post(jwt), { reason: 'signature_invalid' });
  }

  beforeEach(() => {
    okta.state.headers = { 'cache-control': 'max-age=86400' };
    okta.state.keys = [nameless(okta.key)];
  });

  it('that are new work at once, and those that are taken out no longer', async () => {
    expect(await postNameless(okta.key)).toBe(204);
    okta.state.keys = [nameless(next)];
    later(30 * SECOND);
    expect(await postNameless(next)).toBe(204);
    expect(fetched()).toBe(2);
    await refusesNameless(okta.key);
    expect(await postNameless(next)).toBe(204);
  });

  it('also work where it is the JWT alone that has no kid', async () => {
    okta.state.keys = [okta.key.jwk];
    expect(await postNameless(okta.key)).toBe(204);
    okta.state.keys = [okta.key.jwk, next.jwk];
    later(30 * SECOND);
    expect(await postNameless(next)).toBe(204);
  });

  it('are fetched anew for a signature that no key has made, once in thirty seconds', async () => {
    expect(await postNameless(okta.key)).toBe(204);
    for (let round = 1; round <= 3; round++) {
      for (const _ of ['once', 'again', 'and again']) await refusesNameless(stranger);
      expect(fetched()).toBe(round);
      later(30 * SECOND - 1);
      await refusesNameless(stranger);
      expect(fetched()).toBe(round);
      later(1);
    }
  });

  it('are fetched anew once for fifty such signatures at once', async () => {
    expect(await postNameless(okta.key)).toBe(204);
    later(30 * SECOND);
    const statuses = await Promise.all(Array.from({ length: 50 }, () => postNameless(stranger)));
    expect(statuses).toEqual(Array(50).fill(401));
    expect(fetched()).toBe(2);
  });

  it('are fetched anew for no JWT whose claims are wrong', async () => {
    expect(await postNameless(okta.key)).toBe(204);
    later(30 * SECOND);
    const jwt = await endpoint.sign({ header: { kid: undefined }, claims: { sub: client, aud: 'x' } });
    expect((await endpoint.post(jwt)).status).toBe(401);
    expect(fetched()).toBe(1);
  });

  it('are fetched anew for no JWT that names its key', async () => {
    okta.state.keys = [okta.key.jwk];
    expect(await post()).toBe(204);
    later(30 * SECOND);
    await refuses(stranger, 'okta-1', 'signature_invalid');
    expect(fetched()).toBe(1);
  });

  it('are 503 where the new one cannot be had, since the caller may not be to blame', async () => {
    expect(await postNameless(okta.key)).toBe(204);
    Object.assign(okta.state, { status: 500, keys: [nameless(next)] });
    later(30 * SECOND);
    expect(await postNameless(next)).toBe(503);
    expect(await postNameless(okta.key)).toBe(204);
    expect(fetched()).toBe(2);
    okta.state.status = 200;
    later(30 * SECOND);
    expect(await postNameless(next)).toBe(204);
  });
});

const unusable = [
  { kty: 'oct', kid: 'okta-1', k: 'AAAA' },
  { kty: 'RSA', kid: 'okta-1', n: Buffer.alloc(128, 1).toString('base64url'), e: 'AQAB' },
  { kty: 'RSA', kid: 'okta-1', n: Buffer.alloc(256, 1).toString('base64url'), e: 'AQAB', use: 'enc' },
  { kty: 'EC', kid: 'okta-1', crv: 'P-256', x: 'AA', y: 'AA' },
];

/** Ways for an issuer to fail; the last ones answer 200. */
const failures: [string, (elsewhere: string) => Partial<Okta['state']>][] = [
  ['500', () => ({ status: 500 })],
  ['404', () => ({ status: 404 })],
  ['204', () => ({ status: 204 })],
  ['a redirect', (elsewhere) => ({ status: 302, headers: { location: elsewhere } })],
  ['a redirect for ever', (elsewhere) => ({ status: 308, headers: { location: elsewhere } })],
  ['600 kB', () => ({ body: JSON.stringify({ keys: [{ kty: 'RSA', padding: 'x'.repeat(600 * 1024) }] }) })],
  ['a page', () => ({ body: '<html>Maintenance</html>' })],
  ['nothing', () => ({ body: '' })],
  ['half a JWK Set', () => ({ body: '{"keys":[' })],
  ['no keys', () => ({ body: '{}' })],
  ['keys that are no list', () => ({ body: '{"keys":{"kty":"RSA"}}' })],
  ['null', () => ({ body: 'null' })],
  ['a list', () => ({ body: '[]' })],
  ['an empty set', () => ({ body: '{"keys":[]}' })],
  ['entries that are no keys', () => ({ body: '{"keys":[null,{},"key"]}' })],
];

describe('a set whose keys verify nothing (JWT-10)', () => {
  const body = JSON.stringify({ keys: unusable });

  it('is what the issuer says: the caller is refused, and does not hear that the issuer is down', async () => {
    okta.state.body = body;
    await refuses(okta.key, 'okta-1', 'no_suitable_key');
    expect(fetched()).toBe(1);
  });

  it('takes back the keys before it', async () => {
    expect(await post()).toBe(204);
    okta.state.body = body;
    later(600 * SECOND);
    await refuses(okta.key, 'okta-1', 'no_suitable_key');
    expect(fetched()).toBe(2);
  });
});

/** Has the issuer fail in this way, with a set of its own at the place that a redirect leads to. */
function fail(failure: (typeof failures)[number][1]): void {
  Object.assign(okta.state, failure(`${okta.issuer}/elsewhere`));
}

describe('an issuer that is down', () => {
  it.each(failures)('and answers %s leaves the keys that it has shown to work for a day', async (_, failure) => {
    expect(await post()).toBe(204);
    fail(failure);
    later(600 * SECOND);
    expect(await post()).toBe(204);
    expect(fetched()).toBe(2);
    await refuses(stranger, 'okta-1', 'signature_invalid');
    expect(await post()).toBe(204);
    expect(fetched()).toBe(2);
    expect(await post(stranger, 'okta-2')).toBe(503);
    later(24 * HOUR - 1);
    expect(await post()).toBe(204);
    later(1);
    expect(await post()).toBe(503);
    expect(okta.state.requests.every((url) => !url.includes('elsewhere'))).toBe(true);
  });

  it.each(failures)('and answers %s is 503 where it has shown no key, never 401 or 500', async (_, failure) => {
    fail(failure);
    const jwt = await sign();
    const { response, changed } = await endpoint.observe(() => endpoint.post(jwt));
    expect(response.status).toBe(503);
    expect(response.body).toMatchObject({ status: 503, code: 'keys_unavailable' });
    expect(Number(response.headers['retry-after'])).toBeGreaterThan(0);
    expect(response.headers['www-authenticate']).toBeUndefined();
    expect(changed).toEqual([]);
    expect((await endpoint.post(jwt)).status).toBe(503);
    expect(okta.state.requests).toHaveLength(1);
    recover();
    later(30 * SECOND);
    expect((await endpoint.post(jwt)).status).toBe(204);
    expect(okta.state.requests).toHaveLength(2);
  });

  it('and hangs leaves the keys that it has shown to work, after a moment', async () => {
    expect(await post()).toBe(204);
    okta.state.delayMs = 8_000;
    later(600 * SECOND);
    const start = performance.now();
    expect(await Promise.all([post(), post(), post()])).toEqual([204, 204, 204]);
    expect(performance.now() - start).toBeLessThan(2_500);
    expect(fetched()).toBe(2);
  });

  it('and hangs is 503 after five seconds where it has shown no key', async () => {
    okta.state.delayMs = 8_000;
    const start = performance.now();
    expect(await Promise.all([post(), post(), post()])).toEqual([503, 503, 503]);
    expect(performance.now() - start).toBeLessThan(6_500);
    expect(fetched()).toBe(1);
  });

  it('and comes back is believed again, with the keys that it has then', async () => {
    expect(await post()).toBe(204);
    fail(() => ({ status: 500 }));
    later(600 * SECOND);
    expect(await post()).toBe(204);
    expect(await post(next)).toBe(503);
    recover();
    okta.state.keys = [next.jwk];
    later(30 * SECOND);
    expect(await post(next)).toBe(204);
    await refuses(okta.key, 'okta-1', 'no_suitable_key');
  });
});

it('an issuer that cannot be reached is 503 where it has shown no key, and else its keys work for a day', async () => {
  const away = await startEndpoint({
    moreTrusts: (issuer) => [
      { id: 'new', issuers: [issuer], client: 'new', keys: { jwksUri: `${issuer}/oauth2/v1/keys` } },
    ],
  });
  const status = async (deviation: object = {}) => (await away.post(await away.sign(deviation))).status;
  try {
    expect(await status()).toBe(204);
    await away.okta.close();
    expect(await status({ claims: { sub: 'new' } })).toBe(503);
    away.clock.now += 600 * SECOND;
    expect(await status()).toBe(204);
    expect(await status({ header: { kid: 'okta-2' } })).toBe(503);
    away.clock.now += 24 * HOUR;
    expect(await status()).toBe(503);
  } finally {
    await away.close();
  }
});
