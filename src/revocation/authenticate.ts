/** Who is calling: the revocation JWT of a request, checked in the order of JWT-01 to JWT-21. */
import { errors, type JWTPayload, type JWTVerifyOptions, jwtVerify } from 'jose';
import type { Metrics } from '../metrics.js';
import { RequestError } from '../request-error.js';
import { parseStrictJson } from './strict-json.js';
import type { Trust, Trusts } from './trust.js';

export const SKEW_SECONDS = 60;
const MAX_LIFETIME_SECONDS = 300;
const MAX_JWT_LENGTH = 8 * 1024;
const MAX_JTI_LENGTH = 256;
const MAX_GATEWAYS = 10;
const TYP = 'global-token-revocation+jwt';

/** An authenticated caller: a trust, and the one JWT with which it came. */
export type Caller = {
  trust: Trust;
  jti: string;
  /** Seconds since the epoch. */
  exp: number;
  /** Gateways that have handed this revocation on (a claim of the `global-token-revocation` connector). */
  via: string[];
};

export type Authenticate = ReturnType<typeof createAuthenticate>;

/** Throws a RequestError 401 or 400, of one wording each, or Unavailable where the issuer's keys are out of reach. */
export function createAuthenticate(findTrust: Trusts, now: () => number, metrics: Metrics) {
  return async function authenticate(
    tenant: string,
    request: { authorization: readonly string[] | undefined; query: string },
  ): Promise<Caller> {
    const jwt = bearerToken(request);
    const { header, claims } = decode(jwt);
    const trust = findTrust(tenant, text(claims.iss, 'iss_invalid'), text(claims.sub, 'sub_invalid'));
    if (!trust) throw unauthenticated('unknown_trust');
    const { alg, kid } = checkHeader(header, trust);
    const candidates = await trust.keys.candidates({ alg, kid });
    if (candidates.length === 0) throw unauthenticated('no_suitable_key');
    const verified = await verify(jwt, candidates, trust, now()).catch(async (error: unknown) => {
      const isSignature = error instanceof RequestError && error.reason === 'signature_invalid';
      if (kid !== undefined || !isSignature) throw error;
      // Without a kid nothing else says that the key is a new one.
      const more = await trust.keys.newCandidates({ alg, kid }, candidates);
      if (more.length === 0) throw error;
      return verify(jwt, more, trust, now());
    });
    const nowSeconds = now() / 1000;
    const caller = checkClaims(verified, trust, nowSeconds);
    metrics.jwtAgeSeconds.observe({ tenant: trust.tenant, trust: trust.id }, nowSeconds - (verified.iat as number));
    return caller;
  };
}

/** JWT-01: one Authorization header of the scheme Bearer with one token, and no token elsewhere. */
function bearerToken({
  authorization,
  query,
}: {
  authorization: readonly string[] | undefined;
  query: string;
}): string {
  const inQuery = new URLSearchParams(query).has('access_token');
  if (!authorization || authorization.length === 0)
    throw unauthenticated(inQuery ? 'token_in_query' : 'no_token', false);
  if (inQuery) {
    throw new RequestError(400, 'several_credentials', 'Send one credential, in the Authorization header alone.', {
      headers: { 'www-authenticate': 'Bearer realm="universal-logout", error="invalid_request"' },
    });
  }
  if (authorization.length > 1) throw unauthenticated('several_authorization_headers');
  const [, token] = /^bearer +([\w.~+/=-]+)$/i.exec(authorization[0] as string) ?? [];
  if (token === undefined) throw unauthenticated('not_bearer', false);
  return token;
}

type Decoded = { header: Record<string, unknown>; claims: Record<string, unknown> };

/** JWT-02, JWT-03: a compact JWS whose parts can be read in one way only. Nothing in it is believed yet. */
function decode(jwt: string): Decoded {
  if (jwt.length > MAX_JWT_LENGTH) throw unauthenticated('jwt_too_long');
  const parts = jwt.split('.');
  if (parts.length !== 3) throw unauthenticated('not_compact_jws');
  // jose on Node 20 forgives white space, padding and stray last bits; then one signed token would have many spellings.
  if (!parts.every(isBase64url)) throw unauthenticated('not_base64url');
  return { header: decodePart(parts[0] as string), claims: decodePart(parts[1] as string) };
}

function isBase64url(part: string): boolean {
  return part !== '' && Buffer.from(part, 'base64url').toString('base64url') === part;
}

function decodePart(part: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = parseStrictJson(Buffer.from(part, 'base64url'));
  } catch (error) {
    throw unauthenticated('not_strict_json', true, error);
  }
  if (value === null || typeof value !== 'object' || Array.isArray(value)) throw unauthenticated('not_an_object');
  return value as Record<string, unknown>;
}

/** JWT-04 to JWT-06, JWT-08: algorithm and type are the trust's to choose; `jku`, `jwk`, `x5u`, `x5c` are not read. */
function checkHeader(header: Record<string, unknown>, { algorithms }: Trust): { alg: string; kid: string | undefined } {
  const { alg, typ, kid, crit, b64 } = header;
  if (typeof alg !== 'string' || !(algorithms as string[]).includes(alg)) throw unauthenticated('alg_not_allowed');
  if (typeof typ !== 'string' || typ.toLowerCase().replace(/^application\//, '') !== TYP) {
    throw unauthenticated('typ_not_allowed');
  }
  if (crit !== undefined || b64 !== undefined) throw unauthenticated('crit_not_supported');
  if (kid !== undefined && (typeof kid !== 'string' || kid === '')) throw unauthenticated('kid_invalid');
  return { alg, kid };
}

/** JWT-11, and what jose checks of the claims besides. */
async function verify(
  jwt: string,
  candidates: Awaited<ReturnType<Trust['keys']['candidates']>>,
  trust: Trust,
  nowMs: number,
): Promise<JWTPayload> {
  const options: JWTVerifyOptions = {
    algorithms: trust.algorithms,
    typ: TYP,
    issuer: trust.issuers,
    subject: trust.client,
    audience: trust.audiences,
    requiredClaims: ['iss', 'sub', 'aud', 'exp', 'iat', 'jti'],
    clockTolerance: SKEW_SECONDS,
    currentDate: new Date(nowMs),
  };
  let failure: unknown;
  for (const key of candidates) {
    try {
      return (await jwtVerify(jwt, key, options)).payload;
    } catch (error) {
      // jose looks at the claims only after the signature has held.
      if (error instanceof errors.JWTExpired) throw unauthenticated('exp_passed', true, error);
      if (error instanceof errors.JWTClaimValidationFailed) {
        throw unauthenticated(`${error.claim}_${error.reason}`, true, error);
      }
      // This was not the key, or it is a JWK that cannot be used: the next one may be.
      failure = error;
    }
  }
  throw unauthenticated('signature_invalid', true, failure);
}

/** JWT-12 to JWT-19: what jose leaves open. */
function checkClaims(claims: JWTPayload, trust: Trust, nowSeconds: number): Caller {
  const { aud, exp, iat, nbf, jti, via } = claims as Record<string, unknown>;
  if (Array.isArray(aud) && aud.length !== 1) throw unauthenticated('aud_several');
  if (!isNumericDate(exp)) throw unauthenticated('exp_invalid');
  if (!isNumericDate(iat)) throw unauthenticated('iat_invalid');
  if (nbf !== undefined && !isNumericDate(nbf)) throw unauthenticated('nbf_invalid');
  // Never from `nbf`: Okta's is five minutes in the past, which would make its tokens ten minutes long (OKTA-09).
  const longest = MAX_LIFETIME_SECONDS + SKEW_SECONDS;
  if (exp - iat > longest || exp - nowSeconds > longest) throw unauthenticated('lifetime_too_long');
  if (iat > nowSeconds + SKEW_SECONDS) throw unauthenticated('iat_in_future');
  if (nowSeconds - iat > longest) throw unauthenticated('iat_too_old');
  if (typeof jti !== 'string' || jti === '' || jti.length > MAX_JTI_LENGTH) throw unauthenticated('jti_invalid');
  return { trust, jti, exp, via: gateways(via) };
}

function isNumericDate(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value);
}

function gateways(via: unknown): string[] {
  if (via === undefined) return [];
  const valid = Array.isArray(via) && via.length <= MAX_GATEWAYS && via.every((id) => typeof id === 'string');
  if (!valid) throw unauthenticated('via_invalid');
  return via as string[];
}

function text(value: unknown, reason: string): string {
  if (typeof value !== 'string' || value === '') throw unauthenticated(reason);
  return value;
}

/** One wording for every cause (GTR-14); RFC 6750 §3.1 names the error only where a token came. */
export function unauthenticated(reason: string, presented = true, cause?: unknown): RequestError {
  const challenge = 'Bearer realm="universal-logout"';
  return new RequestError(401, 'invalid_jwt', 'This request needs a valid revocation JWT as a bearer token.', {
    reason,
    headers: { 'www-authenticate': presented ? `${challenge}, error="invalid_token"` : challenge },
    cause,
  });
}
