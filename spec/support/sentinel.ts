/** A master, two replicas and three Sentinels, which replace a master that has gone for a second. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually } from './eventually.js';
import { DURABLE, type RedisProcess, startRedisProcess } from './redis-process.js';

const MASTER_NAME = 'main';
const FAILOVER_WITHIN_MS = 30_000;
const FOLLOWS_WITHIN_MS = 60_000;

export type SentinelSet = Awaited<ReturnType<typeof startSentinelSet>>;

/** In a directory of its own, or in `root`. */
export async function startSentinelSet(root = mkdtempSync(join(tmpdir(), 'universal-logout-sentinel-'))) {
  // In a file, so that whom a server follows is as Sentinel left it when the server comes back.
  const withFile = (settings: readonly string[]) => (port: number) => {
    const file = join(root, `redis-${port}.conf`);
    writeFileSync(file, '');
    return [file, ...settings];
  };
  const master = await startRedisProcess(root, withFile(DURABLE));
  const replicas = await Promise.all([1, 2].map(() => startRedisProcess(root, withFile(DURABLE))));
  for (const { admin } of replicas) await admin.replicaof('127.0.0.1', master.port);
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

  /** Whom the Sentinels name, where all of them name the same one. */
  async function named(): Promise<RedisProcess | undefined> {
    const addresses = await Promise.all(
      sentinels.map(({ admin }) => admin.call('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', MASTER_NAME)),
    );
    const ports = new Set(addresses.map((address) => Number((address as [string, string])[1])));
    return ports.size === 1 ? servers.find(({ port }) => ports.has(port)) : undefined;
  }

  return {
    url: `redis+sentinel://${sentinels.map(({ port }) => `127.0.0.1:${port}`).join(',')}/${MASTER_NAME}`,
    /** The one of the beginning. */
    master,
    replicas,
    sentinels,
    /** The master, once all Sentinels name the same one. */
    async agreed(): Promise<RedisProcess> {
      return (await eventually(named, (one) => one !== undefined, FAILOVER_WITHIN_MS)) as RedisProcess;
    },
    /** From now on nothing more gets to the replicas of this master, as when the network breaks before the machine does. */
    async cutOff({ admin }: RedisProcess): Promise<void> {
      await admin.call('ACL', 'SETUSER', 'default', '-psync', '-sync');
      await admin.call('CLIENT', 'KILL', 'TYPE', 'REPLICA');
    },
    /** Until the Sentinels have put another one in the place of the master that was killed. */
    async replaced(killed: RedisProcess): Promise<void> {
      await eventually(named, (one) => one !== undefined && one !== killed, FAILOVER_WITHIN_MS);
    },
    /** The one that was killed is back, and follows whom the Sentinels name. */
    async comesBack(killed: RedisProcess): Promise<void> {
      await killed.start();
      await eventually(
        () => killed.admin.info('replication'),
        (info) => /role:slave/.test(info) && /master_link_status:up/.test(info),
        FOLLOWS_WITHIN_MS,
      );
    },
    async close(): Promise<void> {
      await Promise.all([...sentinels, ...servers].map((one) => one.kill()));
      rmSync(root, { recursive: true, force: true });
    },
  };
}
