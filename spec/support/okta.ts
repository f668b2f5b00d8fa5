/** An Okta org of our own: real keys, a real JWKS endpoint, and JWTs in Okta's profile, or deliberately out of it. */
import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { exportJWK, generateKeyPair, type JWK, type JWTHeaderParameters, SignJWT } from 'jose';

export const CLIENT = '0oa1example';
export const TYP = 'global-token-revocation+jwt';

/** A key pair with its kid. */
export async function createKey(kid: string, alg = 'RS256', modulusLength = 2048) {
  const { privateKey, publicKey } = await generateKeyPair(alg, { modulusLength, extractable: true });
  return { kid, alg, privateKey, jwk: { ...(await exportJWK(publicKey)), kid, alg, use: 'sig' } as JWK };
}

export type Key = Awaited<ReturnType<typeof createKey>>;

/** What a JWT has that is not Okta's; `undefined` leaves a claim or a header member out. */
export type Deviation = {
  header?: Record<string, unknown>;
  claims?: Record<string, unknown>;
  key?: Key;
  now?: number;
};

/** Signs as OKTA-03 to OKTA-09 say, but for the deviation. */
export async function signRevocation(
  key: Key,
  expected: { issuer: string; audience: string; client?: string },
  { header = {}, claims = {}, key: other = key, now = Date.now() }: Deviation = {},
): Promise<string> {
  const iat = Math.floor(now / 1000);
  const profile = {
    jti: randomUUID(),
    iss: expected.issuer,
    sub: expected.client ?? CLIENT,
    aud: expected.audience,
    iat,
    nbf: iat - 300,
    exp: iat + 300,
  };
  const defined = (members: Record<string, unknown>) =>
    Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined));
  return new SignJWT(defined({ ...profile, ...claims }))
    .setProtectedHeader(defined({ alg: other.alg, typ: TYP, kid: other.kid, ...header }) as JWTHeaderParameters)
    .sign(other.privateKey);
}

/** An issuer whose JWKS endpoint can be rotated, slowed, broken and counted. */
export async function startOkta() {
  const key = await createKey('okta-1');
  const state = {
    keys: [key.jwk] as JWK[],
    requests: [] as string[],
    status: 200,
    delayMs: 0,
    body: undefined as string | undefined,
    headers: { 'cache-control': 'max-age=600' } as Record<string, string>,
  };
  const server = createServer((req, res) => {
    state.requests.push(req.url ?? '');
    const isDiscovery = req.url?.startsWith('/.well-known/openid-configuration');
    const endpoints = { jwks_uri: `${issuer}/oauth2/v1/keys`, authorization_endpoint: `${issuer}/oauth2/v1/authorize` };
    const body = isDiscovery ? { issuer, ...endpoints } : { keys: state.keys };
    setTimeout(() => {
      res.writeHead(state.status, { 'content-type': 'application/json', ...state.headers });
      res.end(state.body ?? JSON.stringify(body));
    }, state.delayMs).unref();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    issuer,
    jwksUri: `${issuer}/oauth2/v1/keys?client_id=${CLIENT}`,
    key,
    state,
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

export type Okta = Awaited<ReturnType<typeof startOkta>>;
