/**
 * Usage: npx tsx bench/lanes.ts [--apps 1,100,1000] [--seconds 10]
 * What app instances cost a worker process that has nothing to do: connections to Redis, memory and CPU on either side.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { Redis } from 'ioredis';
import { startOkta } from '../spec/support/okta.js';
import { cpuMs, residentBytes } from './support/children.js';
import { writeFigures } from './support/figure.js';
import { build, createGateway } from './support/gateway.js';
import { describeMachine } from './support/machine.js';
import { startRedis } from './support/redis.js';
import { table } from './support/statistics.js';

const { values: options } = parseArgs({
  options: { apps: { type: 'string', default: '1,100,1000' }, seconds: { type: 'string', default: '10' } },
});
const seconds = Number(options.seconds);

build();
const okta = await startOkta();
const rows: { apps: number; connections: number; redisMb: number; ourMb: number; redisCpu: number; ourCpu: number }[] =
  [];
for (const apps of options.apps.split(',').map(Number)) {
  const server = await startRedis();
  if (rows.length === 0) console.log(describeMachine(server.version));
  const redis = new Redis(server.url);
  const info = async (name: string) => Number(new RegExp(`^${name}:(\\d+)`, 'm').exec(await redis.info())?.[1]);
  const before = { connections: await info('connected_clients'), memory: await info('used_memory') };
  const gateway = await createGateway({
    ...{ okta, redisUrl: server.url, role: 'worker' as const },
    apps: Array.from({ length: apps }, () => 'http://127.0.0.1:9/'),
  });
  await gateway.start();
  await sleep(5_000);
  const cpu = { redis: cpuMs(server.pid()), ours: cpuMs(gateway.pid()) };
  await sleep(seconds * 1_000);
  const percent = (ms: number) => ms / seconds / 10;
  rows.push({
    apps,
    connections: (await info('connected_clients')) - before.connections,
    redisMb: ((await info('used_memory')) - before.memory) / 1e6,
    ourMb: residentBytes(gateway.pid()) / 1e6,
    redisCpu: percent(cpuMs(server.pid()) - cpu.redis),
    ourCpu: percent(cpuMs(gateway.pid()) - cpu.ours),
  });
  redis.disconnect();
  await gateway.stop();
  await server.stop();
}
console.log(
  `\n${table([
    ['apps', 'connections', 'Redis MB', 'process MB', 'Redis CPU %', 'process CPU %'],
    ...rows.map((row) => [
      String(row.apps),
      String(row.connections),
      ...[row.redisMb, row.ourMb, row.redisCpu, row.ourCpu].map((number) => number.toFixed(1)),
    ]),
  ])}\n`,
);
writeFigures(
  'lanes',
  rows
    .slice(1)
    .map(({ apps, connections, redisMb, ourMb, ourCpu }) => [
      `an idle worker process with ${apps} apps: connections to Redis, memory there and here, CPU here`,
      `${connections}, ${redisMb.toFixed(0)} MB, ${ourMb.toFixed(0)} MB, ${ourCpu.toFixed(0)} % of a core`,
    ]),
);
process.exit(0);
