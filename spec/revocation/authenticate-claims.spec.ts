/** Who is not let in, by the claims of the JWT and the trust that they name (JWT-07, JWT-12 to JWT-22). */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import request from 'supertest';
import { ADA, ENDPOINT, type Endpoint, PATH, person, startEndpoint } from '../support/endpoint.js';
import { ADMIN_TOKEN, PUBLIC_URL } from '../support/gateway.js';
import { resigned } from '../support/jws.js';
import { CLIENT, startOkta, TYP } from '../support/okta.js';
import { expectUnauthenticated } from '../support/refusal.js';

const GLOBEX_CLIENT = '0oa2globex';
const GLOBEX_PATH = '/tenants/globex/global-token-revocation';

let endpoint: Endpoint;
/** Seconds since the epoch, at the gateway: its clock stands still. */
let now: number;

/** A second tenant trusts another app of the same Okta org: its JWTs have the same issuer and the same keys. */
beforeAll(async () => {
  endpoint = await startEndpoint({
    moreTenants: (issuer) => [
      {
        id: 'globex',
        trusts: [
          {
            id: 'okta',
            issuers: [issuer, 'http://www.okta.com/exk1globex'],
            client: GLOBEX_CLIENT,
            keys: { jwksUri: `${issuer}/oauth2/v1/keys` },
          },
        ],
      },
    ],
  });
  await endpoint.gateway.directory.put('globex', person('grace'));
  now = endpoint.clock.now / 1000;
});

afterAll(() => endpoint.close());

type Claims = Record<string, unknown>;

async function refuses(claims: Claims, reason: string): Promise<void> {
  const jwt = await endpoint.sign({ claims });
  await expectUnauthenticated(endpoint, () => endpoint.post(jwt), { reason });
}

async function accepts(claims: Claims): Promise<void> {
  expect((await endpoint.post(await endpoint.sign({ claims }))).status).toBe(204);
}

/** As `refuses`, for what no library writes: `text` stands in the JSON in place of the claim's value. */
async function refusesText(claim: string, text: string, reason: string): Promise<void> {
  const marked = await endpoint.sign({ claims: { [claim]: 0 } });
  const jwt = resigned(marked, endpoint.okta.key, (header, payload) => [
    header,
    payload.replace(`"${claim}":0`, `"${claim}":${text}`),
  ]);
  await expectUnauthenticated(endpoint, () => endpoint.post(jwt), { reason });
}

describe('iss and sub name a trust exactly (JWT-07, OKTA-06, OKTA-07)', () => {
  const wrongType = [undefined, null, '', 1, true, {}];

  it.each([...wrongType, ['https://acme.okta.com']])('iss is not %j', (iss) => refuses({ iss }, 'iss_invalid'));
  it.each([...wrongType, [CLIENT]])('sub is not %j', (sub) => refuses({ sub }, 'sub_invalid'));

  it.each<[string, (issuer: string) => string]>([
    ['with a trailing slash', (issuer) => `${issuer}/`],
    ['in capitals', (issuer) => issuer.toUpperCase()],
    ['with a space before it', (issuer) => ` ${issuer}`],
    ['with the path of an authorization server', (issuer) => `${issuer}/oauth2/default`],
    ['of another scheme', (issuer) => issuer.replace('http:', 'https:')],
    ['of another org', () => 'https://evil.okta.com'],
    ['of another tenant alone', () => 'http://www.okta.com/exk1globex'],
    ['of an object', () => '__proto__'],
  ])('iss is not the issuer %s', (_, iss) => refuses({ iss: iss(endpoint.okta.issuer) }, 'unknown_trust'));

  it.each([
    ['an app of nobody', '0oa9nobody'],
    ['the app of another tenant', GLOBEX_CLIENT],
    ['the user', '00u1ada'],
    ['the app in other letters', CLIENT.toUpperCase()],
    ['the app with a space', `${CLIENT} `],
    ['the app cut short', CLIENT.slice(0, -1)],
    ['a member of every object', 'constructor'],
  ])('sub is not %s', (_, sub) => refuses({ sub }, 'unknown_trust'));

  it('the two are compared apart, not as one text', async () => {
    const { issuer } = endpoint.okta;
    await refuses({ iss: `${issuer}${CLIENT.slice(0, 3)}`, sub: CLIENT.slice(3) }, 'unknown_trust');
    await refuses({ iss: `${issuer} ${CLIENT}`, sub: CLIENT }, 'unknown_trust');
  });
});

describe('aud is this endpoint, and it alone (JWT-12, OKTA-08, GTR-24)', () => {
  it.each<[string, unknown]>([
    ['the URL', ENDPOINT],
    ['a list of the URL', [ENDPOINT]],
    ['the URL with the tenant', `${PUBLIC_URL}/tenants/default/global-token-revocation`],
  ])('it may be %s', (_, aud) => accepts({ aud }));

  it('absent', () => refuses({ aud: undefined }, 'aud_missing'));

  it.each<[string, unknown]>([
    ['null', null],
    ['a number', 1],
    ['an object', { url: ENDPOINT }],
    ['empty', ''],
    ['an empty list', []],
    ['a list within a list', [[ENDPOINT]]],
    ['a query', `${ENDPOINT}?a=b`],
    ['an empty query', `${ENDPOINT}?`],
    ['a fragment', `${ENDPOINT}#a`],
    ['a trailing slash', `${ENDPOINT}/`],
    ['another case of the host', ENDPOINT.replace('logout', 'Logout')],
    ['another case of the path', ENDPOINT.replace('token', 'Token')],
    ['another port', ENDPOINT.replace('.com', '.com:8443')],
    ['the default port spelled out', ENDPOINT.replace('.com', '.com:443')],
    ['another scheme', ENDPOINT.replace('https', 'http')],
    ['a host that begins alike', ENDPOINT.replace('.com', '.com.evil.test')],
    ['user info', ENDPOINT.replace('//', '//x@')],
    ['an escape', ENDPOINT.replace('global', '%67lobal')],
    ['a space after it', `${ENDPOINT} `],
    ['the public URL', PUBLIC_URL],
    ['the app, as in an ID token', CLIENT],
    ['the endpoint of another tenant', PUBLIC_URL + GLOBEX_PATH],
  ])('not %s', (_, aud) => refuses({ aud }, 'aud_check_failed'));

  it('not the issuer', () => refuses({ aud: endpoint.okta.issuer }, 'aud_check_failed'));

  it.each<[string, unknown[]]>([
    ['twice', [ENDPOINT, ENDPOINT]],
    ['and another', [ENDPOINT, 'https://elsewhere.example.com']],
    ['after another', ['https://elsewhere.example.com', ENDPOINT]],
    ['and its other URL', [ENDPOINT, `${PUBLIC_URL}/tenants/default/global-token-revocation`]],
  ])('not the URL %s', (_, aud) => refuses({ aud }, 'aud_several'));

  it('not the host that the request names', async () => {
    const aud = `https://elsewhere.example.com${PATH}`;
    const jwt = await endpoint.sign({ claims: { aud } });
    const forwarded = {
      host: 'elsewhere.example.com',
      'x-forwarded-host': 'elsewhere.example.com',
      'x-forwarded-proto': 'https',
    };
    await expectUnauthenticated(endpoint, () => endpoint.post(jwt).set(forwarded), { reason: 'aud_check_failed' });
  });
});

const notNumbers = [null, '', true, {}, [1]];

describe('exp (JWT-13, JWT-14, JWT-19, OKTA-09)', () => {
  it('is required', () => refuses({ exp: undefined }, 'exp_missing'));
  it.each(notNumbers)('is not %j', (exp) => refuses({ exp }, 'exp_invalid'));
  it('is not text', () => refuses({ exp: String(now + 300) }, 'exp_invalid'));
  it.each(['1e400', '1e309'])('is not %s, which no clock reaches', (text) => refusesText('exp', text, 'exp_invalid'));
  it('is not before every clock', () => refusesText('exp', '-1e400', 'exp_passed'));
  it('may have passed by less than the skew of 60 s', () => accepts({ exp: now - 59 }));
  it('may not have passed by the skew', () => refuses({ exp: now - 60 }, 'exp_passed'));
  it('may have a fraction', () => accepts({ exp: now + 299.5 }));
  it.each([0, -1])('may not be %d', (exp) => refuses({ exp }, 'exp_passed'));
  it('may be 360 s after iat', () => accepts({ exp: now + 360 }));
  it('may not be 361 s after iat', () => refuses({ exp: now + 361 }, 'lifetime_too_long'));
  it('may not be 361 s after iat, though soon', () => refuses({ iat: now - 200, exp: now + 161 }, 'lifetime_too_long'));
  it('may not be 361 s from now, though soon after iat', () =>
    refuses({ iat: now + 60, exp: now + 361 }, 'lifetime_too_long'));
  it('is not in milliseconds', () => refuses({ exp: (now + 300) * 1000 }, 'lifetime_too_long'));
  it('is not measured from nbf, five minutes before iat in what Okta sends', () =>
    accepts({ nbf: now - 300, iat: now, exp: now + 300 }));
});

describe('iat (JWT-16, JWT-19)', () => {
  it('is required', () => refuses({ iat: undefined }, 'iat_missing'));
  it.each(notNumbers)('is not %j', (iat) => refuses({ iat }, 'iat_invalid'));
  it('is not text', () => refuses({ iat: String(now) }, 'iat_invalid'));
  it.each(['1e400', '-1e400'])('is not %s', (text) => refusesText('iat', text, 'iat_invalid'));
  it('may be 60 s ahead', () => accepts({ iat: now + 60 }));
  it('may not be 61 s ahead', () => refuses({ iat: now + 61, exp: now + 300 }, 'iat_in_future'));
  it('may be 360 s ago', () => accepts({ iat: now - 360, exp: now - 1 }));
  it('may not be 361 s ago', () => refuses({ iat: now - 361, exp: now - 1 }, 'iat_too_old'));
  it('may have a fraction', () => accepts({ iat: now - 0.5 }));
});

describe('nbf (JWT-15, JWT-19)', () => {
  it('is not required', () => accepts({ nbf: undefined }));
  it.each(notNumbers)('is not %j', (nbf) => refuses({ nbf }, 'nbf_invalid'));
  it('is not text', () => refuses({ nbf: String(now) }, 'nbf_invalid'));
  it('is not -1e400', () => refusesText('nbf', '-1e400', 'nbf_invalid'));
  it('is not 1e400', () => refusesText('nbf', '1e400', 'nbf_check_failed'));
  it('may be 60 s ahead', () => accepts({ nbf: now + 60 }));
  it('may not be 61 s ahead', () => refuses({ nbf: now + 61 }, 'nbf_check_failed'));
});

describe('jti (JWT-17)', () => {
  it('is required', () => refuses({ jti: undefined }, 'jti_missing'));
  it.each([null, '', 1, {}, ['a']])('is not %j', (jti) => refuses({ jti }, 'jti_invalid'));
  it('may have 256 characters', () => accepts({ jti: randomUUID().padEnd(256, 'x') }));
  it('may not have 257', () => refuses({ jti: 'x'.repeat(257) }, 'jti_invalid'));
});

describe('other claims', () => {
  it('are ignored (JWT-20)', () =>
    accepts({
      sub_id: { format: 'email', email: 'x@example.com' },
      events: {},
      nonce: 'x',
      tenant: 'globex',
      scope: 1,
    }));

  it.each<[string, unknown]>([
    ['text', 'x'],
    ['long text', PUBLIC_URL],
    ['an object', { 0: PUBLIC_URL }],
    ['a list of numbers', [1]],
    ['null', null],
    ['eleven gateways', Array.from({ length: 11 }, (_, index) => `https://${index}.example.com`)],
  ])('but via is not %s', (_, via) => refuses({ via }, 'via_invalid'));

  it('but via may name ten gateways', () =>
    accepts({ via: Array.from({ length: 10 }, (_, index) => `https://${index}.example.com`) }));
});

describe('a JWT made for something else (GTR-20, GTR-21, JWT-22)', () => {
  it('is refused: an ID token of the same issuer for the same app', async () => {
    const jwt = await endpoint.sign({
      header: { typ: undefined },
      claims: { sub: '00u1ada', aud: CLIENT, nonce: 'x' },
    });
    await expectUnauthenticated(endpoint, () => endpoint.post(jwt), { reason: 'unknown_trust' });
  });

  it.each([undefined, 'JWT'])('is refused: one that has all the claims but is of typ %s', async (typ) => {
    const jwt = await endpoint.sign({ header: { typ } });
    await expectUnauthenticated(endpoint, () => endpoint.post(jwt), { reason: 'typ_not_allowed' });
  });

  it('is refused: an access token, also with a scope for this', async () => {
    const jwt = await endpoint.sign({ header: { typ: 'at+jwt' }, claims: { scope: 'global_token_revocation' } });
    await expectUnauthenticated(endpoint, () => endpoint.post(jwt), { reason: 'typ_not_allowed' });
  });

  it('and the other way round opens nothing but this endpoint', async () => {
    const { gateway } = endpoint;
    const authorization = `Bearer ${await endpoint.sign()}`;
    expect((await request(gateway.url).get('/api/revocations').set('authorization', authorization)).status).toBe(401);
    await expectUnauthenticated(endpoint, () => endpoint.post(ADMIN_TOKEN), { reason: 'not_compact_jws' });
  });
});

describe('a tenant (GTR-22, GTR-23)', () => {
  const globex = (claims: Claims = {}) =>
    endpoint.sign({ claims: { sub: GLOBEX_CLIENT, aud: PUBLIC_URL + GLOBEX_PATH, ...claims } });
  const GRACE = { sub_id: { format: 'email', email: 'grace@example.com' } };

  it('has trusts of its own, at its own path', async () => {
    expect((await endpoint.post(await globex(), GRACE, GLOBEX_PATH)).status).toBe(204);
    const saml = await globex({ iss: 'http://www.okta.com/exk1globex' });
    expect((await endpoint.post(saml, GRACE, GLOBEX_PATH)).status).toBe(204);
  });

  it('does not let in the JWT of another', async () => {
    const theirs = await globex();
    await expectUnauthenticated(endpoint, () => endpoint.post(theirs, ADA, PATH), { reason: 'unknown_trust' });
    const ours = await endpoint.sign();
    await expectUnauthenticated(endpoint, () => endpoint.post(ours, GRACE, GLOBEX_PATH), {
      reason: 'unknown_trust',
      tenant: 'globex',
    });
  });

  it('does not let in its own app with a JWT for another endpoint', async () => {
    const jwt = await globex({ aud: ENDPOINT });
    await expectUnauthenticated(endpoint, () => endpoint.post(jwt, GRACE, GLOBEX_PATH), {
      reason: 'aud_check_failed',
      tenant: 'globex',
    });
  });

  it.each(['nobody', 'default-2', '0'])('that does not exist answers as any other: %s', async (tenant) => {
    const path = `/tenants/${tenant}/global-token-revocation`;
    const jwt = await endpoint.sign({ claims: { aud: PUBLIC_URL + path } });
    await expectUnauthenticated(endpoint, () => endpoint.post(jwt, ADA, path), { reason: 'unknown_trust', tenant });
  });

  it.each(['__proto__', 'DEFAULT', 'default%20', 'default%2fx', 'ada@example.com', `${'x'.repeat(41)}`, '%2e%2e'])(
    'that cannot exist answers so too, and is not written down: %s',
    async (tenant) => {
      const path = `/tenants/${tenant}/global-token-revocation`;
      const jwt = await endpoint.sign();
      await expectUnauthenticated(endpoint, () => endpoint.post(jwt, ADA, path), {
        reason: 'unknown_trust',
        tenant: '',
      });
    },
  );
});

it('never takes an issuer of its own making, with keys of its own', async () => {
  const evil = await startOkta();
  try {
    const jwt = await endpoint.sign({ key: evil.key, header: { typ: TYP }, claims: { iss: evil.issuer } });
    await expectUnauthenticated(endpoint, () => endpoint.post(jwt), { reason: 'unknown_trust' });
    expect(evil.state.requests).toEqual([]);
  } finally {
    await evil.close();
  }
});
