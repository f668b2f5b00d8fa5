/** A Redis Cluster of three masters, one of which has a replica that takes its place when a spec kills it. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually } from './eventually.js';
import { DURABLE, type RedisProcess, startRedisProcess } from './redis-process.js';
import { freePort } from './redis-server.js';

const SLOTS = 16_384;
const MASTERS = 3;
// How long a node may say nothing. On a busy machine a second of silence is no death, and who took over then would lack what
// its master had just written: so they are quick only from a kill on.
const SILENT_FOR_MS = { killed: 1_000, alive: 60_000 };

export type OwnCluster = Awaited<ReturnType<typeof startCluster>>;

/** The master that serves `key` is the one with the replica. */
export async function startCluster(key: string) {
  const root = mkdtempSync(join(tmpdir(), 'universal-logout-cluster-'));
  const clustered = async () => [
    ...[...DURABLE, '--cluster-enabled', 'yes', '--cluster-port', String(await freePort())],
    ...['--cluster-node-timeout', String(SILENT_FOR_MS.alive), '--cluster-replica-validity-factor', '0'],
  ];
  const nodes = await Promise.all(Array.from({ length: MASTERS + 1 }, () => startRedisProcess(root, clustered)));
  const masters = nodes.slice(0, MASTERS);
  const replica = nodes[MASTERS] as RedisProcess;
  const busPorts = await Promise.all(nodes.map(async ({ admin }) => (await admin.config('GET', 'cluster-port'))[1]));
  const from = (index: number) => Math.ceil((index * SLOTS) / MASTERS);
  for (const [index, { admin, port }] of nodes.entries()) {
    if (index < MASTERS) await admin.call('CLUSTER', 'ADDSLOTSRANGE', from(index), from(index + 1) - 1);
    await admin.call('CLUSTER', 'SET-CONFIG-EPOCH', index + 1);
    if (index > 0) await masters[0]?.admin.call('CLUSTER', 'MEET', '127.0.0.1', port, busPorts[index] as string);
  }
  await eventually(
    () => Promise.all(nodes.map(({ admin }) => admin.cluster('INFO'))),
    (infos) => infos.every((info) => /cluster_state:ok/.test(info) && /cluster_known_nodes:4/.test(info)),
    20_000,
  );
  const slot = await replica.admin.cluster('KEYSLOT', key);
  const master = masters.find((_, index) => slot >= from(index) && slot < from(index + 1)) as RedisProcess;
  await replica.admin.call('CLUSTER', 'REPLICATE', (await master.admin.call('CLUSTER', 'MYID')) as string);
  await eventually(
    () => replica.admin.info('replication'),
    (info) => /master_link_status:up/.test(info),
    20_000,
  );
  return {
    url: `redis+cluster://${masters.map(({ port }) => `127.0.0.1:${port}`).join(',')}`,
    /** The one with the replica. */
    master,
    masters,
    /** The master with the replica, as power failure does. */
    async kill(): Promise<void> {
      await master.kill();
      const others = nodes.filter((node) => node !== master);
      await Promise.all(others.map(({ admin }) => admin.config('SET', 'cluster-node-timeout', SILENT_FOR_MS.killed)));
    },
    async close(): Promise<void> {
      await Promise.all(nodes.map((one) => one.kill()));
      rmSync(root, { recursive: true, force: true });
    },
  };
}
