/** Who is not let in, by the Authorization header and the form of its JWT (JWT-01 to JWT-03). */
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import request from 'supertest';
import { ADA, ENDPOINT, type Endpoint, PATH, startEndpoint } from '../support/endpoint.js';
import { compactJws, resigned } from '../support/jws.js';
import { CLIENT, TYP } from '../support/okta.js';
import { expectUnauthenticated, oneWording } from '../support/refusal.js';

let endpoint: Endpoint;

beforeAll(async () => {
  endpoint = await startEndpoint();
});

afterAll(() => endpoint.close());

/** Header lines exactly as given: an array goes out as several lines. */
function postLines(headers: Record<string, string | string[]>, path = PATH): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const read = (res: IncomingMessage) => {
      let text = '';
      res.setEncoding('utf8').on('data', (chunk) => {
        text += chunk;
      });
      res.on('end', () => resolve({ status: res.statusCode ?? 0, text }));
    };
    const sent = httpRequest(endpoint.gateway.url + path, { method: 'POST', headers }, read);
    sent.on('error', reject).end(JSON.stringify(ADA));
  });
}

describe('the Authorization header (JWT-01, GTR-07)', () => {
  it('is required', async () => {
    await expectUnauthenticated(endpoint, () => endpoint.post(undefined), { reason: 'no_token', presented: false });
  });

  it.each<[string, (jwt: string) => string]>([
    ['of scheme Basic', () => `Basic ${Buffer.from(`${CLIENT}:secret`).toString('base64')}`],
    ['of scheme DPoP', (jwt) => `DPoP ${jwt}`],
    ['of scheme SSWS', (jwt) => `SSWS ${jwt}`],
    ['with a JWT and no scheme', (jwt) => jwt],
    ['with a scheme and no JWT', () => 'Bearer'],
    ['with two tokens', (jwt) => `Bearer ${jwt} ${jwt}`],
    ['with two schemes, joined by a comma', (jwt) => `Bearer ${jwt}, Basic YTpi`],
    ['with auth-params', (jwt) => `Bearer token="${jwt}"`],
    ['with a quoted token', (jwt) => `Bearer "${jwt}"`],
    ['with a tab for the space', (jwt) => `Bearer\t${jwt}`],
    ['of scheme xBearer', (jwt) => `xBearer ${jwt}`],
  ])('is refused %s', async (_, authorization) => {
    const value = authorization(await endpoint.sign());
    await expectUnauthenticated(endpoint, () => endpoint.post(undefined).set('authorization', value), {
      reason: 'not_bearer',
      presented: false,
    });
  });

  it.each<[string, (jwt: string) => string[]]>([
    ['the same JWT twice', (jwt) => [`Bearer ${jwt}`, `Bearer ${jwt}`]],
    ['a good JWT before another scheme', (jwt) => [`Bearer ${jwt}`, 'Basic YTpi']],
    ['another scheme before a good JWT', (jwt) => ['Basic YTpi', `Bearer ${jwt}`]],
  ])('is refused when it comes in two lines: %s', async (_, lines) => {
    const authorization = lines(await endpoint.sign());
    const { audited, changed } = await endpoint.observe(async () => {
      const response = await postLines({ authorization, 'content-type': 'application/json' });
      expect(response).toEqual({ status: 401, text: oneWording });
      return response as never;
    });
    expect(audited).toEqual([expect.objectContaining({ reason: 'several_authorization_headers' })]);
    expect(changed).toEqual([]);
  });

  it.each(['bearer', 'BEARER', 'bEaReR'])('is accepted of scheme %s (RFC 9110 §11.1)', async (scheme) => {
    const response = await endpoint.post(undefined).set('authorization', `${scheme}  ${await endpoint.sign()}`);
    expect(response.status).toBe(204);
  });

  it('is not replaced by a token in the query (RFC 6750 §2.3)', async () => {
    const path = `${PATH}?access_token=${await endpoint.sign()}`;
    await expectUnauthenticated(endpoint, () => endpoint.post(undefined, ADA, path), {
      reason: 'token_in_query',
      presented: false,
    });
  });

  it('is not replaced by a token in the body (RFC 6750 §2.2, OKTA-02)', async () => {
    const jwt = await endpoint.sign();
    for (const form of [
      `access_token=${jwt}`,
      `client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer&client_assertion=${jwt}`,
    ]) {
      const send = () => endpoint.post(undefined, form).set('content-type', 'application/x-www-form-urlencoded');
      await expectUnauthenticated(endpoint, send, { reason: 'no_token', presented: false });
    }
  });

  it.each(['access_token=x', 'a=b&access_token=', '%61ccess_token=x'])(
    'is refused beside a token in the query, %s, with 400 (RFC 6750 §3.1)',
    async (query) => {
      const jwt = await endpoint.sign();
      const { response, audited, changed } = await endpoint.observe(() => endpoint.post(jwt, ADA, `${PATH}?${query}`));
      expect(response.status).toBe(400);
      expect(response.body.code).toBe('several_credentials');
      expect(response.headers['www-authenticate']).toBe('Bearer realm="universal-logout", error="invalid_request"');
      expect(audited).toEqual([expect.objectContaining({ status: '400', reason: 'several_credentials' })]);
      expect(changed).toEqual([]);
      expect((await endpoint.post(jwt)).status).toBe(204);
    },
  );

  it('is enough for a path with another query, which the audience does not cover (OKTA-08)', async () => {
    expect((await endpoint.post(await endpoint.sign(), ADA, `${PATH}?tenant=globex`)).status).toBe(204);
  });
});

describe('a compact JWS (JWT-02)', () => {
  const part = (jwt: string, index: number) => jwt.split('.')[index] as string;

  it.each<[string, string, (jwt: string) => string]>([
    ['five parts, as a JWE has', 'not_compact_jws', (jwt) => `${jwt}.${part(jwt, 1)}.${part(jwt, 2)}`],
    ['four parts', 'not_compact_jws', (jwt) => `${jwt}.AAAA`],
    ['a final dot', 'not_compact_jws', (jwt) => `${jwt}.`],
    ['two parts', 'not_compact_jws', (jwt) => `${part(jwt, 0)}.${part(jwt, 1)}`],
    ['one part', 'not_compact_jws', (jwt) => part(jwt, 1)],
    ['an opaque token', 'not_compact_jws', () => '00Ua1b2c3d4e5f6g7h8i9j0'],
    ['an empty header', 'not_base64url', (jwt) => jwt.replace(/^[^.]+/, '')],
    ['an empty payload', 'not_base64url', (jwt) => jwt.replace(/\.[^.]+\./, '..')],
    ['an empty signature', 'not_base64url', (jwt) => jwt.replace(/[^.]+$/, '')],
    ['padding after the header', 'not_base64url', (jwt) => jwt.replace('.', '=.')],
    ['padding after the payload', 'not_base64url', (jwt) => jwt.replace(/\.(?=[^.]+$)/, '==.')],
    ['padding after the signature', 'not_base64url', (jwt) => `${jwt}==`],
    ['the alphabet of plain base64', 'not_base64url', (jwt) => `${jwt.slice(0, -4)}+/+/`],
    ['a tilde', 'not_base64url', (jwt) => `${jwt}~`],
    // The last character of a 256 byte signature holds four bits that mean nothing.
    ['bits that mean nothing in the signature', 'not_base64url', (jwt) => jwt.replace(/.$/, nextCharacter)],
  ])('is refused with %s', async (_, reason, spoil) => {
    const jwt = spoil(await endpoint.sign());
    await expectUnauthenticated(endpoint, () => endpoint.post(jwt), { reason });
  });

  it.each([' ', '\t'])('is refused with white space within (%j), which is not one token', async (space) => {
    const jwt = await endpoint.sign();
    for (const at of [5, jwt.indexOf('.') + 5, jwt.length - 5]) {
      const spaced = jwt.slice(0, at) + space + jwt.slice(at);
      await expectUnauthenticated(endpoint, () => endpoint.post(spaced), { reason: 'not_bearer', presented: false });
    }
  });

  it('is accepted up to 8 kB and refused beyond', async () => {
    const fits = await signOfLength(8 * 1024);
    await expectUnauthenticated(endpoint, () => endpoint.post(`${fits}A`), { reason: 'jwt_too_long' });
    expect((await endpoint.post(fits)).status).toBe(204);
  });

  async function signOfLength(length: number): Promise<string> {
    const short = await endpoint.sign({ claims: { padding: '' } });
    const padding = Math.floor(((length - short.length) * 3) / 4);
    for (let more = padding - 3; ; more++) {
      const jwt = await endpoint.sign({ claims: { padding: 'x'.repeat(more) } });
      if (jwt.length >= length) return jwt;
    }
  }
});

/** The next one in the base64url alphabet, whose bits differ in the last two only. */
function nextCharacter(character: string): string {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
  return alphabet[alphabet.indexOf(character) ^ 1] as string;
}

describe('the JSON of header and payload (JWT-03)', () => {
  const names = (text: string, member: string) => text.replace(/^\{/, `{${member},`);

  it.each<[string, string, (header: string, payload: string) => [string | Buffer, string | Buffer]]>([
    ['a header with alg twice', 'not_strict_json', (h, p) => [names(h, '"alg":"none"'), p]],
    [
      'a header with typ twice, spelled with an escape',
      'not_strict_json',
      (h, p) => [names(h, '"t\\u0079p":"JWT"'), p],
    ],
    ['a header that is an array', 'not_an_object', (h, p) => [`[${h}]`, p]],
    ['a header that is null', 'not_an_object', (_, p) => ['null', p]],
    ['a header that is a string', 'not_an_object', (_, p) => ['"RS256"', p]],
    ['a header that is not JSON', 'not_strict_json', (h, p) => [h.slice(1), p]],
    ['a header that is not UTF-8', 'not_strict_json', (h, p) => [latin1(names(h, '"x":"\u00e9"')), p]],
    ['a header with a byte order mark', 'not_strict_json', (h, p) => [`\ufeff${h}`, p]],
    ['a header nested 20 deep', 'not_strict_json', (h, p) => [names(h, `"x":${'['.repeat(20)}${']'.repeat(20)}`), p]],
    ['a payload with sub twice', 'not_strict_json', (h, p) => [h, names(p, '"sub":"0oa2other"')]],
    ['a payload with jti twice', 'not_strict_json', (h, p) => [h, names(p, '"jti":"other"')]],
    ['a payload with exp twice, spelled with an escape', 'not_strict_json', (h, p) => [h, names(p, '"\\u0065xp":1')]],
    ['a payload with a name twice further down', 'not_strict_json', (h, p) => [h, names(p, '"x":[{"a":1,"a":1}]')]],
    ['a payload that is an array', 'not_an_object', (h, p) => [h, `[${p}]`]],
    ['a payload that is null', 'not_an_object', (h) => [h, 'null']],
    ['a payload that is a number', 'not_an_object', (h) => [h, '1']],
    ['a payload that is not JSON', 'not_strict_json', (h, p) => [h, `${p}}`]],
    ['a payload with a comment', 'not_strict_json', (h, p) => [h, `${p}//`]],
    ['a payload that is not UTF-8', 'not_strict_json', (h, p) => [h, latin1(names(p, '"x":"\u00e9"'))]],
    ['a payload in UTF-16', 'not_strict_json', (h, p) => [h, Buffer.from(p, 'utf16le')]],
    ['a payload with a byte order mark', 'not_strict_json', (h, p) => [h, `\ufeff${p}`]],
    [
      'a payload nested 1,500 deep',
      'not_strict_json',
      (h, p) => [h, names(p, `"x":${'['.repeat(1500)}${']'.repeat(1500)}`)],
    ],
  ])('is refused: %s', async (_, reason, change) => {
    const jwt = resigned(await endpoint.sign(), endpoint.okta.key, change);
    await expectUnauthenticated(endpoint, () => endpoint.post(jwt), { reason });
  });

  it('is accepted with white space, escapes and members that nobody knows (JWT-20)', async () => {
    const jwt = resigned(await endpoint.sign(), endpoint.okta.key, (header, payload) => [
      header.replaceAll(',', ' ,\n\t'),
      names(payload.replace('"jti"', '"\\u006ati"'), '"__proto__":{"sub":"x"},"text":"\u00e9 \\" : {\\"sub\\":"'),
    ]);
    expect((await endpoint.post(jwt)).status).toBe(204);
  });

  it('is refused where the signature covers other bytes (JWT-11)', async () => {
    const [header, , signature] = (await endpoint.sign()).split('.');
    const [, payload] = (await endpoint.sign()).split('.');
    const spliced = `${header}.${payload}.${signature}`;
    await expectUnauthenticated(endpoint, () => endpoint.post(spliced), { reason: 'signature_invalid' });
  });

  it('is refused with a signature of another length or of zeros (JWT-11)', async () => {
    for (const signature of ['AA', 'A'.repeat(344 - 2), Buffer.alloc(512, 1).toString('base64url')]) {
      const forged = (await endpoint.sign()).replace(/[^.]+$/, signature);
      await expectUnauthenticated(endpoint, () => endpoint.post(forged), { reason: 'signature_invalid' });
    }
  });
});

it('answers each of these alike, whatever was wrong (GTR-14)', async () => {
  const { okta } = endpoint;
  const header = { alg: 'RS256', typ: TYP, kid: okta.key.kid };
  const jwts = ['x', 'a.b.c', compactJws(header, '[]', okta.key), await endpoint.sign({ claims: { aud: 'x' } })];
  const answers = await Promise.all(jwts.map((jwt) => endpoint.post(jwt)));
  for (const { text, headers } of answers) {
    expect(text).toBe(oneWording);
    expect({ ...headers, date: '' }).toEqual({ ...answers[0]?.headers, date: '' });
  }
});

function latin1(text: string): Buffer {
  return Buffer.from(text, 'latin1');
}

it('is asked for by registered names alone in the metadata (GTR-03, GTR-19)', async () => {
  const { body } = await request(endpoint.gateway.url).get('/.well-known/oauth-authorization-server');
  expect(body).toMatchObject({
    global_token_revocation_endpoint: ENDPOINT,
    global_token_revocation_endpoint_auth_methods_supported: ['private_key_jwt'],
  });
});
