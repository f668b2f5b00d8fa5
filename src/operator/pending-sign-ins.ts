/** Sign-ins under way at the issuer: each bound to one browser's cookie, for ten minutes, good once. */
import { createHash, randomBytes } from 'node:crypto';
import { orUnavailable, type RedisClient } from '../redis.js';

const PENDING_MS = 10 * 60_000;

export type PendingSignIn = {
  state: string;
  nonce: string;
  codeVerifier: string;
  returnTo: string;
  /** Milliseconds since the epoch. */
  startedAt: number;
};

export type PendingSignIns = ReturnType<typeof createPendingSignIns>;

export function createPendingSignIns(redis: RedisClient, prefix: string) {
  const key = (id: string) => `${prefix}:console:sign-in:${createHash('sha256').update(id).digest('base64url')}`;
  return {
    /** Answers the id for the cookie, which Redis has only as a hash. */
    async add(pending: PendingSignIn): Promise<string> {
      const id = randomBytes(32).toString('base64url');
      await orUnavailable(redis.set(key(id), JSON.stringify(pending), 'PX', PENDING_MS));
      return id;
    },

    /** Whoever comes second finds nothing. */
    async take(id: string | undefined): Promise<PendingSignIn | undefined> {
      const text = id === undefined ? null : await orUnavailable(redis.getdel(key(id)));
      return text === null ? undefined : (JSON.parse(text) as PendingSignIn);
    },
  };
}
