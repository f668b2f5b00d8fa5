/** Queues as they stand, without a trace: what waits, since when, and why what failed did. */
import { type JobType, Queue } from 'bullmq';
import { INTAKE_QUEUE, type IntakeJob } from '../../fanout/job.js';
import { type Outbound, OutboundError } from '../../outbound/outbound.js';
import type { RedisClient } from '../../redis.js';
import { counted, type Finding, ok, problem, warning } from './finding.js';

const WAITING: JobType[] = ['wait', 'prioritized', 'delayed'];
const WAITS_TOO_LONG_MS = 60_000;

export type Place = { redis: RedisClient; prefix: string; name: string };

/** Opens it for as long as `look` takes, and leaves no trace. */
async function withQueue<Data, Seen>(
  { redis, prefix, name }: Place,
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

/** In words that name nobody: of the job that was given up last, and of the one that is tried again next. */
export function failuresIn(place: Place): Promise<{ failed?: string | undefined; retrying?: string | undefined }> {
  return withQueue(place, async (queue) => {
    const jobs = await Promise.all([queue.getJobs(['failed'], 0, 0), queue.getJobs(['delayed'], 0, 0, true)]);
    const [failed, retrying] = jobs.map(([job]) => job?.failedReason?.replace(/\n.*/s, ''));
    return { failed, retrying };
  });
}

/** Somebody who is told by a queue: whether anybody listens there, and what was not taken. */
export async function checkReceiver(
  check: string,
  { url, reach, ...place }: Place & { url: string } & Pick<Outbound, 'reach'>,
): Promise<Finding> {
  const todo = 'look at its url in the settings, and at what answers there';
  try {
    await reach(url);
  } catch (error) {
    if (!(error instanceof OutboundError)) throw error;
    return problem(check, error.message, todo);
  }
  const reasons = await failuresIn(place);
  const { failed = 0, delayed = 0 } = await withQueue(place, (queue) => queue.getJobCounts('failed', 'delayed'));
  if (delayed > 0) return problem(check, `${counted(delayed, 'message')} not taken so far: ${reasons.retrying}`, todo);
  if (failed > 0)
    return warning(check, `${counted(failed, 'message')} given up, the last one so: ${reasons.failed}`, todo);
  return ok(check, 'somebody listens there, and has taken what was sent');
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
