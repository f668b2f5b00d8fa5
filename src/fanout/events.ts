/** Tells receivers of the settings that a revocation is over: a signed webhook, or a CAEP session-revoked SET. */
import { type Job, Queue, UnrecoverableError, Worker } from 'bullmq';
import { type Call, ConnectorError } from '../connectors/connector.js';
import { request } from '../connectors/request.js';
import { pushOfSet, type Subject, sessionRevoked } from '../outbound/security-event.js';
import { signedHeaders } from '../outbound/signed-headers.js';
import type { RedisClient as Redis } from '../redis.js';
import type { Closed } from './call-app.js';
import { jobOptions } from './job.js';
import type { RevocationRecord, RevocationRecords } from './record.js';
import { retryDelayMs } from './retry.js';
import { tellUnforeseen } from './unforeseen.js';
import { RetryLater, workerOptions } from './worker-options.js';

const TIMEOUT_MS = 10_000;
const RETRY_FOR_MS = 72 * 3_600_000;

/** A receiver of one tenant's events. */
export type Receiver = { tenant: string; id: string } & (
  | { webhook: { url: string; secret: string } }
  | { caep: { url: string; audience: string; bearer?: string | undefined; subject: 'email' | 'opaque' } }
);

export function eventsQueue({ tenant, id }: Pick<Receiver, 'tenant' | 'id'>): string {
  return `{events.${tenant}.${id}}`;
}

/** How the revocation ended, and when: it may end anew where somebody has it retried. */
type EventJob = { revocationId: string; status: 'completed' | 'failed'; completedAt: number };

type Over = RevocationRecord & Omit<EventJob, 'revocationId'>;

export type EventsDependencies = {
  connection: Redis;
  prefix: string;
  receivers: readonly Receiver[];
  records: RevocationRecords;
  /** The person as a receiver knows it; undefined where the directory has forgotten it, or it has no such name. */
  subjectOf: (tenant: string, user: string, format: 'email' | 'opaque') => Promise<Subject | undefined>;
  callContext: Pick<Call, 'publicUrl' | 'signingKeys' | 'send'>;
  now: () => number;
  onError: (error: Error, receiver: Receiver) => void;
};

/** Each receiver has a queue of its own, so that one that is dead delays no other. */
export function startEvents(dependencies: EventsDependencies) {
  const { connection, prefix, receivers, records, subjectOf, callContext, now, onError } = dependencies;
  const lanes = receivers.map((receiver) => {
    const name = eventsQueue(receiver);
    const queue = new Queue<EventJob>(name, { connection, prefix, skipVersionCheck: true });
    const told = tellUnforeseen(tell(receiver), ({ job, error, news }) => {
      if (news) onError(new Error(`events: job ${job.id} threw`, { cause: error }), receiver);
    });
    const worker = new Worker<EventJob>(name, told, workerOptions(connection, prefix));
    queue.on('error', (error) => onError(error, receiver));
    worker.on('error', (error) => onError(error, receiver));
    return { receiver, queue, worker };
  });

  function tell(receiver: Receiver) {
    return async (job: Job<EventJob>): Promise<void> => {
      const { revocationId, status, completedAt } = job.data;
      const record = await readOver(receiver.tenant, revocationId);
      // Retried in the meantime: it is not over, or that it is has a job of its own.
      if (!record || record.status !== status || record.completedAt !== completedAt) return;
      try {
        await ('webhook' in receiver ? sendWebhook(receiver.webhook, record) : sendSet(receiver.caep, record));
      } catch (error) {
        if (!(error instanceof ConnectorError)) throw error;
        const at = { attempt: job.attemptsMade + 1, ageMs: now() - job.timestamp, retryForMs: RETRY_FOR_MS };
        const delayMs = retryDelayMs(error, at);
        onError(error, receiver);
        throw delayMs === undefined ? new UnrecoverableError(error.message) : new RetryLater(error, delayMs);
      }
    };
  }

  const call = () => ({ send: callContext.send, signal: AbortSignal.timeout(TIMEOUT_MS), now: () => new Date(now()) });

  async function readOver(tenant: string, revocationId: string): Promise<Over | undefined> {
    const record = await records.read(tenant, revocationId);
    if (!record || record.status === 'pending' || record.completedAt === undefined) return undefined;
    return { ...record, status: record.status, completedAt: record.completedAt };
  }

  async function sendWebhook({ url, secret }: { url: string; secret: string }, record: Over) {
    const { revocationId, tenant, user, mode, status, acceptedAt, completedAt, apps } = record;
    const data = {
      ...{ revocationId, tenant, user, mode, acceptedAt: iso(acceptedAt), tookMs: completedAt - acceptedAt },
      apps: Object.entries(apps).map(([app, { state }]) => ({ app, state })),
    };
    const body = JSON.stringify({ type: `revocation.${status}`, timestamp: iso(completedAt), data });
    const headers = signedHeaders([secret], idOf(record), new Date(now()), body);
    await request('events: POST of a webhook', url, { method: 'POST', headers, body }, call());
  }

  /** The session-revoked event of CAEP; signed anew each time, one `jti`. */
  async function sendSet(target: Extract<Receiver, { caep: object }>['caep'], record: RevocationRecord) {
    const { revocationId, tenant, user, trust, acceptedAt } = record;
    const subject = await subjectOf(tenant, user, target.subject);
    if (!subject) throw new ConnectorError('not_found', 'events: the directory has no such name for the person');
    const set = {
      event: sessionRevoked({ at: acceptedAt, initiatedBy: trust === 'operator' ? 'admin' : undefined }),
      issuer: callContext.publicUrl,
      audience: target.audience,
      subject,
      jti: `${revocationId}.session-revoked`,
      txn: revocationId,
      now: new Date(now()),
      bearer: target.bearer,
    };
    const message = await pushOfSet(set, callContext.signingKeys);
    await request('events: POST of a SET', target.url, message, call());
  }

  /** A revocation that is over is told to every receiver of its tenant, once for each time, also where it is called twice. */
  const closed: Closed = async (tenant, revocationIds, statuses) => {
    const mine = lanes.filter(({ receiver }) => receiver.tenant === tenant);
    if (mine.length === 0) return;
    await Promise.all(
      revocationIds.map(async (revocationId, index) => {
        if (statuses[index] === '') return;
        const over = await readOver(tenant, revocationId);
        if (!over) return;
        const { status, completedAt } = over;
        for (const { receiver, queue } of mine) {
          // Sessions may live on where an app was not reached: CAEP has no word for that.
          if ('caep' in receiver && status === 'failed') continue;
          const opts = { ...jobOptions, removeOnFail: { age: 30 * 86_400 }, jobId: idOf(over) };
          await queue.add('event', { revocationId, status, completedAt }, opts);
        }
      }),
    );
  };

  return {
    closed,
    /** Tells nobody anything new; what is over by now is told by another worker. Resolves when no call is under way. */
    async stop(): Promise<void> {
      await Promise.all(lanes.map(({ worker }) => worker.close()));
    },
    /** After `closed` was called for the last time. A call that is still under way comes back as stalled. */
    async close(): Promise<void> {
      await Promise.all(lanes.map(({ queue }) => queue.close()));
    },
  };
}

/** Of the job and of the message. */
function idOf({ revocationId, status, completedAt }: Over): string {
  return `event_${revocationId}_${status}_${completedAt}`;
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}
