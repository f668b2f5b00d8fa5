/** Gives each app of an accepted revocation its job. */
import type { Job, Queue } from 'bullmq';
import type { DataKeys } from '../data-key.js';
import type { BulkGate } from './bulk-gate.js';
import type { Closed } from './call-app.js';
import { type AppJob, INTAKE_QUEUE, type IntakeJob, jobOptions, priorityOf, type Revocation } from './job.js';
import { appName, type KnownApps } from './known-apps.js';
import type { RevocationRecords } from './record.js';

export type SpreadDependencies = {
  records: RevocationRecords;
  knownApps: Pick<KnownApps, 'note'>;
  /** Bulk revocations are spread through it. */
  spreadGate: BulkGate;
  /** Told where a single logout wants into a lane. */
  bulkGate: Pick<BulkGate, 'makeRoom'>;
  dataKeys: DataKeys;
  closed: Closed;
  /** Failed jobs are kept as long as the record, and 30 days at least: in seconds. */
  keepFailedSeconds: number;
};

/** `known`: whether the app is in the settings of this process. */
export type Entrance = { queue: Queue<AppJob>; priority: number; known: boolean };

/** Opens the record, then adds the jobs. Run twice, it opens nothing and adds nothing twice. */
export function spread(dependencies: SpreadDependencies, entranceTo: (tenant: string, app: string) => Entrance) {
  const { records, knownApps, bulkGate, spreadGate, dataKeys, closed, keepFailedSeconds } = dependencies;

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
        const { queue, priority, known } = entranceTo(tenant, app);
        // Whoever accepted it knows the app, and so does another worker, or will: after a rollout all of them.
        if (!known) await knownApps.note(appName(tenant, app));
        const job: AppJob = {
          ...{ user, mode, via, acceptedAt, ...(bulk && { bulk }) },
          account: dataKeys.seal(account, tenant),
        };
        const keep = { removeOnFail: { age: keepFailedSeconds } };
        await queue.add('revoke', job, { ...jobOptions, ...keep, priority: priorityOf(data, priority), jobId });
        if (!bulk) bulkGate.makeRoom(queue.name);
        if (jobId !== revocationId) await promote(queue, jobId);
      }),
    );
    if (accounts.length === 0) await closed(tenant, [revocationId], ['completed']);
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
