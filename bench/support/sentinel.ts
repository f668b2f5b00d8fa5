/** A master with replicas and Sentinels as one Redis that can be killed: another server takes its place, and it comes back as a replica. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { RedisProcess } from '../../spec/support/redis-process.js';
import { startSentinelSet } from '../../spec/support/sentinel.js';
import { temporaryDirectory } from './children.js';

/** `behindMs`: for how long the replicas have heard nothing from a master when it is killed. */
export async function startReplicatedRedis(behindMs: number) {
  const set = await startSentinelSet(temporaryDirectory());
  let master: RedisProcess = set.master;
  const info = await master.admin.info('server');
  const valkey = /^valkey_version:(\S+)/m.exec(info)?.[1];

  return {
    name: 'the master of Redis',
    url: set.url,
    version: valkey ? `valkey-server ${valkey}` : `redis-server ${/^redis_version:(\S+)/m.exec(info)?.[1]}`,
    async kill(): Promise<void> {
      if (behindMs > 0) await set.cutOff(master);
      await sleep(behindMs);
      await set.kill(master);
    },
    /** Until another one is in its place. */
    async start(): Promise<void> {
      await set.replaced();
    },
    async afterwards(): Promise<void> {
      await set.comesBack(master);
      master = await set.agreed();
    },
  };
}
