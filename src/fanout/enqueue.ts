/** The one durable write between a good request and its 204. */
import { Queue } from 'bullmq';
import type { Redis } from 'ioredis';
import { INTAKE_QUEUE, jobOptions, type Revocation } from './job.js';

export type Enqueue = ReturnType<typeof createEnqueue>;

export function createEnqueue(connection: Redis, prefix: string) {
  const intake = new Queue<Revocation>(INTAKE_QUEUE, { connection, prefix, skipVersionCheck: true });
  intake.on('error', () => {
    // The connection reports its own errors; a failed add is thrown to whoever asked.
  });
  return {
    /** The id of the job is the revocation's, so that the same one twice is one job. */
    async add(revocation: Revocation): Promise<void> {
      await intake.add('revocation', revocation, { ...jobOptions, jobId: revocation.revocationId });
    },
    async isWaiting(revocationId: string): Promise<boolean> {
      return (await intake.getJob(revocationId)) !== undefined;
    },
    close: () => intake.close(),
  };
}
