/** A master, two replicas and three Sentinels, which replace a master that a spec kills. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually } from './eventually.js';
import { DURABLE, type RedisProcess, startRedisProcess } from './redis-process.js';

const MASTER_NAME = 'main';
const FAILOVER_WITHIN_MS = 30_000;
// How long a master may say nothing. A busy machine keeps a new one waiting for a second too, and then the Sentinels would
// replace it by one that has not heard of it: so they are quick only from a kill until another one is in its place.
const SILENT_FOR_MS = { killed: 1_000, alive: 60_000 };
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
          `sentinel down-after-milliseconds ${MASTER_NAME} ${SILENT_FOR_MS.alive}`,
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

  async function replacedAfter(ms: number): Promise<void> {
    await Promise.all(
      sentinels.map(({ admin }) => admin.call('SENTINEL', 'SET', MASTER_NAME, 'down-after-milliseconds', ms)),
    );
  }

  let replacing = Promise.resolve();

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
    /** As power failure does; the Sentinels put another one in its place. */
    async kill(killed: RedisProcess): Promise<void> {
      await killed.kill();
      await replacedAfter(SILENT_FOR_MS.killed);
      replacing = eventually(named, (one) => one !== undefined && one !== killed, FAILOVER_WITHIN_MS).then(() =>
        replacedAfter(SILENT_FOR_MS.alive),
      );
      replacing.catch(() => {
        // Whoever waits for it hears of it.
      });
    },
    /** Until another one is in the place of the one that was killed. */
    replaced: () => replacing,
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
