/** The queues that are no app's: what waits in them, since when, and why the last of it failed. */
import { type JobType, Queue } from 'bullmq';
import { INTAKE_QUEUE, type IntakeJob } from '../../fanout/job.js';
import type { RedisClient } from '../../redis.js';
import { counted, type Finding, ok, problem, warning } from './finding.js';

const WAITING: JobType[] = ['wait', 'prioritized', 'delayed'];
const WAITS_TOO_LONG_MS = 60_000;

/** Opens it for as long as `look` takes, and leaves no trace. */
async function withQueue<Data, Seen>(
  { redis, prefix, name }: { redis: RedisClient; prefix: string; name: string },
  look: (queue: Queue<Data>) => Promise<Seen>,
): Promise<Seen> {
  const queue = new Queue<Data>(name, {
    ...{ connection: redis, prefix, skipVersionCheck: true },
    // A queue that is opened is noted in Redis.
    skipMetasUpdate: true,
  });
  queue.on('error', () => {
    // What fails is thrown to whoever asked.
  });
  try {
    return await look(queue);
  } finally {
    await queue.close();
  }
}

/** Where what is accepted waits until a worker spreads it over its apps. */
export function checkIntake(redis: RedisClient, prefix: string, overdueAfterMs: number): Promise<Finding> {
  return withQueue({ redis, prefix, name: INTAKE_QUEUE }, async (queue: Queue<IntakeJob>) => {
    const check = 'intake';
    const waiting = await queue.getJobCountByTypes(...WAITING);
    const heads = await Promise.all(WAITING.map((type) => queue.getJobs([type], 0, 0, true)));
    const what = `${counted(waiting, 'accepted revocation')} not yet handed to the apps`;
    const since = Math.min(...heads.flat().flatMap((job) => (job ? [job.data.acceptedAt] : [])));
    const ageMs = Date.now() - since;
    if (ageMs < WAITS_TOO_LONG_MS || since === Number.POSITIVE_INFINITY) return ok(check, what);
    const finding = ageMs > overdueAfterMs ? problem : warning;
    return finding(check, `${what}, the first for ${Math.round(ageMs / 60_000)} min`, 'is a worker running, and well?');
  });
}
