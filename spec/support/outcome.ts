/** Writes what became of an app into a revocation's record, as a worker does at the end of an attempt. */

import { createAttempts, type Ending } from '../../src/fanout/attempt.js';
import type { AppRecord } from '../../src/fanout/record.js';
import type { RedisClient } from '../../src/redis.js';

const BREAKER = { failureRatio: 1, minimumCalls: 1_000, window: 60_000, openFor: 1_000 };

/** Answers the status of a revocation whose last app this was, else ''. */
export function createOutcomes(redis: RedisClient, prefix: string) {
  const attempts = createAttempts(redis, { prefix, retentionMs: 60_000 });
  return async (
    { tenant, revocationId }: { tenant: string; revocationId: string },
    app: string,
    record: AppRecord,
  ): Promise<Ending['statuses'][number]> => {
    const { statuses } = await attempts.end(
      { tenant, app, job: revocationId, digest: 'spec', call: 1, members: [revocationId], joinable: false },
      record,
      { blame: 'neutral', breaker: BREAKER, audit: { event: 'account.revoked', tenant, user: '1', app } },
    );
    return statuses[0] ?? '';
  };
}
