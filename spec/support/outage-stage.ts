/** What outages of workers are played on: a Redis of its own, an api, worker processes and many people. */
import { type Endpoint, person, SECRET, startEndpoint } from './endpoint.js';
import { eventually } from './eventually.js';
import { startOwnRedis } from './own-redis.js';
import { startWorkerProcess, type WorkerProcess } from './worker-process.js';

const IN_FLIGHT = 10;

export type Stage = {
  endpoint: Endpoint;
  /** Addresses of the people whom the directory knows. */
  people: string[];
  /** A worker process; `delivery` and `url` are of the one app. */
  startWorker(options?: { delivery?: object; url?: string; nodeOptions?: string }): Promise<WorkerProcess>;
  /** One revocation of each, the same JWT again until it is accepted. Answers how often which status came. */
  accept(people: readonly string[]): Promise<Record<number, number>>;
  /** The calls that the app has got for each person. */
  calls(): Map<string, { revocationId: string; webhookId: string; at: number }[]>;
  /** Waits until that many revocations are completed, and each is so once. */
  completed(count: number, withinMs: number): Promise<void>;
  close(): Promise<void>;
};

export async function startStage({ people: count }: { people: number }): Promise<Stage> {
  const redis = await startOwnRedis();
  const endpoint = await startEndpoint({ gateway: { roles: ['api'], prefix: 'ul', config: { redisUrl: redis.url } } });
  const names = Array.from({ length: count }, (_, index) => `person-${index}`);
  for (const name of names) await endpoint.gateway.directory.put('default', person(name));
  const workers: WorkerProcess[] = [];

  function calls(): ReturnType<Stage['calls']> {
    const of: ReturnType<Stage['calls']> = new Map();
    for (const { body, headers, at } of endpoint.app.calls) {
      const { account, revocationId } = (JSON.parse(body) as { data: { account: string; revocationId: string } }).data;
      of.set(account, [...(of.get(account) ?? []), { revocationId, webhookId: String(headers['webhook-id']), at }]);
    }
    return of;
  }

  return {
    endpoint,
    people: names.map((name) => `${name}@example.com`),
    async startWorker({ delivery = {}, url = endpoint.app.url, nodeOptions } = {}) {
      const tenants = endpoint.settings.tenants.map((tenant) => ({
        ...tenant,
        apps: [{ id: 'intranet', connector: 'webhook', delivery, options: { url, secret: SECRET } }],
      }));
      const worker = await startWorkerProcess({ ...endpoint.settings, tenants }, redis.url, nodeOptions);
      workers.push(worker);
      return worker;
    },
    async accept(people) {
      const statuses: Record<number, number> = {};
      const left = [...people];
      const send = async () => {
        for (let email = left.shift(); email !== undefined; email = left.shift()) {
          const jwt = await endpoint.sign();
          const body = { sub_id: { format: 'email', email } };
          await eventually(
            async () => {
              const { status } = await endpoint.post(jwt, body);
              statuses[status] = (statuses[status] ?? 0) + 1;
              return status;
            },
            (status) => status === 204,
            30_000,
          );
        }
      };
      await Promise.all(Array.from({ length: IN_FLIGHT }, send));
      return statuses;
    },
    calls,
    async completed(count, withinMs) {
      const ids = async () =>
        (await endpoint.gateway.audit()).flatMap(({ event, revocationId }) =>
          event === 'revocation.completed' ? [revocationId] : [],
        );
      const seen = await eventually(ids, ({ length }) => length >= count, withinMs);
      if (new Set(seen).size !== seen.length) throw new Error('a revocation was completed twice');
    },
    async close() {
      await Promise.all(workers.map((worker) => worker.kill()));
      await endpoint.close();
      await redis.close();
    },
  };
}
