/** Turns an authenticated request into a revocation that cannot be lost, or says why not. */
import { createHash } from 'node:crypto';
import { type AssignedApp, accountsOf } from '../directory/assignment.js';
import { type Resolution, resolve } from '../directory/resolve.js';
import type { User } from '../directory/user.js';
import type { Users } from '../directory/users.js';
import type { Enqueue } from '../fanout/enqueue.js';
import type { RevocationRecords } from '../fanout/record.js';
import { orUnavailable } from '../redis.js';
import { RequestError, type RequestErrorCode, Unavailable } from '../request-error.js';
import type { ValidAfter } from '../valid-after.js';
import { type Caller, SKEW_SECONDS, unauthenticated } from './authenticate.js';
import type { Limits } from './limits.js';
import type { Replay } from './replay.js';
import { parseSubjectIdentifier } from './subject-identifier.js';
import type { Trust } from './trust.js';

// `exp` may have a fraction that is not looked at, and the clocks of several processes differ.
const CLAIM_MARGIN_SECONDS = 5;

export type Accepted = { revocationId: string; state: 'accepted' | 'repeated' | 'looped' };

export type Accept = ReturnType<typeof createAccept>;

export type AcceptDependencies = {
  users: Pick<Users, 'findWithDeleted'>;
  replay: Replay;
  enqueue: Enqueue;
  validAfter: ValidAfter;
  records: Pick<RevocationRecords, 'exists'>;
  apps: (tenant: string) => readonly AssignedApp[];
  limit: Limits['accepted'];
  /** How this gateway is called in a chain of gateways. */
  gateway: string;
  now: () => number;
};

/** Throws RequestError 400, 401, 403, 404, 422 or 429, or Unavailable where Redis does not answer. */
export function createAccept(dependencies: AcceptDependencies) {
  const { users, replay, enqueue, validAfter, records, apps, limit, gateway, now } = dependencies;

  return async function accept(caller: Caller, body: Buffer): Promise<Accepted> {
    const { trust, jti, exp, via } = caller;
    const jwt = sha256(JSON.stringify([trust.tenant, trust.id, jti]));
    const bodyHash = sha256(body);
    const revocationId = `rev_${sha256(jwt + bodyHash).slice(0, 32)}`;

    // These go out together, in one round trip; nothing of the look-up is used before the claim has held.
    const resolution = resolveBody(body, trust);
    const withinLimit = limit(trust);
    const ttlSeconds = exp + SKEW_SECONDS + CLAIM_MARGIN_SECONDS - now() / 1000;
    const claimed = orUnavailable(replay.claim(jwt, bodyHash, ttlSeconds));
    let [claim] = await Promise.all([claimed, settled(resolution), settled(withinLimit)]);
    if (claim.state === 'repeat') {
      if (await isAccepted(trust.tenant, revocationId)) return { revocationId, state: 'repeated' };
      claim = await orUnavailable(replay.share(jwt, bodyHash, ttlSeconds));
    }
    if (claim.state === 'other_body') throw unauthenticated('jti_reused');
    if (claim.state === 'answered') throw answered(claim.answer);
    const isFirst = claim.state === 'new';

    try {
      if (!trust.enabled)
        throw new RequestError(403, 'trust_disabled', 'This caller may not revoke: its trust is disabled.');
      await withinLimit;
      const user = userOf(await resolution);
      if (via.includes(gateway)) return { revocationId, state: 'looped' };
      const revocation = {
        revocationId,
        tenant: trust.tenant,
        trust: trust.id,
        user: user.resource.id,
        mode: trust.mode,
        via: [...via, gateway],
        acceptedAt: now(),
        // The accounts of now: a deprovisioning a second later strands nothing.
        accounts: accountsOf(user, apps(trust.tenant)),
      };
      const raised = trust.mode === 'full' ? validAfter.raise(revocation) : undefined;
      await orUnavailable(Promise.all([raised, enqueue.add(revocation)]));
      return { revocationId, state: 'accepted' };
    } catch (error) {
      const concluded = conclude(jwt, bodyHash, isFirst, error);
      // Where Redis is silent, the caller does not wait for it a second time.
      if (!(error instanceof Unavailable)) await concluded;
      throw error;
    }
  };

  async function resolveBody(body: Buffer, trust: Trust): Promise<Resolution> {
    const subjectIdentifier = parseSubjectIdentifier(body, trust);
    return orUnavailable(resolve(users, trust.tenant, trust, subjectIdentifier));
  }

  async function isAccepted(tenant: string, revocationId: string): Promise<boolean> {
    const found = [records.exists(tenant, revocationId), enqueue.isWaiting(revocationId)];
    return (await orUnavailable(Promise.all(found))).includes(true);
  }

  /** A refusal is kept as the answer to this JWT; after a failure of ours, or 429, it may come again. */
  async function conclude(jwt: string, bodyHash: string, isFirst: boolean, error: unknown): Promise<void> {
    const isFinal = error instanceof RequestError && error.status !== 429;
    if (!isFinal && !isFirst) return;
    const kept = isFinal
      ? replay.settle(jwt, bodyHash, { status: error.status, code: error.code, detail: error.detail })
      : replay.release(jwt, bodyHash);
    // Without an answer of its own the claim lets the same request, and no other, try again: nothing is lost.
    await orUnavailable(kept).catch(() => {});
  }
}

function userOf(resolution: Resolution): User {
  if ('user' in resolution) return resolution.user;
  const { refused } = resolution;
  if (refused === 'ambiguous_subject') {
    throw new RequestError(422, 'ambiguous_subject', 'sub_id names more than one user: nobody was logged out.');
  }
  throw new RequestError(404, 'user_not_found', 'No such user.', { reason: refused });
}

function answered({ status, code, detail }: { status: number; code: string; detail: string }): RequestError {
  return new RequestError(status, code as RequestErrorCode, detail, { reason: `repeat_of_${code}` });
}

/** Waits without caring how it ends; whoever awaits the promise itself sees the error. */
async function settled(promise: Promise<unknown>): Promise<void> {
  await promise.catch((error: unknown) => {
    if (error instanceof Unavailable) throw error;
  });
}

function sha256(content: string | Buffer): string {
  return createHash('sha256').update(content).digest('hex');
}
