/** The one durable write between a good request and its 204. */
import { Queue, type Telemetry } from 'bullmq';
import type { DataKeys } from '../data-key.js';
import type { RedisClient as Redis } from '../redis.js';
import { INTAKE_QUEUE, type IntakeJob, jobOptions, priorityOf, type Revocation } from './job.js';

export type Enqueue = ReturnType<typeof createEnqueue>;

export function createEnqueue(connection: Redis, prefix: string, dataKeys: DataKeys, telemetry?: Telemetry) {
  const intake = new Queue<IntakeJob>(INTAKE_QUEUE, {
    ...{ connection, prefix, skipVersionCheck: true },
    ...(telemetry && { telemetry }),
  });
  intake.on('error', () => {
    // The connection reports its own errors; a failed add is thrown to whoever asked.
  });

  /** The id of the job is the revocation's, so that the same one twice is one job. */
  function jobOf(revocation: Revocation) {
    const { revocationId, tenant } = revocation;
    const accounts = dataKeys.seal(JSON.stringify(revocation.accounts), tenant);
    const opts = { ...jobOptions, priority: priorityOf(revocation), jobId: revocationId };
    return { name: 'revocation', data: { ...revocation, accounts }, opts };
  }

  return {
    async add(revocation: Revocation): Promise<void> {
      const { name, data, opts } = jobOf(revocation);
      await intake.add(name, data, opts);
    },
    /** In one pipeline, which is no transaction: after a failure any of them may be there, and all may be added again. */
    async addMany(revocations: readonly Revocation[]): Promise<void> {
      await intake.addBulk(revocations.map(jobOf));
    },
    async isWaiting(revocationId: string): Promise<boolean> {
      return (await intake.getJob(revocationId)) !== undefined;
    },
    /** How many are accepted and not yet spread over their apps. */
    waiting: () => intake.getJobCountByTypes('wait', 'prioritized', 'active', 'delayed'),
    close: () => intake.close(),
  };
}
