/** A master, two replicas and three Sentinels, which replace a master that has gone for a second. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually } from './eventually.js';
import { DURABLE, startRedisProcess } from './redis-process.js';

const MASTER_NAME = 'main';

export type SentinelSet = Awaited<ReturnType<typeof startSentinelSet>>;

export async function startSentinelSet() {
  const root = mkdtempSync(join(tmpdir(), 'universal-logout-sentinel-'));
  const master = await startRedisProcess(root, () => DURABLE);
  const follow = ['--replicaof', '127.0.0.1', String(master.port)];
  const replicas = await Promise.all([1, 2].map(() => startRedisProcess(root, () => [...DURABLE, ...follow])));
  await eventually(
    () => master.admin.info('replication'),
    (info) => (info.match(/state=online/g) ?? []).length === replicas.length,
  );
  const sentinels = await Promise.all(
    [1, 2, 3].map(() =>
      startRedisProcess(root, (port) => {
        const file = join(root, `sentinel-${port}.conf`);
        const watch = [
          `sentinel monitor ${MASTER_NAME} 127.0.0.1 ${master.port} 2`,
          `sentinel down-after-milliseconds ${MASTER_NAME} 1000`,
          `sentinel failover-timeout ${MASTER_NAME} 4000`,
        ];
        writeFileSync(file, `${watch.join('\n')}\n`);
        return [file, '--sentinel'];
      }),
    ),
  );
  await eventually(
    () => Promise.all(sentinels.map(({ admin }) => admin.info('sentinel'))),
    (infos) => infos.every((info) => /slaves=2,sentinels=3/.test(info)),
    20_000,
  );
  const servers = [master, ...replicas];
  return {
    url: `redis+sentinel://${sentinels.map(({ port }) => `127.0.0.1:${port}`).join(',')}/${MASTER_NAME}`,
    master,
    replicas,
    sentinels,
    async close(): Promise<void> {
      await Promise.all([...sentinels, ...servers].map((one) => one.kill()));
      rmSync(root, { recursive: true, force: true });
    },
  };
}
