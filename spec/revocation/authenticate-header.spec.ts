/** Who is not let in, by the protected header and the key behind it (JWT-04 to JWT-06, JWT-08, JWT-10). */
import { createHmac, createPublicKey, generateKeyPairSync, sign as signBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { JWK } from 'jose';
import { type Endpoint, startEndpoint } from '../support/endpoint.js';
import { configOf } from '../support/gateway.js';
import { compactJws } from '../support/jws.js';
import { CLIENT, createKey, type Key, type Okta, startOkta, TYP } from '../support/okta.js';
import { expectUnauthenticated } from '../support/refusal.js';

const ALGORITHMS = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512'];
const OPEN_CLIENT = '0oa3everyalgorithm';

const small = generateKeyPairSync('rsa', { modulusLength: 1024 });

let endpoint: Endpoint;
let attacker: Okta;
let keys: Record<string, Key>;

/** The trust `okta` allows RS256, as Okta signs; the trust `open` every algorithm there is, over the same keys. */
beforeAll(async () => {
  attacker = await startOkta();
  endpoint = await startEndpoint({
    moreTrusts: (issuer) => [
      {
        id: 'open',
        issuers: [issuer],
        client: OPEN_CLIENT,
        keys: { jwksUri: `${issuer}/oauth2/v1/keys` },
        algorithms: ALGORITHMS,
      },
    ],
  });
  const made = await Promise.all(ALGORITHMS.map((alg) => createKey(`key-${alg}`, alg)));
  keys = Object.fromEntries(made.map((key) => [key.alg, key]));
  const { jwk } = endpoint.okta.key;
  const bare = (key: JWK, kid: string, more: JWK = {} as JWK) => ({
    ...key,
    alg: undefined,
    use: undefined,
    kid,
    ...more,
  });
  const smallJwk = small.publicKey.export({ format: 'jwk' }) as JWK;
  endpoint.okta.state.keys = [
    jwk,
    ...made.map((key) => key.jwk),
    bare(jwk, 'bare'),
    bare(jwk, 'verifies', { kty: 'RSA', key_ops: ['verify'] }),
    bare(jwk, 'for-rs512', { kty: 'RSA', alg: 'RS512' }),
    bare(jwk, 'for-encryption', { kty: 'RSA', use: 'enc' }),
    bare(jwk, 'signs', { kty: 'RSA', key_ops: ['sign'] }),
    bare(jwk, 'wraps', { kty: 'RSA', key_ops: ['wrapKey', 'unwrapKey'] }),
    bare(jwk, 'called-ec', { kty: 'EC' }),
    bare(jwk, 'rsa-with-curve', { kty: 'RSA', crv: 'P-256' }),
    bare(keys.ES256?.jwk as JWK, 'p-256'),
    bare(keys.ES384?.jwk as JWK, 'p-384'),
    bare(smallJwk, 'small'),
    // Zeros before the modulus make it look like 2,048 bits.
    bare(smallJwk, 'small-padded', { kty: 'RSA', n: `${'A'.repeat(172)}${smallJwk.n}` }),
    { kty: 'oct', k: Buffer.alloc(32, 1).toString('base64url'), kid: 'secret' },
  ] as JWK[];
});

afterAll(async () => {
  await endpoint.close();
  await attacker.close();
});

const claimsOf = (jwt: string) => JSON.parse(Buffer.from(jwt.split('.')[1] as string, 'base64url').toString());

/** Okta's JWT under another header, really signed with RS256 unless `sign` makes another signature. */
async function forge(header: object, sign: Parameters<typeof compactJws>[2] = endpoint.okta.key): Promise<string> {
  const claims = claimsOf(await endpoint.sign());
  return compactJws({ alg: 'RS256', typ: TYP, kid: endpoint.okta.key.kid, ...header }, claims, sign);
}

async function refuses(jwt: string, reason: string): Promise<void> {
  await expectUnauthenticated(endpoint, () => endpoint.post(jwt), { reason });
}

describe('alg (JWT-04)', () => {
  it.each(['none', 'None', 'NONE', 'nOnE'])('is not %s, with or without a signature', async (alg) => {
    await refuses(await forge({ alg }), 'alg_not_allowed');
    await refuses(await forge({ alg }, () => 'AA'), 'alg_not_allowed');
    await refuses(await forge({ alg }, () => ''), 'not_base64url');
  });

  it.each(['RS384', 'RS512', 'PS256', 'ES256', 'EdDSA', 'RSA-OAEP', 'dir', 'rs256', 'RS256 ', '', 'constructor'])(
    'is not %j where the trust allows RS256',
    async (alg) => {
      await refuses(await forge({ alg }), 'alg_not_allowed');
    },
  );

  it.each([undefined, null, 256, ['RS256'], { name: 'RS256' }])('is a string, not %j', async (alg) => {
    await refuses(await forge({ alg }), 'alg_not_allowed');
  });

  it('is not RS512 under a good RS512 signature, where the trust allows RS256', async () => {
    await refuses(await endpoint.sign({ key: keys.RS512 as Key }), 'alg_not_allowed');
  });

  it.each(['HS256', 'HS384', 'HS512'])('is not %s with the public key for a secret (RFC 8725 §2.1)', async (alg) => {
    const { jwk } = endpoint.okta.key;
    const pem = createPublicKey({ key: jwk, format: 'jwk' }).export({ type: 'spki', format: 'pem' }).toString();
    for (const secret of [
      pem,
      pem.trim(),
      JSON.stringify(jwk),
      jwk.n as string,
      Buffer.from(jwk.n as string, 'base64url'),
    ]) {
      const hmac = (input: string) => createHmac(alg.replace('HS', 'sha'), secret).update(input).digest();
      await refuses(await forge({ alg }, hmac), 'alg_not_allowed');
      await refuses(await forge({ alg: 'RS256' }, hmac), 'signature_invalid');
    }
  });

  it('is not HS256 with a secret that stands in the JWK Set, whatever the trust allows', async () => {
    const hmac = (input: string) => createHmac('sha256', Buffer.alloc(32, 1)).update(input).digest();
    const claims = { ...claimsOf(await endpoint.sign()), sub: OPEN_CLIENT };
    await refuses(compactJws({ alg: 'HS256', typ: TYP, kid: 'secret' }, claims, hmac), 'alg_not_allowed');
  });

  it.each(['none', 'HS256', 'HS512', 'EdDSA', 'RS1'])('cannot be enabled as %s by any setting', (alg) => {
    const trust = { id: 'okta', issuers: ['x'], client: CLIENT, keys: { jwks: { keys: [{ kty: 'RSA' }] } } };
    const settings = (algorithms: string[]) => ({ tenants: [{ id: 'default', trusts: [{ ...trust, algorithms }] }] });
    expect(() => configOf(settings(['RS256']))).not.toThrow();
    expect(() => configOf(settings(['RS256', alg]))).toThrow('tenants[0].trusts[0].algorithms[1]');
  });

  it.each(ALGORITHMS)('is %s where the trust allows that', async (alg) => {
    const jwt = await endpoint.sign({ key: keys[alg] as Key, claims: { sub: OPEN_CLIENT } });
    expect((await endpoint.post(jwt)).status).toBe(204);
  });

  it.each([
    ['RS256', 'p-256', 'an EC key'],
    ['ES256', 'bare', 'an RSA key'],
    ['ES256', 'called-ec', 'an RSA key that calls itself EC'],
    ['ES256', 'rsa-with-curve', 'an RSA key that names a curve'],
    ['ES256', 'p-384', 'a key on another curve'],
    ['ES384', 'p-256', 'a key on another curve'],
    ['RS256', 'for-rs512', 'a JWK for another alg'],
    ['PS256', 'key-RS256', 'a JWK for another alg'],
  ])('is not %s with the key %s: %s', async (alg, kid) => {
    const claims = { ...claimsOf(await endpoint.sign()), sub: OPEN_CLIENT };
    await refuses(compactJws({ alg, typ: TYP, kid }, claims, endpoint.okta.key), 'no_suitable_key');
  });
});

describe('the key (JWT-08, JWT-10, OKTA-10)', () => {
  it.each(['bare', 'verifies'])('may be a JWK that says little: %s', async (kid) => {
    expect((await endpoint.post(await forge({ kid }))).status).toBe(204);
  });

  it.each(['for-rs512', 'for-encryption', 'signs', 'wraps', 'called-ec'])(
    'is not one of another use: %s',
    async (kid) => {
      await refuses(await forge({ kid }), 'no_suitable_key');
    },
  );

  it.each(['small', 'small-padded'])('is not an RSA key of 1,024 bits: %s', async (kid) => {
    const sign = (input: string) => signBytes('sha256', Buffer.from(input), small.privateKey);
    await refuses(await forge({ kid }, sign), 'no_suitable_key');
  });

  it('may be found without a kid, which a SAML app may not send (OKTA-04)', async () => {
    expect((await endpoint.post(await forge({ kid: undefined }))).status).toBe(204);
  });

  it.each(['okta-2', 'OKTA-1', 'okta-1 ', '../../../../etc/passwd', "' OR ''='", '__proto__', 'constructor', 'small'])(
    'is found by exactly its kid, not %j',
    async (kid) => {
      await refuses(await forge({ kid }), 'no_suitable_key');
    },
  );

  it.each([1, '', null, ['okta-1'], { kid: 'okta-1' }])('has a kid that is a string, not %j', async (kid) => {
    await refuses(await forge({ kid }), 'kid_invalid');
  });

  it('is the one that the kid names, not another one of the set (JWT-11)', async () => {
    await refuses(await forge({ kid: 'key-RS256' }), 'signature_invalid');
  });

  it('is not one of a stranger under a kid of ours, nor one without a kid (JWT-11)', async () => {
    await refuses(await forge({ kid: 'okta-1' }, attacker.key), 'signature_invalid');
    await refuses(await forge({ kid: undefined }, attacker.key), 'signature_invalid');
  });
});

describe('a key in the header (JWT-06)', () => {
  const members = () => ({
    jwk: attacker.key.jwk,
    jku: attacker.jwksUri,
    x5u: attacker.jwksUri,
    x5c: ['MIIB'],
    x5t: 'AAAA',
    'x5t#S256': 'AAAA',
  });

  it.each(['jwk', 'jku', 'x5u', 'x5c'] as const)('is not used, nor fetched: %s', async (name) => {
    const { [name]: member } = members();
    await refuses(await forge({ [name]: member }, attacker.key), 'signature_invalid');
    await refuses(await forge({ [name]: member, kid: undefined }, attacker.key), 'signature_invalid');
    await refuses(await forge({ [name]: member, kid: 'evil' }, attacker.key), 'no_suitable_key');
    expect(attacker.state.requests).toEqual([]);
  });

  it('does no harm beside a good signature', async () => {
    expect((await endpoint.post(await forge(members()))).status).toBe(204);
    expect(attacker.state.requests).toEqual([]);
  });
});

describe('typ (JWT-05, OKTA-03)', () => {
  it.each([TYP, TYP.toUpperCase(), 'Global-Token-Revocation+JWT', `application/${TYP}`, `APPLICATION/${TYP}`])(
    'may be %s',
    async (typ) => {
      expect((await endpoint.post(await forge({ typ }))).status).toBe(204);
    },
  );

  it.each([
    undefined,
    null,
    '',
    'JWT',
    'application/jwt',
    'at+jwt',
    'logout+jwt',
    'secevent+jwt',
    'global-token-revocation',
    `${TYP} `,
    `${TYP};v=1`,
    `text/${TYP}`,
    `application/application/${TYP}`,
    1,
    [TYP],
  ])('is not %j', async (typ) => {
    await refuses(await forge({ typ }), 'typ_not_allowed');
  });
});

describe('crit and b64 (JWT-06)', () => {
  it.each<[string, object]>([
    ['an extension that nobody knows', { crit: ['tenant'], tenant: 'default' }],
    ['a claim', { crit: ['exp'], exp: 1 }],
    ['b64', { crit: ['b64'], b64: true }],
    ['nothing', { crit: [] }],
    ['null', { crit: null }],
    ['text', { crit: 'exp' }],
  ])('refuse a crit of %s', async (_, header) => {
    await refuses(await forge(header), 'crit_not_supported');
  });

  it.each([false, true, null])('refuse a b64 of %s', async (b64) => {
    await refuses(await forge({ b64 }), 'crit_not_supported');
  });

  it('refuse a payload that is not encoded (RFC 7797)', async () => {
    await refuses(await forge({ crit: ['b64'], b64: false }), 'crit_not_supported');
  });
});
