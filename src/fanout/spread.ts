/** Gives each app of an accepted revocation its job. */
import type { Job, Queue } from 'bullmq';
import type { Account } from '../connectors/connector.js';
import type { DataKeys } from '../data-key.js';
import type { Alerts } from './alert.js';
import type { Attempts } from './attempt.js';
import type { BulkGate } from './bulk-gate.js';
import type { Closed } from './call-app.js';
import {
  type AppJob,
  appQueue,
  digestOf,
  INTAKE_QUEUE,
  type IntakeJob,
  jobOptions,
  priorityOf,
  type Revocation,
} from './job.js';
import type { RevocationRecords } from './record.js';

export type SpreadDependencies = {
  records: RevocationRecords;
  attempts: Attempts;
  /** Bulk revocations are spread through it. */
  spreadGate: BulkGate;
  /** Told where a single logout wants into a lane. */
  bulkGate: Pick<BulkGate, 'makeRoom'>;
  dataKeys: DataKeys;
  /** Where the settings name a webhook for them. */
  alerts: Alerts | undefined;
  closed: Closed;
  now: () => number;
  /** Failed jobs are kept as long as the record, and 30 days at least: in seconds. */
  keepFailedSeconds: number;
};

export type AppQueues = ReadonlyMap<string, { queue: Queue<AppJob>; priority: number }>;

/** Opens the record, then adds the jobs. Run twice, it opens nothing and adds nothing twice. */
export function spread(dependencies: SpreadDependencies, queues: AppQueues) {
  const { records, attempts, bulkGate, spreadGate, dataKeys, alerts, closed, now, keepFailedSeconds } = dependencies;

  return ({ data }: Job<IntakeJob>): Promise<void> =>
    data.bulk ? spreadGate.pass(INTAKE_QUEUE, () => carryOn(data)) : carryOn(data);

  async function carryOn(data: IntakeJob): Promise<void> {
    const { tenant, revocationId, user, mode, via, acceptedAt, bulk } = data;
    const accounts = JSON.parse(dataKeys.open(data.accounts, tenant)) as Revocation['accounts'];
    const jobs = await records.open({ ...data, accounts });
    await Promise.all(
      accounts.map(async ({ app, account }, index) => {
        const jobId = jobs[index];
        if (jobId === undefined) return;
        const found = queues.get(appQueue(tenant, app));
        if (!found) return giveUp(app, account);
        const job: AppJob = {
          ...{ user, mode, via, acceptedAt, ...(bulk && { bulk }) },
          account: dataKeys.seal(account, tenant),
        };
        const priority = priorityOf(data, found.priority);
        const removeOnFail = { age: keepFailedSeconds };
        await found.queue.add('revoke', job, { ...jobOptions, removeOnFail, priority, jobId });
        if (!bulk) bulkGate.makeRoom(found.queue.name);
        if (jobId !== revocationId) await promote(found.queue, jobId);
      }),
    );
    if (accounts.length === 0) await closed(tenant, [revocationId], ['completed']);

    /** The app has left the settings since the revocation was accepted. */
    async function giveUp(app: string, account: Account): Promise<void> {
      const [at, reason] = [now(), 'app_removed' as const];
      // Told before it is recorded: once it is, a spread that runs again passes this app by.
      await alerts?.raise({ type: 'job.failed', tenant, app, revocationId, reason, attempts: 0, at });
      const digest = digestOf(data, account);
      const { statuses } = await attempts.end(
        { tenant, app, job: revocationId, digest, members: [revocationId], joinable: false },
        { state: 'failed', attempts: 0, at, reason },
        {
          blame: 'neutral',
          breaker: { failureRatio: 1, minimumCalls: 1, window: 1, openFor: 1 },
          audit: { event: 'job.failed', tenant, user, app, reason, attempt: 0 },
        },
      );
      await closed(tenant, [revocationId], statuses);
    }
  }
}

/** Somebody asks again: what waits for its next try need not wait. */
async function promote(queue: Queue<AppJob>, jobId: string): Promise<void> {
  const job = await queue.getJob(jobId);
  if ((await job?.getState()) !== 'delayed') return;
  await job?.promote().catch(() => {
    // It has begun in the meantime.
  });
}
