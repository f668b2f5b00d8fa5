/** Access tokens for an app's API: asked for once for all who wait, kept until shortly before they expire. */
import { createPrivateKey, type KeyObject, randomUUID, webcrypto } from 'node:crypto';
import { SignJWT } from 'jose';
import {
  allowInsecureRequests,
  type ClientAuth,
  ClientSecretPost,
  Configuration,
  customFetch,
  genericGrantRequest,
  modifyAssertion,
  PrivateKeyJwt,
} from 'openid-client';
import { z } from 'zod';
import type { Proof } from './api.js';
import { type Call, ConnectorError, type Secret, secret } from './connector.js';
import { request } from './request.js';

const REQUEST_WITHIN_MS = 10_000;
const ASSUMED_LIFETIME_SECONDS = 300; // Where the answer has no expires_in.
const ASSERTION_LIFETIME_SECONDS = 300;

type TokenCall = Pick<Call, 'send' | 'signal' | 'now' | 'onRequest'>;

/** One token request: RFC 6749 §4.4, RFC 7523 §2.1, or a grant type of the vendor's own. */
export type Grant = {
  tokenUrl: string;
  clientId: string;
  clientAuth: ClientAuth;
  grantType: string;
  parameters: Record<string, string>;
  /** RFC 6749 knows forms only; a vendor may know JSON only. */
  bodyAs?: 'form' | 'json';
};

type MakeGrant = (call: TokenCall) => Grant | Promise<Grant>;
/** `token` is there once it has come. */
type Kept = { coming: Promise<string>; token?: string; goodUntil: number };

const kept = new WeakMap<object, Kept>();

/** Authorizes with the token of a grant. `options` are those of the app: each app has a token of its own. */
export function oauth(connector: string, options: object, grant: MakeGrant): (call: TokenCall) => Promise<Proof> {
  return async (call) => {
    if (call.signal.aborted) throw new ConnectorError('timeout', `${connector}: no time was left to ask for a token`);
    const before = kept.get(options);
    const isGood = before !== undefined && before.goodUntil > call.now().getTime();
    const current = isGood ? before : ask(connector, options, grant, call);
    const token = current.token ?? (await within(connector, call.signal, current.coming));
    const headers = { authorization: `Bearer ${token}` };
    return isGood ? { headers, stale: () => forget(options, current) } : { headers };
  };
}

function ask(connector: string, options: object, grant: MakeGrant, call: TokenCall): Kept {
  const startedAt = call.now().getTime();
  // Others wait for it too, so it ends at a deadline of its own and not at that of the call which came first.
  const signal = AbortSignal.timeout(REQUEST_WITHIN_MS);
  const answer = requestToken(connector, grant, { ...call, signal });
  const asked: Kept = { coming: answer.then(({ token }) => token), goodUntil: Number.POSITIVE_INFINITY };
  kept.set(options, asked);
  answer.then(
    ({ token, lifetimeSeconds }) => {
      asked.token = token;
      // Just before the end: a tenth of its life, a minute at most.
      asked.goodUntil = startedAt + lifetimeSeconds * 1000 - Math.min(60_000, lifetimeSeconds * 100);
    },
    () => forget(options, asked),
  );
  return asked;
}

function forget(options: object, which: Kept): void {
  if (kept.get(options) === which) kept.delete(options);
}

async function within<T>(connector: string, signal: AbortSignal, promise: Promise<T>): Promise<T> {
  let onAbort = () => {};
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () => reject(new ConnectorError('timeout', `${connector}: the token endpoint did not answer in time`));
    signal.addEventListener('abort', onAbort, { once: true });
  });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

async function requestToken(connector: string, grant: MakeGrant, call: TokenCall) {
  const { tokenUrl, clientId, clientAuth, grantType, parameters, bodyAs = 'form' } = await grant(call);
  const operation = `${connector}: POST for a token`;
  const server = { issuer: new URL(tokenUrl).origin, token_endpoint: tokenUrl };
  const configuration = new Configuration(server, clientId, undefined, clientAuth);
  // Whether plain http is allowed is the address guard's decision, at connect time.
  allowInsecureRequests(configuration);
  configuration[customFetch] = async (url, { headers, body }) => {
    const { 'user-agent': _, ...ours } = headers as Record<string, string>;
    const form = { method: 'POST', headers: ours, body: String(body) } as const;
    const message = bodyAs === 'form' ? form : asJson(form);
    // An error of the token endpoint is about our credentials, also where its status is 400 (RFC 6749 §5.2); and
    // where it is not found at all, that is no word about a user.
    const response = await request(operation, url, message, call, { 400: 'auth', 404: 'auth', 410: 'auth' });
    return new Response(response.body, { headers: { 'content-type': 'application/json' } });
  };
  try {
    const { access_token, expires_in } = await genericGrantRequest(configuration, grantType, parameters);
    return { token: access_token, lifetimeSeconds: expires_in ?? ASSUMED_LIFETIME_SECONDS };
  } catch (error) {
    for (let cause: unknown = error; cause instanceof Error; cause = cause.cause) {
      // Nobody's account is in the question: its 403 is about the credential too.
      if (cause instanceof ConnectorError) throw cause.forbidden ? new ConnectorError('auth', cause.message) : cause;
    }
    // The library's error may hold the answer.
    throw new ConnectorError('server', `${operation} answered without a token`);
  }
}

function asJson(form: { method: 'POST'; headers: Record<string, string>; body: string }) {
  const body = JSON.stringify(Object.fromEntries(new URLSearchParams(form.body)));
  return { ...form, headers: { ...form.headers, 'content-type': 'application/json' }, body };
}

/**
 * A grant of a client with a secret, sent in the `Authorization` header or, where the vendor wants it there, in the
 * form; or in JSON, and all else with it, where the vendor takes no form.
 */
export function clientSecretGrant(client: {
  tokenUrl: string;
  clientId: string;
  clientSecret: Secret;
  secretIn?: 'header' | 'form' | 'json';
  /** `client_credentials` (RFC 6749 §4.4) without it. */
  grantType?: string;
  parameters?: Record<string, string>;
}): Grant {
  const { tokenUrl, clientId, clientSecret, secretIn = 'header', parameters = {} } = client;
  return {
    ...{ tokenUrl, clientId, parameters, grantType: client.grantType ?? 'client_credentials' },
    clientAuth: secretIn === 'header' ? inHeader(clientSecret) : ClientSecretPost(clientSecret()),
    bodyAs: secretIn === 'json' ? 'json' : 'form',
  };
}

/** As vendors describe it, without the form encoding of RFC 6749 §2.3.1, which most of them do not undo. */
const inHeader =
  (clientSecret: Secret): ClientAuth =>
  (_server, { client_id }, _body, headers) =>
    headers.set('authorization', `Basic ${Buffer.from(`${client_id}:${clientSecret()}`).toString('base64')}`);

/** `client_credentials` of a client that signs (`private_key_jwt`, RFC 7523 §2.2). */
export async function privateKeyJwtGrant(client: {
  tokenUrl: string;
  /** The token endpoint without it. */
  audience?: string;
  clientId: string;
  privateKey: Secret;
  keyId?: string | undefined;
  parameters?: Record<string, string>;
}): Promise<Grant> {
  const { tokenUrl, audience = tokenUrl, clientId, privateKey, keyId, parameters = {} } = client;
  const der = createPrivateKey(privateKey()).export({ type: 'pkcs8', format: 'der' });
  const algorithm = { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' };
  const key = await webcrypto.subtle.importKey('pkcs8', der, algorithm, false, ['sign']);
  return {
    ...{ tokenUrl, clientId, parameters, grantType: 'client_credentials' },
    clientAuth: PrivateKeyJwt(keyId === undefined ? key : { key, kid: keyId }, {
      [modifyAssertion]: (_header, payload) => {
        payload.aud = audience;
      },
    }),
  };
}

/** The JWT bearer grant (RFC 7523 §2.1), as service accounts use it. */
export async function jwtBearerGrant(
  assertion: {
    tokenUrl: string;
    issuer: string;
    /** Whom the token is to act as; without it, the issuer itself. */
    subject?: string;
    /** The token endpoint without it. */
    audience?: string;
    claims?: Record<string, string>;
    privateKey: Secret;
    keyId?: string | undefined;
    parameters?: Record<string, string>;
    /** Where the client has to prove itself too. */
    client?: { id: string; secret: Secret };
  },
  now: Date,
): Promise<Grant> {
  const { tokenUrl, issuer, subject, audience = tokenUrl, claims = {}, privateKey, keyId, client } = assertion;
  const iat = Math.floor(now.getTime() / 1000);
  const signed = await new SignJWT({ ...claims, ...(subject !== undefined && { sub: subject }), jti: randomUUID() })
    .setProtectedHeader({ alg: 'RS256', typ: 'JWT', ...(keyId !== undefined && { kid: keyId }) })
    .setIssuer(issuer)
    .setAudience(audience)
    .setIssuedAt(iat)
    .setExpirationTime(iat + ASSERTION_LIFETIME_SECONDS)
    .sign(createPrivateKey(privateKey()));
  return {
    tokenUrl,
    clientId: client?.id ?? issuer,
    // The assertion proves itself: without a client there is not even its id.
    clientAuth: client ? ClientSecretPost(client.secret()) : () => {},
    grantType: 'urn:ietf:params:oauth:grant-type:jwt-bearer',
    parameters: { ...assertion.parameters, assertion: signed },
  };
}

/** A private RSA key among the options, as PEM; `\n` may stand for its line breaks, as in JSON key files. */
export const privateKey = () =>
  secret(
    z
      .string()
      .transform((pem) => pem.replaceAll('\\n', '\n'))
      .refine((pem) => rsaKey(pem) !== undefined, 'is not a private RSA key in PEM') as never,
  );

function rsaKey(pem: string): KeyObject | undefined {
  try {
    const key = createPrivateKey(pem);
    return key.asymmetricKeyType === 'rsa' ? key : undefined;
  } catch {
    return undefined;
  }
}
