/** The gateway with Sentinel and with Cluster: it works with each, and what it does while a master is replaced. */
import { once } from 'node:events';
import { connect } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Queue } from 'bullmq';
import request from 'supertest';
import { createDataKeys } from '../src/data-key.js';
import { createEnqueue } from '../src/fanout/enqueue.js';
import { appQueue } from '../src/fanout/job.js';
import { type OwnCluster, startCluster } from './support/cluster.js';
import { ADA, type Endpoint, PATH, person, startEndpoint } from './support/endpoint.js';
import { eventually } from './support/eventually.js';
import { ADMIN_TOKEN } from './support/gateway.js';
import { createScimClient, SCIM_TOKEN } from './support/scim.js';
import { type SentinelSet, startSentinelSet } from './support/sentinel.js';

const FAILOVER_WITHIN_MS = 20_000;

let endpoint: Endpoint;

/** One revocation, and how long its answer took. */
async function revoke(jwt: string, body: object = ADA) {
  const start = performance.now();
  const response = await request(endpoint.gateway.url)
    .post(PATH)
    .set('content-type', 'application/json')
    .set('authorization', `Bearer ${jwt}`)
    .send(body);
  return { status: response.status, ms: performance.now() - start };
}

const ready = async () => (await request(endpoint.gateway.url).get('/readyz')).status;

const operator = (path: string) =>
  request(endpoint.gateway.url).get(path).set('authorization', `Bearer ${ADMIN_TOKEN}`);

/** Everything once: a revocation to its end, provisioning, what operators see. */
async function expectAllToWork(): Promise<void> {
  const before = endpoint.app.calls.length;
  const jwt = await endpoint.sign();
  expect((await revoke(jwt)).status).toBe(204);
  expect((await revoke(jwt)).status).toBe(204);
  await eventually(
    () => endpoint.app.calls.length,
    (calls) => calls === before + 1,
  );
  await endpoint.rest();

  const scim = createScimClient(endpoint.gateway.url);
  const grace = await scim.createUser('grace@example.com', { emails: [{ value: 'grace@example.com', primary: true }] });
  const group = await scim.createGroup('Engineering', [grace]);
  expect((await scim.list('Users', { filter: 'userName eq "grace@example.com"' })).body.totalResults).toBe(1);
  expect((await scim.list('Groups', { filter: 'displayName eq "Engineering"' })).body.totalResults).toBe(1);
  expect((await scim.delete(`/Groups/${group}`)).status).toBe(204);
  expect((await scim.delete(`/Users/${grace}`)).status).toBe(204);

  const { body } = await operator('/api/revocations?status=completed');
  expect(body.revocations.length).toBeGreaterThan(0);
  expect((await operator(`/api/revocations/${body.revocations[0].revocationId}`)).status).toBe(200);
  expect(await ready()).toBe(200);
}

/**
 * Sends one revocation after the other from before the failure on until several have been accepted after it; each is
 * repeated until it is accepted, as its caller would. Every answer is 204 or 503 and comes within a second.
 */
async function expectFailover(fail: () => Promise<void>): Promise<void> {
  const names = Array.from({ length: 40 }, (_, index) => `person${index}`);
  for (const name of names) await endpoint.gateway.directory.put('default', person(name));
  const answers: { status: number; ms: number }[] = [];
  const acceptedAtLast = async (name: string) => {
    const jwt = await endpoint.sign();
    const body = { sub_id: { format: 'email', email: `${name}@example.com` } };
    await eventually(
      async () => {
        answers.push(await revoke(jwt, body));
        return answers.at(-1)?.status;
      },
      (status) => status === 204,
      FAILOVER_WITHIN_MS,
    );
  };
  for (const name of names.slice(0, 20)) await acceptedAtLast(name);
  // What was accepted a moment ago is still on its way to its app.
  const [scim] = await Promise.all([fail().then(scimStatus), ...names.slice(20, 30).map(acceptedAtLast)]);
  expect(scim).toBe(503);
  for (const name of names.slice(30)) await acceptedAtLast(name);

  expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([204, 503]));
  expect(Math.max(...answers.map(({ ms }) => ms))).toBeLessThan(1_000);
  await eventually(
    () => {
      const calls = endpoint.app.calls.map(({ body }) => body).join();
      return names.filter((name) => !calls.includes(`"${name}@example.com"`));
    },
    (lost) => lost.length === 0,
    FAILOVER_WITHIN_MS,
  );
  await eventually(ready, (status) => status === 200, FAILOVER_WITHIN_MS);
  // The look into Redis may not have heard of the new master yet.
  await eventually(
    () =>
      endpoint.rest().then(
        () => true,
        () => false,
      ),
    (rested) => rested,
    FAILOVER_WITHIN_MS,
  );
  await expectAllToWork();
}

const scimStatus = async () => (await createScimClient(endpoint.gateway.url).list('Users', { count: 1 })).status;

async function start(redisUrl: string, redisWaitReplicas: number): Promise<void> {
  endpoint = await startEndpoint({
    scim: { tokens: [SCIM_TOKEN] },
    gateway: { config: { redisUrl, redisWaitReplicas } },
  });
}

describe('behind Sentinel', () => {
  let set: SentinelSet;

  beforeEach(async () => {
    set = await startSentinelSet();
    await start(set.url, 1);
  }, 40_000);

  afterEach(async () => {
    await endpoint.close();
    await set.close();
  }, 20_000);

  it('all works; a master that is killed is 503 until another is there, and nothing that was accepted is lost', async () => {
    await expectAllToWork();
    await expectFailover(() => set.kill(set.master));
  }, 60_000);

  it('with too few replicas left nothing is accepted, until one is back', async () => {
    const jwt = await endpoint.sign();
    for (const { admin } of set.replicas) await admin.replicaof('NO', 'ONE');
    const { status, ms } = await revoke(jwt);
    expect(status).toBe(503);
    expect(ms).toBeLessThan(1_000);
    // Neither is the repeat of what is there and has not been acknowledged.
    expect((await revoke(jwt)).status).toBe(503);
    await set.replicas[0]?.admin.replicaof('127.0.0.1', set.master.port);
    await eventually(
      async () => (await revoke(jwt)).status,
      (answered) => answered === 204,
    );
    await endpoint.rest();
    expect(endpoint.app.calls).toHaveLength(1);
  }, 30_000);

  it('the watermark of a revocation is waited for as the revocation is', async () => {
    const monitor = connect(set.master.port, '127.0.0.1').setEncoding('utf8');
    let told = '';
    monitor.on('data', (text) => {
      told += text;
    });
    monitor.write('MONITOR\r\n');
    await once(monitor, 'data');
    const { status } = await revoke(await endpoint.sign());
    await endpoint.rest();
    monitor.destroy();
    const seen = [...told.matchAll(/ \[0 ([\d.:]+)\] "(?:eval|evalsha|set)" .*(:valid-after:|:acknowledged")/g)];
    expect(status).toBe(204);
    // A mark that came with WAITAOF comes again where the server knows only WAIT.
    expect(seen.slice(0, 2).map(([, , what]) => what)).toEqual([':valid-after:', ':acknowledged"']);
    // Another connection may be with another master.
    expect(seen[0]?.[1]).toBe(seen[1]?.[1]);
  }, 30_000);

  it('a revocation that has been handed over to its apps is kept until a replica has their jobs', async () => {
    const { redis, prefix } = endpoint.gateway;
    const intake = createEnqueue(redis, prefix, createDataKeys([]));
    for (const { admin } of set.replicas) await admin.replicaof('NO', 'ONE');
    expect((await revoke(await endpoint.sign())).status).toBe(503);
    await eventually(
      () => endpoint.app.calls.length,
      (calls) => calls === 1,
    );
    await delay(1_000);
    // Where a replica took over now, nothing else would know of it.
    expect(await intake.waiting()).toBe(1);
    await set.replicas[0]?.admin.replicaof('127.0.0.1', set.master.port);
    await endpoint.rest();
    expect(await intake.waiting()).toBe(0);
    expect(endpoint.app.calls).toHaveLength(1);
    await intake.close();
  }, 30_000);

  it('a call keeps its job until a replica has what became of it; what is done is not called again, and nothing given up', async () => {
    const { redis, prefix, directory } = endpoint.gateway;
    const intake = createEnqueue(redis, prefix, createDataKeys([]));
    const lane = new Queue(appQueue('default', 'intranet'), { connection: redis, prefix, skipVersionCheck: true });
    const jobs = () => lane.getJobCounts('wait', 'prioritized', 'active', 'delayed', 'failed');
    const callsFor = (name: string) => endpoint.app.calls.filter(({ body }) => body.includes(`"${name}@example.com"`));
    let answerAll = () => {};
    const replicasAway = new Promise<void>((resolve) => {
      answerAll = resolve;
    });
    // Unknown to the app; and where the first call fails, a second revocation takes over what the first was for.
    for (const name of ['unknown', 'twice']) await directory.put('default', person(name));
    endpoint.app.answerWith(async (res, { body }) => {
      const isUnknown = callsFor('unknown').some((call) => call.body === body);
      const failsFirst = callsFor('twice')[0]?.body === body;
      await replicasAway;
      res.writeHead(isUnknown ? 404 : failsFirst ? 500 : 204).end();
    });
    for (const name of ['ada', 'unknown', 'twice', 'twice']) {
      const body = { sub_id: { format: 'email', email: `${name}@example.com` } };
      expect((await revoke(await endpoint.sign(), body)).status).toBe(204);
      await eventually(
        () => callsFor(name).length,
        (calls) => calls === 1,
      );
    }
    await eventually(intake.waiting, (waiting) => waiting === 0);
    for (const { admin } of set.replicas) await admin.replicaof('NO', 'ONE');
    answerAll();
    await eventually(
      async () => (await operator('/api/revocations')).body.revocations.map((one: { status: string }) => one.status),
      (statuses) => statuses.filter((status: string) => status === 'completed').length === 3,
    );
    await delay(1_500);
    // Where a replica took over now, nothing else would know of the calls.
    const { failed, ...others } = await jobs();
    expect({ failed, kept: Object.values(others).reduce((sum, count) => sum + count) }).toEqual({ failed: 0, kept: 4 });

    await set.replicas[0]?.admin.replicaof('127.0.0.1', set.master.port);
    await eventually(
      jobs,
      ({ failed, ...others }) => failed === 1 && Object.values(others).every((count) => count === 0),
      20_000,
    );
    expect([callsFor('ada').length, callsFor('twice').length]).toEqual([1, 2]);
    const trail = await endpoint.gateway.audit();
    expect(trail.filter(({ event }) => event === 'account.revoked')).toHaveLength(3);
    await Promise.all([intake.close(), lane.close()]);
  }, 60_000);
});

describe('with a Cluster', () => {
  let cluster: OwnCluster;

  beforeAll(async () => {
    cluster = await startCluster('{default}');
    await start(cluster.url, 0);
  }, 40_000);

  afterAll(async () => {
    await endpoint.close();
    await cluster.close();
  }, 20_000);

  it('all works, with a master that may evict or is full not ready; one that is killed is 503 until its replica serves', async () => {
    await expectAllToWork();
    await cluster.masters[1]?.admin.config('SET', 'maxmemory-policy', 'allkeys-lru');
    expect(await ready()).toBe(503);
    await cluster.masters[1]?.admin.config('SET', 'maxmemory-policy', 'noeviction');
    expect(await ready()).toBe(200);
    await cluster.masters[2]?.admin.config('SET', 'maxmemory', '1mb');
    expect(await ready()).toBe(503);
    await cluster.masters[2]?.admin.config('SET', 'maxmemory', '0');
    await expectFailover(cluster.kill);
  }, 60_000);
});
