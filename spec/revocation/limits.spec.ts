/** Who asks too often: strangers by their address, callers by their trust (`limits` in the settings). */
import { request as httpRequest } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { createLimits } from '../../src/revocation/limits.js';
import { ADA, type Endpoint, PATH, person, startEndpoint } from '../support/endpoint.js';

const OTHER = '0oa7other';
const DOWN = '0oa8down';
const WINDOW_MS = 1_500;

let endpoint: Endpoint;

beforeEach(async () => {
  endpoint = await startEndpoint({
    limits: { refusedPerMinute: 3, acceptedPerMinute: 3 },
    moreTrusts: (issuer) => [
      { id: 'other', issuers: [issuer], client: OTHER, keys: { jwksUri: `${issuer}/oauth2/v1/keys` } },
      { id: 'down', issuers: [issuer], client: DOWN, keys: { jwksUri: 'http://127.0.0.1:1/keys' } },
    ],
  });
});

afterEach(() => endpoint.close());

const NOBODY = { sub_id: { format: 'email', email: 'nobody@example.com' } };

const post = async (body: unknown = ADA, claims: Record<string, unknown> = {}) =>
  endpoint.post(await endpoint.sign({ claims }), body);

describe('a stranger', () => {
  it('is refused with 401 as often as allowed, and with 429 from then on', async () => {
    for (const jwt of [undefined, 'x', await endpoint.sign({ claims: { aud: 'x' } })]) {
      expect((await endpoint.post(jwt)).status).toBe(401);
    }
    for (const jwt of [undefined, 'x', await endpoint.sign({ claims: { aud: 'x' } })]) {
      const { response, audited, changed, calls } = await endpoint.observe(() => endpoint.post(jwt));
      expect(response.status).toBe(429);
      expect(response.body.code).toBe('too_many_requests');
      expect(response.headers['retry-after']).toMatch(/^([1-9]|[1-5]\d|60)$/);
      expect(response.headers['www-authenticate']).toBeUndefined();
      expect({ audited, changed, calls }).toEqual({ audited: [], changed: [], calls: 0 });
    }
  });

  it('shuts out no good caller behind the same address', async () => {
    for (let i = 0; i < 10; i++) await endpoint.post('x');
    expect((await post()).status).toBe(204);
    expect((await post(NOBODY)).status).toBe(404);
    expect((await endpoint.post('x')).status).toBe(429);
  });

  it('is told to come again as often as allowed where an issuer is out of reach, and with 429 from then on', async () => {
    // A signature that nobody has made.
    const forged = (await endpoint.sign({ claims: { sub: DOWN } })).replace(/[^.]+$/, 'AAAA');
    const statuses = [];
    for (let i = 0; i < 6; i++) statuses.push((await endpoint.post(forged)).status);
    expect(statuses).toEqual([503, 503, 503, 429, 429, 429]);
    const { response, audited, changed, calls } = await endpoint.observe(() => endpoint.post(forged));
    expect(response.body.code).toBe('too_many_requests');
    expect(response.headers['retry-after']).toMatch(/^([1-9]|[1-5]\d|60)$/);
    expect({ audited, changed, calls }).toEqual({ audited: [], changed: [], calls: 0 });
    // Whoever asks for one whose issuer answers is not concerned.
    expect((await post()).status).toBe(204);
  });

  // Other systems have no second loopback address.
  (process.platform === 'linux' ? it : it.skip)('is counted by the address, whatever a header says of it', async () => {
    const from = (localAddress: string, forwarded: string) =>
      new Promise<number>((resolve, reject) => {
        const headers = { 'x-forwarded-for': forwarded, forwarded: `for=${forwarded}`, 'x-real-ip': forwarded };
        httpRequest(endpoint.gateway.url + PATH, { method: 'POST', localAddress, headers }, (res) => {
          resolve(res.resume().statusCode ?? 0);
        })
          .on('error', reject)
          .end();
      });
    const statuses: number[] = [];
    for (let i = 0; i < 5; i++) statuses.push(await from('127.0.0.1', `203.0.113.${i}`));
    expect(statuses).toEqual([401, 401, 401, 429, 429]);
    expect(await from('127.0.0.2', '203.0.113.0')).toBe(401);
  });
});

describe('the audit trail', () => {
  const MOST = 5;
  let flooded: Endpoint;

  beforeEach(async () => {
    flooded = await startEndpoint({ limits: { auditedPerMinute: MOST } });
  });

  afterEach(() => flooded.close());

  const refusals = async () =>
    (await flooded.gateway.audit()).filter(({ event }) => event === 'revocation.refused').length;

  it('has so many refusals of strangers a minute, wherever they come from, and the metric has all', async () => {
    const { audited } = await flooded.observe(() => flooded.post('x'));
    expect(audited).toHaveLength(1);
    const jwts = Array.from({ length: 30 }, (_, index) => (index % 2 ? 'x' : undefined));
    for (const jwt of jwts) expect((await flooded.post(jwt)).status).toBe(401);
    await delay(300);
    expect(await refusals()).toBe(MOST);
    const metrics = await (await fetch(`${flooded.gateway.url}/metrics`)).text();
    const counted = [...metrics.matchAll(/^universal_logout_refusals_total{.*} (\d+)$/gm)].map(([, n]) => Number(n));
    expect(counted.reduce((sum, n) => sum + n, 0)).toBe(1 + jwts.length);
  });

  it('has every refusal of a caller who is known, also during a flood', async () => {
    for (let i = 0; i <= MOST; i++) await flooded.post('x');
    await delay(300);
    for (let i = 0; i < MOST; i++) {
      const jwt = await flooded.sign();
      const { response, audited } = await flooded.observe(() => flooded.post(jwt, NOBODY));
      expect(response.status).toBe(404);
      expect(audited).toHaveLength(1);
    }
  });
});

describe('a source', () => {
  const limits = () =>
    createLimits(endpoint.gateway.redis, {
      prefix: endpoint.gateway.prefix,
      ...{ refusedPerMinute: 2, acceptedPerMinute: 1, auditedPerMinute: 1 },
    });

  it.each<[string, string[]]>([
    ['an IPv6 network of 64 bits', ['2001:db8:1:2::1', '2001:db8:1:2:ffff::2', '2001:0db8:0001:0002:0:0:0:3']],
    ['an IPv6 address of a link', ['fe80::1%eth0', 'fe80::2%eth1', 'fe80::3']],
    ['an IPv4 address, however it is written', ['192.0.2.1', '::ffff:192.0.2.1', '::ffff:c000:201']],
    ['what has no address', ['', '', '']],
  ])('is %s', async (_, addresses) => {
    const { refused } = limits();
    const statuses = [];
    for (const address of addresses) statuses.push((await refused(address))?.status);
    expect(statuses).toEqual([undefined, undefined, 429]);
  });

  it.each<[string, string[]]>([
    ['another IPv6 network', ['2001:db8:1:2::1', '2001:db8:1:3::1', '2001:db8:1:4::1']],
    ['another IPv4 address', ['192.0.2.1', '192.0.2.2', '::ffff:192.0.2.3']],
  ])('is not %s', async (_, addresses) => {
    const { refused } = limits();
    for (const address of addresses) expect(await refused(address)).toBeUndefined();
  });
});

describe('a caller', () => {
  it('that names nobody, or nothing, is no stranger', async () => {
    expect((await post(NOBODY)).status).toBe(404);
    expect((await post('{')).status).toBe(400);
    expect(await (await post()).status).toBe(204);
    for (const status of [401, 401, 401, 429]) expect((await endpoint.post('x')).status).toBe(status);
  });

  it.each<[string, unknown]>([
    ['somebody', ADA],
    ['nobody', NOBODY],
    ['nothing', '{'],
  ])('is refused with 429 beyond its limit, whoever it names: %s', async (_, body) => {
    for (let i = 0; i < 3; i++) expect((await post()).status).toBe(204);
    const jwt = await endpoint.sign();
    for (const _ of ['once', 'again']) {
      const { response, audited, changed, calls } = await endpoint.observe(() => endpoint.post(jwt, body));
      expect(response.status).toBe(429);
      expect(response.headers['retry-after']).toMatch(/^([1-9]|[1-5]\d|60)$/);
      expect(changed.filter((key) => key !== 'accepted:default.okta')).toEqual([]);
      expect({ audited, calls }).toEqual({ audited: [], calls: 0 });
    }
  });

  it('does not use up the limit of another trust', async () => {
    for (const status of [204, 204, 204, 429]) expect((await post()).status).toBe(status);
    expect((await post(ADA, { sub: OTHER })).status).toBe(204);
  });

  it('is counted by all processes together', async () => {
    const sibling = await endpoint.startSibling();
    try {
      for (const status of [204, 204, 204, 429]) expect((await post()).status).toBe(status);
      const jwt = await endpoint.sign();
      const headers = { authorization: `Bearer ${jwt}`, 'content-type': 'application/json' };
      const init = { method: 'POST', headers, body: JSON.stringify(ADA) };
      expect((await fetch(sibling.url + PATH, init)).status).toBe(429);
    } finally {
      await sibling.close();
    }
  });

  it('may send the JWT again that was refused with 429, and it is carried out', async () => {
    const { redis, prefix, directory } = endpoint.gateway;
    await directory.put('default', person('bob'));
    const bob = { sub_id: { format: 'email', email: 'bob@example.com' } };
    for (let i = 0; i < 3; i++) expect((await post(NOBODY)).status).toBe(404);
    // The minute is nearly over.
    await redis.pexpire(`${prefix}:accepted:default.okta`, WINDOW_MS);
    const jwt = await endpoint.sign();
    expect((await endpoint.post(jwt, bob)).status).toBe(429);
    expect((await endpoint.post(jwt, bob)).status).toBe(429);
    await delay(WINDOW_MS + 50);
    expect((await endpoint.post(jwt, bob)).status).toBe(204);
    await endpoint.rest();
    expect(endpoint.app.calls.map(({ body }) => JSON.parse(body).data.account)).toEqual(['bob@example.com']);
  });
});
