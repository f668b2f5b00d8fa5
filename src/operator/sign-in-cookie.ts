/** Sign-ins under way at the issuer: each sealed into a cookie of the browser that began it, for ten minutes, good once. */
import { createHash, scryptSync } from 'node:crypto';
import type { Request, Response } from 'express';
import { EncryptJWT, errors, jwtDecrypt } from 'jose';
import { orUnavailable, type RedisClient } from '../redis.js';
import type { Cookies } from './cookies.js';

const LIFE_SECONDS = 600;
const ENCRYPTION = 'A256GCM';

/** More of them, at 2 kB each, and the headers of a request become too large to be read. */
const MAX_UNDER_WAY = 4;

export type SignInUnderWay = {
  state: string;
  nonce: string;
  codeVerifier: string;
  returnTo: string;
  /** Milliseconds since the epoch. */
  startedAt: number;
};

export type SignInCookie = ReturnType<typeof createSignInCookie>;

export type SignInCookieDependencies = {
  redis: RedisClient;
  prefix: string;
  cookies: Cookies;
  /** What all processes know and nobody else: that of `operators.oidc`. With another, what is under way is begun anew. */
  clientSecret: string;
  now: () => number;
};

/** Nothing is kept here of a sign-in that is only begun, so that strangers who begin many fill nothing. */
export function createSignInCookie({ redis, prefix, cookies, clientSecret, now }: SignInCookieDependencies) {
  // Whoever begins a sign-in could guess at the secret with the cookie, so that each guess is to cost something.
  const key = new Uint8Array(scryptSync(clientSecret, 'console sign-in', 32));

  async function unseal(sealed: string): Promise<SignInUnderWay | undefined> {
    try {
      const { payload } = await jwtDecrypt<SignInUnderWay>(sealed, key, {
        keyManagementAlgorithms: ['dir'],
        contentEncryptionAlgorithms: [ENCRYPTION],
        requiredClaims: ['exp'],
        currentDate: new Date(now()),
      });
      return payload;
    } catch (error) {
      if (error instanceof errors.JOSEError) return undefined;
      throw error;
    }
  }

  return {
    /** One cookie for each sign-in: tabs do not end each other's. */
    async add(req: Request, res: Response, begun: SignInUnderWay): Promise<void> {
      const sealed = await new EncryptJWT(begun)
        .setProtectedHeader({ alg: 'dir', enc: ENCRYPTION })
        .setExpirationTime(Math.floor(now() / 1_000) + LIFE_SECONDS)
        .encrypt(key);
      const others = cookies.signInsOf(req);
      if (others.length >= MAX_UNDER_WAY) for (const other of others) other.clear(res);
      cookies.signIn(sha256(begun.state)).set(res, sealed, LIFE_SECONDS);
    },

    /** That of this state, which is used with it. Whoever comes second, or does not know the state, ends nothing. */
    async take(req: Request, res: Response, state: string): Promise<SignInUnderWay | undefined> {
      const cookie = cookies.signIn(sha256(state));
      const begun = await unseal(cookie.read(req) ?? '');
      if (begun?.state !== state) return undefined;
      const used = redis.set(`${prefix}:console:sign-in:${sha256(state)}`, '1', 'PX', LIFE_SECONDS * 1_000, 'NX');
      const isFirst = (await orUnavailable(used)) === 'OK';
      cookie.clear(res);
      return isFirst ? begun : undefined;
    },
  };
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('base64url');
}
