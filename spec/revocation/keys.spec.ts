/** Where the keys of a trust come from, and which of them may verify a JWT (JWT-08, JWT-10). */
import { generateKeyPairSync, type KeyObject, sign as signBytes } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { JWK } from 'jose';
import { certificateOf } from '../support/certificate.js';
import { ADA, type Endpoint, startEndpoint } from '../support/endpoint.js';
import { configOf } from '../support/gateway.js';
import { compactJws } from '../support/jws.js';
import { createKey, type Key, TYP } from '../support/okta.js';
import { expectUnauthenticated } from '../support/refusal.js';

type Pair = { publicKey: KeyObject; privateKey: KeyObject };

const rsa = (modulusLength = 2048) => generateKeyPairSync('rsa', { modulusLength });
const pairs = {
  old: rsa(),
  current: rsa(),
  stranger: rsa(),
  small: rsa(1024),
  curve: generateKeyPairSync('ec', { namedCurve: 'P-256' }),
};
const certificates = (...of: Pair[]) => ({ certificates: of.map(certificateOf) });

/** JWKs that are none, or that no key can be made of. */
const ODD: Record<string, unknown> = {
  'n is a number': { kty: 'RSA', n: 5, e: 'AQAB' },
  'n is missing': { kty: 'RSA', e: 'AQAB' },
  'n is not base64url': { kty: 'RSA', n: '\u00e9'.repeat(400), e: 'AQAB' },
  'e is missing': { kty: 'RSA', n: Buffer.alloc(256, 1).toString('base64url') },
  'e is even': { kty: 'RSA', n: Buffer.alloc(256, 1).toString('base64url'), e: 'Ag' },
  'key_ops is a number': { kty: 'RSA', n: 'AQAB', e: 'AQAB', key_ops: 5 },
  'key_ops is text': { kty: 'RSA', n: 'AQAB', e: 'AQAB', key_ops: 'verify' },
  'use is a list': { kty: 'RSA', n: 'AQAB', e: 'AQAB', use: ['sig'] },
  'kty is one of tomorrow': { kty: 'AKP', alg: 'ML-DSA-44', pub: 'AA' },
  'kty is that of Ed25519': { kty: 'OKP', crv: 'Ed25519', x: 'AA' },
};

let endpoint: Endpoint;
let keys: Key[];

/** Each trust has keys from elsewhere; the name of its client is its own. */
beforeAll(async () => {
  keys = await Promise.all(['0', '1', '2', '3', '4', '5'].map((kid) => createKey(kid)));
  const set = (...of: unknown[]) => ({ jwks: { keys: of } });
  const [first, second] = keys as [Key, Key];
  endpoint = await startEndpoint({
    moreTrusts: (issuer) => {
      const sources: Record<string, object> = {
        pinned: { jwksUri: `${issuer}/oauth2/v1/keys?client_id=pinned` },
        discovered: { discovery: issuer },
        'other-issuer': { discovery: issuer },
        'no-jwks-uri': { discovery: issuer },
        'no-url': { discovery: issuer },
        'no-json': { discovery: issuer },
        inline: set(...keys.map(({ jwk }) => jwk)),
        'same-kid': set({ ...first.jwk, kid: 'same' }, { ...second.jwk, kid: 'same' }),
        saml: certificates(pairs.old, pairs.current),
        small: set(pairs.small.publicKey.export({ format: 'jwk' })),
        'saml-curve': certificates(pairs.curve),
      };
      Object.values(ODD).forEach((odd, index) => {
        const broken = odd as JWK;
        sources[`odd-${index}`] = set({ ...broken, kid: 'broken' }, broken, { ...broken, kid: '0' }, first.jwk);
      });
      return Object.entries(sources).map(([id, source]) => ({
        id,
        issuers: [issuer],
        client: id,
        keys: source,
        algorithms: id === 'saml-curve' ? ['ES256'] : ['RS256'],
      }));
    },
  });
});

afterAll(() => endpoint.close());

beforeEach(() => {
  endpoint.okta.state.requests.length = 0;
  endpoint.okta.state.body = undefined;
});

const sign = (client: string, key: Key, kid: string | undefined = key.kid) =>
  endpoint.sign({ key, header: { kid: kid === '' ? undefined : kid }, claims: { sub: client } });

const accepts = async (jwt: Promise<string>) => expect((await endpoint.post(await jwt)).status).toBe(204);

async function refuses(jwt: Promise<string>, reason: string): Promise<void> {
  const text = await jwt;
  await expectUnauthenticated(endpoint, () => endpoint.post(text), { reason });
}

describe('jwksUri', () => {
  it('is fetched as it stands, with the client_id that adds the keys pinned to an app', async () => {
    await accepts(sign('pinned', endpoint.okta.key));
    await accepts(sign('pinned', endpoint.okta.key));
    expect(endpoint.okta.state.requests).toEqual(['/oauth2/v1/keys?client_id=pinned']);
  });
});

describe('discovery', () => {
  it('leads to the JWK Set that the issuer names', async () => {
    await accepts(sign('discovered', endpoint.okta.key));
    await accepts(sign('discovered', endpoint.okta.key));
    expect(endpoint.okta.state.requests).toEqual(['/.well-known/openid-configuration', '/oauth2/v1/keys']);
  });

  it.each<[string, (issuer: string) => string]>([
    ['other-issuer', (issuer) => JSON.stringify({ issuer: 'https://evil.example.com', jwks_uri: `${issuer}/keys` })],
    ['no-jwks-uri', (issuer) => JSON.stringify({ issuer })],
    ['no-url', (issuer) => JSON.stringify({ issuer, jwks_uri: 'keys' })],
    ['no-json', () => '<html>'],
  ])('is 503 where the document is wrong: %s', async (client, document) => {
    const { okta } = endpoint;
    okta.state.body = document(okta.issuer);
    const response = await endpoint.post(await sign(client, okta.key), ADA);
    expect(response.status).toBe(503);
    expect(response.body.code).toBe('keys_unavailable');
    expect(okta.state.requests).toEqual(['/.well-known/openid-configuration']);
  });
});

describe('jwks', () => {
  it('is used as it stands, and nothing is fetched', async () => {
    const [one] = keys as [Key];
    await accepts(sign('inline', one));
    await refuses(sign('inline', one, '1'), 'signature_invalid');
    await refuses(sign('inline', endpoint.okta.key), 'no_suitable_key');
    await refuses(sign('inline', endpoint.okta.key, ''), 'signature_invalid');
    expect(endpoint.okta.state.requests).toEqual([]);
  });

  it('is tried without a kid for five keys at most, so that nobody makes the gateway work for nothing', async () => {
    await accepts(sign('inline', keys[4] as Key, ''));
    await refuses(sign('inline', keys[5] as Key, ''), 'signature_invalid');
    await accepts(sign('inline', keys[5] as Key));
  });

  it('may hold the same kid twice', async () => {
    await accepts(sign('same-kid', keys[0] as Key, 'same'));
    await accepts(sign('same-kid', keys[1] as Key, 'same'));
    await refuses(sign('same-kid', keys[2] as Key, 'same'), 'signature_invalid');
  });

  it.each(Object.keys(ODD).map((what, index) => [what, `odd-${index}`]))(
    'may hold keys of which %s: the others work, with a kid and without',
    async (_, client) => {
      const [good] = keys as [Key];
      await accepts(sign(client, good));
      await accepts(sign(client, good, ''));
      await refuses(sign(client, keys[1] as Key, ''), 'signature_invalid');
    },
  );
});

describe('certificates (OKTA-10)', () => {
  /** A JWT under this pair's key, with any kid or none. */
  async function signed(client: string, { privateKey }: Pair, kid?: string): Promise<string> {
    const payload = (await sign(client, endpoint.okta.key)).split('.')[1] as string;
    const alg = privateKey.asymmetricKeyType === 'ec' ? 'ES256' : 'RS256';
    return compactJws({ alg, typ: TYP, kid }, Buffer.from(payload, 'base64url'), (input) =>
      signBytes('sha256', Buffer.from(input), { key: privateKey, dsaEncoding: 'ieee-p1363' }),
    );
  }

  it.each([undefined, 'whatever', 'okta-1'])('verify a JWT with kid %s: they have none to compare it with', (kid) =>
    accepts(signed('saml', pairs.old, kid)),
  );

  it('are several while the key is changed, and strangers stay outside', async () => {
    await accepts(signed('saml', pairs.current));
    await refuses(signed('saml', pairs.stranger), 'signature_invalid');
    await refuses(sign('saml', endpoint.okta.key), 'signature_invalid');
    expect(endpoint.okta.state.requests).toEqual([]);
  });

  it('may be of an elliptic curve, where the trust allows ES256', async () => {
    await accepts(signed('saml-curve', pairs.curve));
    await refuses(signed('saml-curve', pairs.old), 'alg_not_allowed');
  });

  it('are refused by the settings with an RSA key of 1,024 bits, which is of no use in a JWK Set either', async () => {
    const trust = { id: 'saml', issuers: ['x'], client: 'x', keys: certificates(pairs.small) };
    expect(() => configOf({ tenants: [{ id: 'default', trusts: [trust] }] })).toThrow('has an RSA key of 1024 bits');
    await refuses(signed('small', pairs.small), 'no_suitable_key');
  });
});
