/** Runs of bulk revocations in Redis: what was asked and how far each is, so that whatever ends a run, another goes on. */
import { createHash, randomBytes } from 'node:crypto';
import { type AuditEvent, auditKey, auditText } from '../../audit.js';
import type { Mode } from '../../connectors/connector.js';
import type { RedisClient } from '../../redis.js';
import type { Asked, Page } from './whom.js';

export type Run = {
  id: string;
  asked: Asked;
  mode: Mode;
  /** After which the next page begins. */
  place: string;
  /** Users looked at, or lines read. */
  walked: number;
  /** Revocations added. Somebody whom several lines name counts for each, and is logged out once. */
  added: number;
  completed: boolean;
};

export function createRuns(redis: RedisClient, options: { prefix: string; tenant: string; retentionMs: number }) {
  const { prefix, tenant, retentionMs } = options;
  const key = (id: string) => `${prefix}:{${tenant}}:bulk:${id}`;
  // By the number of the line, never with what is in it: those are people's addresses.
  const problemsKey = (id: string) => `${key(id)}:problems`;

  async function write({ id, ...run }: Run, problems: Page['problems'], event?: AuditEvent): Promise<void> {
    const all = redis.multi().set(key(id), JSON.stringify(run), 'PX', retentionMs);
    if (problems.size > 0) all.hset(problemsKey(id), problems);
    all.pexpire(problemsKey(id), retentionMs);
    if (event) {
      const entry = { event, tenant, trust: 'operator', run: id };
      all.xadd(auditKey(prefix, tenant), '*', 'entry', auditText(entry));
    }
    for (const [error] of (await all.exec()) ?? []) if (error) throw error;
  }

  async function read(id: string): Promise<Run | undefined> {
    const text = await redis.get(key(id));
    return text === null ? undefined : { ...(JSON.parse(text) as Omit<Run, 'id'>), id };
  }

  return {
    async begin(asked: Asked, mode: Mode): Promise<Run> {
      const id = `bulk_${randomBytes(8).toString('hex')}`;
      const run = { id, asked, mode, place: '', walked: 0, added: 0, completed: false };
      await write(run, new Map(), 'bulk.started');
      return run;
    },

    async resume(id: string): Promise<Run | undefined> {
      const run = await read(id);
      if (run && !run.completed) await write(run, new Map(), 'bulk.resumed');
      return run;
    },

    /** Only once the page's revocations are in the queue: a page is done twice rather than not at all. */
    async advance(run: Run, { problems, walked, place, users }: Page): Promise<Run> {
      const next = { ...run, place, walked: run.walked + walked, added: run.added + users.length };
      await write(next, problems);
      return next;
    },

    complete: (run: Run): Promise<void> => write({ ...run, completed: true }, new Map(), 'bulk.completed'),

    /** What is wrong with which line, in their order. */
    async problems(id: string): Promise<[line: number, problem: string][]> {
      const all = Object.entries(await redis.hgetall(problemsKey(id)));
      return all.map(([line, problem]): [number, string] => [Number(line), problem]).sort(([a], [b]) => a - b);
    },
  };
}

/** The same person in the same run is the same revocation, however often a page is done. */
export function revocationIdOf(run: string, user: string): string {
  const hash = createHash('sha256')
    .update(JSON.stringify([run, user]))
    .digest('hex');
  return `rev_${hash.slice(0, 32)}`;
}
