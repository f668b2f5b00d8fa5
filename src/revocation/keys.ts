/** The public keys of one trust: from its JWKS URI, its OpenID discovery, an inline JWK Set, or certificates. */
import { X509Certificate } from 'node:crypto';
import type { JWK } from 'jose';
import { allowInsecureRequests, customFetch, discovery, None } from 'openid-client';
import { z } from 'zod';
import type { Outbound, OutboundResponse } from '../outbound/outbound.js';
import { Unavailable } from '../request-error.js';
import type { TrustSettings } from '../settings.js';
import { verifies } from '../verification-key.js';

const FETCH_TIMEOUT_MS = 5_000;
const MAX_JWKS_BYTES = 512 * 1024;
const DEFAULT_AGE_MS = 10 * 60_000;
const MAX_AGE_MS = 24 * 3_600_000;
const MAX_STALE_MS = 24 * 3_600_000;
const COOLDOWN_MS = 30_000;
const PATIENCE_WITH_STALE_MS = 1_500;
/** So many keys are tried for one JWT. */
export const MAX_CANDIDATES = 5;

const word = z.string().optional();
const jwk = z.looseObject({
  kty: z.string(),
  ...{ kid: word, alg: word, use: word, n: word, e: word, crv: word, x: word, y: word },
  key_ops: z.array(z.string()).optional(),
});

/** The part of a JWT's protected header that chooses a key. Both come from the caller. */
export type KeyHint = { alg: string; kid: string | undefined };

export type KeySource = {
  /** The keys that may have signed, at most five; none where the `kid` is unknown. Throws Unavailable. */
  candidates(hint: KeyHint): Promise<JWK[]>;
  /**
   * For a JWT without a `kid` that none of the keys tried has signed: those that have come since, once the set has been
   * fetched anew where that is not too soon. Throws Unavailable.
   */
  newCandidates(hint: KeyHint, tried: readonly JWK[]): Promise<JWK[]>;
};

/** Told of each key set that was fetched, and of each that could not be, and why. */
export type OnFetch = (outcome: 'fetched' | 'failed', error?: unknown) => void;

export function createKeySource(
  keys: TrustSettings['keys'],
  { send, now, onFetch }: { send: Outbound['send']; now: () => number; onFetch: OnFetch },
): KeySource {
  if ('certificates' in keys) {
    const set = keys.certificates.map((pem) => new X509Certificate(pem).publicKey.export({ format: 'jwk' }) as JWK);
    // A certificate has no kid, so whatever the header says there is nothing to compare it with.
    return createFixedKeys(({ alg }) => select(set, { alg, kid: undefined }));
  }
  if ('jwks' in keys) {
    const set = readKeys(keys.jwks.keys);
    return createFixedKeys((hint) => select(set, hint));
  }
  if ('jwksUri' in keys) return createRemoteKeys(() => fetchJwks(keys.jwksUri, send), now, onFetch);
  return createRemoteKeys(async () => fetchJwks(await discoverJwksUri(keys.discovery, send), send), now, onFetch);
}

function createFixedKeys(candidates: (hint: KeyHint) => JWK[]): KeySource {
  return { candidates: async (hint) => candidates(hint), newCandidates: async () => [] };
}

type Fetched = { keys: JWK[]; maxAgeMs: number };

/** A key set fetched once for many waiting requests, kept as long as its issuer says, and longer while it is down. */
function createRemoteKeys(fetchKeys: () => Promise<Fetched>, now: () => number, onFetch: OnFetch): KeySource {
  let current: { keys: JWK[]; expiresAt: number } | undefined;
  let failure: unknown;
  let attemptedAt = Number.NEGATIVE_INFINITY;
  let pending: Promise<void> | undefined;

  function refresh(): Promise<void> {
    attemptedAt = now();
    pending ??= fetchKeys()
      .then(({ keys, maxAgeMs }) => {
        current = { keys, expiresAt: now() + maxAgeMs };
        failure = undefined;
        onFetch('fetched');
      })
      .catch((error: unknown) => {
        failure = error;
        onFetch('failed', error);
      })
      .finally(() => {
        pending = undefined;
      });
    return pending;
  }

  const isCoolingDown = () => pending === undefined && now() - attemptedAt < COOLDOWN_MS;

  async function candidates(hint: KeyHint): Promise<JWK[]> {
    if (!current || now() >= current.expiresAt + MAX_STALE_MS) {
      if (!isCoolingDown()) await refresh();
    } else if (now() >= current.expiresAt && !isCoolingDown()) {
      await Promise.race([refresh(), delay(PATIENCE_WITH_STALE_MS)]);
    }
    if (!current || now() >= current.expiresAt + MAX_STALE_MS) throw new Unavailable('keys_unavailable', failure);

    const known = select(current.keys, hint);
    return known.length > 0 ? known : newCandidates(hint, []);
  }

  async function newCandidates(hint: KeyHint, tried: readonly JWK[]): Promise<JWK[]> {
    const untried = () => select(current?.keys ?? [], hint).filter((key) => !tried.includes(key));
    // Another request may have had the set fetched meanwhile.
    if (untried().length === 0 && !isCoolingDown()) await refresh();
    const found = untried();
    // The key may be a new one that a dead issuer cannot show: then the caller is not to blame.
    if (found.length === 0 && failure) throw new Unavailable('keys_unavailable', failure);
    return found;
  }

  return { candidates, newCandidates };
}

async function fetchJwks(url: string, send: Outbound['send']): Promise<Fetched> {
  const response = await send(url, {
    headers: { accept: 'application/jwk-set+json, application/json' },
    timeoutMs: FETCH_TIMEOUT_MS,
    maxBytes: MAX_JWKS_BYTES,
  });
  if (response.status !== 200) throw new Error(`the JWK Set answered ${response.status}`);
  const set = JSON.parse(response.body) as { keys?: unknown };
  const keys = Array.isArray(set.keys) ? readKeys(set.keys) : [];
  // An issuer that shows nothing has failed, and has not taken back what it has shown before.
  if (keys.length === 0) throw new Error('the JWK Set has no keys');
  return { keys, maxAgeMs: maxAgeMs(response) };
}

/** The entries that are JWKs: one that is none must not spoil the others. */
function readKeys(keys: readonly unknown[]): JWK[] {
  return keys.filter((key): key is JWK => jwk.safeParse(key).success);
}

async function discoverJwksUri(url: string, send: Outbound['send']): Promise<string> {
  const server = new URL(url);
  const configuration = await discovery(server, 'universal-logout', undefined, None(), {
    timeout: FETCH_TIMEOUT_MS / 1000,
    // Whether plain http is allowed is the address guard's decision, at connect time.
    execute: server.protocol === 'http:' ? [allowInsecureRequests] : [],
    [customFetch]: async (address, { headers }) => {
      const response = await send(address, { headers, timeoutMs: FETCH_TIMEOUT_MS, maxBytes: MAX_JWKS_BYTES });
      return new Response(response.body, { status: response.status, headers: response.headers });
    },
  });
  const { jwks_uri } = configuration.serverMetadata();
  if (!jwks_uri) throw new Error('the discovery document has no jwks_uri');
  return jwks_uri;
}

/** Cache-Control's max-age between the cooldown and a day; ten minutes where there is none. */
function maxAgeMs(response: OutboundResponse): number {
  const [, seconds] = /(?:^|[\s,])max-age=(\d+)/i.exec(response.headers['cache-control'] ?? '') ?? [];
  const age = seconds === undefined ? DEFAULT_AGE_MS : Number(seconds) * 1000;
  return Math.min(Math.max(age, COOLDOWN_MS), MAX_AGE_MS);
}

function select(keys: readonly JWK[], { alg, kid }: KeyHint): JWK[] {
  return keys.filter((key) => (kid === undefined || key.kid === kid) && verifies(key, alg)).slice(0, MAX_CANDIDATES);
}

function delay(ms: number): Promise<void> {
  return new Promise((done) => {
    setTimeout(done, ms).unref();
  });
}
