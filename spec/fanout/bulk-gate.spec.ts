/** Bulk work goes to Redis a few pieces at a time; singles go as they come, and slow apps hold nobody up. */
import { setTimeout as delay } from 'node:timers/promises';
import { createDataKeys } from '../../src/data-key.js';
import { BULK_AT_ONCE, createBulkGate } from '../../src/fanout/bulk-gate.js';
import { createEnqueue } from '../../src/fanout/enqueue.js';
import { createLanes } from '../../src/fanout/lanes.js';
import { eventually } from '../support/eventually.js';
import { startGateway } from '../support/gateway.js';
import { startOwnRedis } from '../support/own-redis.js';
import { answer, startTargetApp, type TargetApp } from '../support/target-app.js';

const SECRET = `whsec_${Buffer.alloc(24, 'bulk').toString('base64')}`;
const CONCURRENCY = 20;

describe('the gate', () => {
  it('lets so many pieces in at a time, in the order of asking', async () => {
    const gate = createBulkGate(2);
    const order: string[] = [];
    const piece = (name: string) =>
      gate.pass('lane', async () => {
        order.push(`${name} in`);
        await delay(10);
        order.push(`${name} out`);
        return name;
      });
    expect(await Promise.all(['a', 'b', 'c'].map(piece))).toEqual(['a', 'b', 'c']);
    expect(order).toEqual(['a in', 'b in', 'a out', 'c in', 'b out', 'c out']);
  });

  it('is free again after a piece that failed', async () => {
    const gate = createBulkGate(1);
    const failed = [1, 2].map((number) => gate.pass('lane', () => Promise.reject(new Error(`${number}`))));
    const good = [1, 2].map(() => gate.pass('lane', async () => 'done'));
    const results = await Promise.allSettled([...failed, ...good]);
    expect(results.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'fulfilled', 'fulfilled']);
  });

  it('makes room in one lane: who waits last in it is let go, with nothing done, and all others come in', async () => {
    const gate = createBulkGate(1);
    const done: string[] = [];
    const pieces = ['a1', 'a2', 'b1', 'a3', 'b2'].map((name) =>
      gate.pass(name.charAt(0), async () => {
        await delay(5);
        done.push(name);
        return name;
      }),
    );
    gate.makeRoom('a');
    gate.makeRoom('c');
    expect(await Promise.all(pieces)).toEqual(['a1', 'a2', 'b1', undefined, 'b2']);
    expect(done).toEqual(['a1', 'a2', 'b1', 'b2']);
    // Nobody waits: nobody has to go.
    gate.makeRoom('a');
    expect(await gate.pass('a', async () => 'again')).toBe('again');
  });
});

describe('a worker', () => {
  let app: TargetApp;
  let gateway: Awaited<ReturnType<typeof startGateway>>;
  let commands: string[][];
  const open: { close(): Promise<unknown> }[] = [];

  beforeEach(async () => {
    const own = await startOwnRedis();
    commands = [];
    // Of a Redis that nobody uses yet: ioredis loses its place where others' commands come with the answer to MONITOR.
    const monitor = await own.admin.monitor();
    monitor.on('monitor', (_time: string, args: string[], source: string) => {
      if (source !== 'lua') commands.push(args);
    });
    app = await startTargetApp();
    const delivery = { concurrency: CONCURRENCY };
    const apps = [{ id: 'intranet', connector: 'webhook', options: { url: app.url, secret: SECRET }, delivery }];
    const config = { redisUrl: own.url };
    gateway = await startGateway({ tenants: [{ id: 'default', trusts: [], apps }] }, { config });
    open.push(own, { close: async () => monitor.disconnect() }, app, gateway);
  });
  afterEach(async () => {
    for (const one of open.splice(0).reverse()) await one.close();
  });

  /** Calls are held until as many have come as may be made at once and all others wait, then answered in one moment. */
  async function logOut(count: number, more: { bulk?: true }): Promise<void> {
    const held: (() => void)[] = [];
    app.answerWith((...call) => held.push(() => answer(204)(...call)));
    const lanes = createLanes(gateway.redis, { prefix: gateway.prefix, now: Date.now, dataKeys: createDataKeys([]) });
    const enqueue = createEnqueue(gateway.redis, gateway.prefix, createDataKeys([]));
    await enqueue.addMany(
      Array.from({ length: count }, (_, index) => ({
        ...{ revocationId: `rev_${index}`, tenant: 'default', trust: 'operator', user: `user-${index}`, mode: 'full' },
        ...{ via: [], acceptedAt: Date.now(), ...more },
        accounts: [{ app: 'intranet', account: `user-${index}@example.com` }],
      })),
    );
    await eventually(
      async () => [held.length, (await lanes.read({ tenant: 'default', app: 'intranet' })).waiting],
      ([calls, waiting]) => calls === CONCURRENCY && waiting === count - CONCURRENCY,
    );
    app.answerWith(answer(204));
    for (const release of held) release();
    await eventually(
      () => app.calls.length,
      (calls) => calls === count,
    );
    await Promise.all([enqueue.close(), lanes.close()]);
    // What is told of commands may come later than what they have done.
    await eventually(
      () => begun().reduce((sum, one) => sum + one, 0),
      (all) => all === count,
    );
  }

  /** How many attempts each script has begun. */
  const begun = () =>
    commands.flatMap(([, , keys, first, second]) =>
      first?.endsWith(':open') && second?.includes(':revocation:') ? [(Number(keys) - 1) / 3] : [],
    );

  /** How many records were opened, at most, before the jobs of the ones before were added. */
  function openedAtOnce(): number {
    let most = 0;
    let between = 0;
    for (const [, , , first] of commands) {
      if (first?.includes(':revocation:')) between += 1;
      else if (first?.includes(':{app.')) between = 0;
      most = Math.max(most, between);
    }
    return most;
  }

  it('begins few bulk calls in one moment, while an app that is slow is called as many at once as it may be', async () => {
    await logOut(3 * CONCURRENCY, { bulk: true });
    expect(Math.max(...begun())).toBeLessThanOrEqual(BULK_AT_ONCE.beginning);
    expect(openedAtOnce()).toBe(BULK_AT_ONCE.spreading);
  });

  it('does not hold back singles', async () => {
    await logOut(3 * CONCURRENCY, {});
    expect(Math.max(...begun())).toBeGreaterThan(BULK_AT_ONCE.beginning);
    expect(openedAtOnce()).toBeGreaterThan(BULK_AT_ONCE.spreading);
  });
});
