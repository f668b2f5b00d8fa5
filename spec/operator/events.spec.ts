/** A revocation as a stream: what is sent when, to whom, for how long, and that nothing of it is left behind. */
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer, request as httpRequest, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type Request, Router } from 'express';
import request from 'supertest';
import { Agent, EventSource } from 'undici';
import { createApp } from '../../src/app.js';
import type { Revocation } from '../../src/fanout/job.js';
import { createLanes, type Lanes } from '../../src/fanout/lanes.js';
import { createRevocationRecords, type RevocationRecords } from '../../src/fanout/record.js';
import { listen } from '../../src/gateway.js';
import { createLogger } from '../../src/logger.js';
import { createEventsRouter } from '../../src/operator/events.js';
import { createRevocationReader } from '../../src/operator/revocations.js';
import { RequestError, Unavailable } from '../../src/request-error.js';
import { expectDocumented } from '../support/documented.js';
import { eventually } from '../support/eventually.js';
import { ADMIN_TOKEN, PUBLIC_URL, startGateway } from '../support/gateway.js';
import { createOutcomes } from '../support/outcome.js';
import { type OwnRedis, startOwnRedis } from '../support/own-redis.js';

const settings = { tenants: [{ id: 'acme' }, { id: 'default' }] };
const authorization = `Bearer ${ADMIN_TOKEN}`;
const LIMITS = { streams: 2, lookEveryMs: 10, viewEveryMs: 5_000, heartbeatMs: 15_000, lifeMs: 60_000, retryMs: 20 };

let own: OwnRedis;
let gateway: Awaited<ReturnType<typeof startGateway>>;
let records: RevocationRecords;
let lanes: Lanes;
let outcome: ReturnType<typeof createOutcomes>;
const closing: (() => unknown)[] = [];

beforeAll(async () => {
  own = await startOwnRedis();
  gateway = await startGateway(settings, { roles: ['api'], config: { redisUrl: own.url } });
  const { redis, prefix, dataKeys } = gateway;
  records = createRevocationRecords(redis, { prefix, retentionMs: 86_400_000 });
  lanes = createLanes(redis, { prefix, now: Date.now, dataKeys });
  outcome = createOutcomes(redis, prefix);
});
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});
afterAll(async () => {
  await lanes.close();
  await gateway.close();
  await own.close();
});

const pathOf = ({ revocationId }: Revocation) => `/api/revocations/${revocationId}/events`;

async function begin(...apps: string[]): Promise<Revocation> {
  const revocation: Revocation = {
    ...{ revocationId: `rev_${randomUUID().replaceAll('-', '')}`, tenant: 'default', trust: 'okta', mode: 'full' },
    // Somebody else each time: else the one waits for what the other does.
    ...{ user: randomUUID(), via: [PUBLIC_URL], acceptedAt: Date.now() },
    accounts: apps.map((app) => ({ app, account: 'ada@example.com' })),
  };
  await records.open(revocation);
  return revocation;
}

const done = (revocation: Revocation, app: string) =>
  outcome(revocation, app, { state: 'revoked', attempts: 1, at: Date.now(), what: ['sessions'] });

/** Reads a stream as it comes, block by block. */
async function follow(path: string, { url = gateway.url, seen }: { url?: string; seen?: string } = {}) {
  const headers = { authorization, ...(seen !== undefined && { 'last-event-id': seen }) };
  // Not by fetch, which has another connection ready when one is given up.
  const asked = httpRequest(url + path, { headers, agent: false }).end();
  const leave = () => asked.destroy();
  closing.push(leave);
  const [response] = (await once(asked, 'response')) as [IncomingMessage];
  const blocks: string[] = [];
  let text = '';
  const read = async () => {
    for await (const chunk of response) {
      const parts = (text + Buffer.from(chunk).toString()).split('\n\n');
      text = parts.pop() ?? '';
      blocks.push(...parts);
    }
    return 'ended';
  };
  const ended = read().catch(() => 'cut off');
  /** The fields of each event of this name. */
  const events = (name: string) =>
    blocks
      .map((block) => Object.fromEntries(block.split('\n').map((line) => line.split(/: (.*)/s).slice(0, 2))))
      .filter(({ event }) => event === name);
  return {
    ...{ response, blocks, ended, events, leave },
    sees: (name: string, count = 1) =>
      eventually(
        () => events(name),
        (all) => all.length >= count,
      ),
  };
}

type Reading = { underWay: number; most: number; count: number };

/** The router alone, with limits of its own. */
async function serve(
  over: Partial<typeof LIMITS> = {},
  timeouts?: object,
  authenticate: (req: Request) => Promise<unknown> = async () => {},
) {
  const reading: Reading = { underWay: 0, most: 0, count: 0 };
  const counted: Pick<RevocationRecords, 'read'> = {
    async read(tenant, id) {
      reading.count += 1;
      reading.underWay += 1;
      reading.most = Math.max(reading.most, reading.underWay);
      return records.read(tenant, id).finally(() => {
        reading.underWay -= 1;
      });
    },
  };
  const stop = new AbortController();
  const reader = createRevocationReader({ records, lanes, settings: gateway.config.settings, now: Date.now });
  const router = createEventsRouter(
    { read: reader.read, records: counted, authenticate, stopping: stop.signal },
    { ...LIMITS, ...over },
  );
  const app = createApp(Router(), [router], createLogger('silent'));
  if (!timeouts) {
    const server = await listen(app, { host: '127.0.0.1', port: 0 });
    closing.push(() => {
      stop.abort();
      return server.close();
    });
    return { url: `http://127.0.0.1:${server.port}`, reading };
  }
  const server: Server = createServer(timeouts, app);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closing.push(() => server.close().closeAllConnections());
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, reading };
}

describe('nobody follows', () => {
  it('without the ADMIN_TOKEN', async () => {
    const revocation = await begin('wiki');
    for (const wrong of ['', 'Bearer x', `Basic ${ADMIN_TOKEN}`]) {
      for (const path of [pathOf(revocation), '/api/revocations/rev_none/events']) {
        const response = await request(gateway.url).get(path).set({ authorization: wrong });
        expectDocumented('followRevocation', 401, response, 'invalid_token');
      }
    }
  });

  it.each(['rev_none', 'rev_*', '__proto__', encodeURIComponent('💥')])('what is not there [%s]', async (id) => {
    const response = await request(gateway.url).get(`/api/revocations/${id}/events`).set({ authorization });
    expectDocumented('followRevocation', 404, response, 'not_found');
  });

  it('by HEAD, which is answered at once', async () => {
    const revocation = await begin('wiki');
    const response = await request(gateway.url).head(pathOf(revocation)).set({ authorization });
    expect(response.status).toBe(200);
  });

  it('where as many follow already as may, until one of them goes', async () => {
    const { url } = await serve();
    const revocation = await begin('wiki');
    const [first] = await Promise.all([follow(pathOf(revocation), { url }), follow(pathOf(revocation), { url })]);
    const response = await request(url).get(pathOf(revocation));
    expectDocumented('followRevocation', 429, response, 'too_many_requests');
    // What is refused or not found takes no place.
    expect((await request(url).get('/api/revocations/rev_none/events')).status).toBe(429);
    first?.leave();
    await eventually(
      async () => (await request(url).get('/api/revocations/rev_none/events')).status,
      (status) => status === 404,
    );
    expect((await follow(pathOf(revocation), { url })).response.statusCode).toBe(200);
  });
});

describe('a revocation is sent', () => {
  it('at once and after each change, as it is read otherwise, until it is completed', async () => {
    const revocation = await begin('intranet', 'wiki');
    const plain = () => request(gateway.url).get(`/api/revocations/${revocation.revocationId}`).set({ authorization });
    const stream = await follow(pathOf(revocation));
    const { headers } = stream.response;
    expect(headers['content-type']).toBe('text/event-stream; charset=utf-8');
    expect([headers['cache-control'], headers.connection]).toEqual(['no-store', 'close']);
    const [first] = await stream.sees('revocation');
    expect(stream.blocks[0]).toBe('retry: 3000');
    expect(JSON.parse(first?.data ?? '')).toEqual((await plain()).body);
    await done(revocation, 'wiki');
    const [, second] = await stream.sees('revocation', 2);
    expect(JSON.parse(second?.data ?? '')).toEqual((await plain()).body);
    expect(JSON.parse(second?.data ?? '').summary).toMatch(/^1 of 2 apps in .*, intranet waiting$/);
    await done(revocation, 'intranet');
    expect(await stream.ended).toBe('ended');
    const all = stream.events('revocation');
    expect(all.map(({ data }) => JSON.parse(data ?? '').status)).toEqual(['pending', 'pending', 'completed']);
    expect(new Set(all.map(({ id }) => id)).size).toBe(3);
    expect(stream.events('end')).toEqual([{ event: 'end', data: '{"status":"completed"}' }]);
    expect(stream.blocks.at(-1)).toContain('event: end');
    expect(stream.blocks.join()).not.toContain('@');
  });

  it('until it has failed', async () => {
    const revocation = await begin('wiki');
    const stream = await follow(pathOf(revocation));
    await stream.sees('revocation');
    await outcome(revocation, 'wiki', { state: 'failed', attempts: 1, at: Date.now(), reason: 'auth' });
    expect(await stream.ended).toBe('ended');
    expect(stream.events('end')).toEqual([{ event: 'end', data: '{"status":"failed"}' }]);
  });

  it('once where it is over, and whoever has that state is told not to come again', async () => {
    const revocation = await begin();
    const whole = await request(gateway.url).get(pathOf(revocation)).set({ authorization });
    expectDocumented('followRevocation', 200, whole);
    const stream = await follow(pathOf(revocation));
    expect(await stream.ended).toBe('ended');
    expect(stream.blocks).toHaveLength(3);
    const [{ id: seen = '' } = {}] = stream.events('revocation');
    const again = await request(gateway.url).get(pathOf(revocation)).set({ authorization, 'last-event-id': seen });
    expectDocumented('followRevocation', 204, again);
    const other = await follow(pathOf(revocation), { seen: 'another' });
    expect(await other.ended).toBe('ended');
    expect(other.events('revocation')).toHaveLength(1);
  });

  it('not twice to whoever has seen it, but as soon as it changes', async () => {
    const revocation = await begin('wiki');
    const first = await follow(pathOf(revocation));
    const [{ id: seen = '' } = {}] = await first.sees('revocation');
    const second = await follow(pathOf(revocation), { seen });
    await done(revocation, 'wiki');
    expect(await second.ended).toBe('ended');
    expect(second.events('revocation').map(({ data }) => JSON.parse(data ?? '').status)).toEqual(['completed']);
  });

  it('when an app is paused, which the revocation itself says nothing of', async () => {
    const { url } = await serve({ viewEveryMs: 20 });
    const revocation = await begin('crm');
    const stream = await follow(pathOf(revocation), { url });
    await stream.sees('revocation');
    await lanes.pause({ tenant: 'default', app: 'crm' });
    const [, changed] = await stream.sees('revocation', 2);
    expect(JSON.parse(changed?.data ?? '').summary).toMatch(/^0 of 1 app, crm paused since /);
  });

  it('to an EventSource, which comes again by itself until it is told not to', async () => {
    const { url } = await serve({ lifeMs: 100 });
    const revocation = await begin('wiki');
    const dispatcher = new Agent();
    const source = new EventSource(url + pathOf(revocation), { node: { dispatcher } });
    closing.push(() => {
      source.close();
      return dispatcher.close();
    });
    const states: string[] = [];
    let opened = 0;
    source.addEventListener('open', () => {
      opened += 1;
    });
    source.addEventListener('revocation', (event) => {
      states.push(JSON.parse((event as MessageEvent).data).status);
    });
    await eventually(
      () => opened,
      (times) => times >= 3,
    );
    await done(revocation, 'wiki');
    await eventually(
      () => source.readyState,
      (state) => state === EventSource.CLOSED,
    );
    expect(states).toEqual(['pending', 'completed']);
  });
});

describe('a stream', () => {
  it('of many who follow the same is read for once, and no longer than somebody follows', async () => {
    const { url, reading } = await serve({ streams: 10 });
    const revocation = await begin('wiki');
    const streams = await Promise.all(Array.from({ length: 10 }, () => follow(pathOf(revocation), { url })));
    for (const stream of streams) await stream.sees('revocation');
    const before = reading.count;
    await eventually(
      () => reading.count,
      (count) => count > before + 5,
    );
    expect(reading.most).toBe(1);
    for (const { leave } of streams) leave();
    let last = -1;
    await eventually(
      async () => {
        const [was, is] = [last, reading.count];
        last = is;
        await new Promise((resolve) => setTimeout(resolve, 10 * LIMITS.lookEveryMs));
        return [was, is, reading.count];
      },
      ([was, is, now]) => was === is && is === now,
    );
  });

  it('says from time to time that it is still there, and is cut off by no limit of a request', async () => {
    const timeouts = { requestTimeout: 200, headersTimeout: 200, connectionsCheckingInterval: 50 };
    const { url } = await serve({ heartbeatMs: 50 }, timeouts);
    const revocation = await begin('wiki');
    const stream = await follow(pathOf(revocation), { url });
    await eventually(
      () => stream.blocks.filter((block) => block === ': still here'),
      (beats) => beats.length >= 15,
    );
    await done(revocation, 'wiki');
    expect(await stream.ended).toBe('ended');
    expect(stream.events('end')).toHaveLength(1);
  });

  it('ends after its time, so that the client comes again and shows who it is', async () => {
    const { url } = await serve({ lifeMs: 50 });
    const stream = await follow(pathOf(await begin('wiki')), { url });
    expect(await stream.ended).toBe('ended');
    expect(stream.events('end')).toEqual([]);
  });

  it('ends with the session that opened it, and not where Redis is away', async () => {
    let answer = async (): Promise<unknown> => undefined;
    let asked = 0;
    const { url } = await serve({ viewEveryMs: 20 }, undefined, (req) => {
      asked += 1;
      expect(req.headers.authorization).toBe(authorization);
      return answer();
    });
    const stream = await follow(pathOf(await begin('wiki')), { url });
    answer = () => Promise.reject(new Unavailable('redis_unavailable', undefined));
    const before = asked;
    await eventually(
      () => asked,
      (count) => count >= before + 3,
    );
    expect(await Promise.race([stream.ended, 'open'])).toBe('open');
    answer = () => Promise.reject(new RequestError(401, 'invalid_token', 'It is over.'));
    expect(await stream.ended).toBe('ended');
    expect(stream.events('end')).toEqual([]);
  });

  it('ends where the revocation is past its retention', async () => {
    const { url } = await serve();
    const revocation = await begin('wiki');
    const stream = await follow(pathOf(revocation), { url });
    await stream.sees('revocation');
    await gateway.redis.del(`${gateway.prefix}:{default}:revocation:${revocation.revocationId}`);
    expect(await stream.ended).toBe('ended');
    expect(stream.events('end')).toEqual([]);
  });

  it('ends as it should when the gateway stops, instead of being waited for and cut off', async () => {
    const stopped = await startGateway(settings, {
      roles: ['api'],
      prefix: gateway.prefix,
      config: { redisUrl: own.url },
    });
    const stream = await follow(pathOf(await begin('wiki')), { url: stopped.url });
    await stream.sees('revocation');
    await stopped.close();
    expect(await stream.ended).toBe('ended');
    expect(stream.events('end')).toEqual([]);
  });

  it('says so while Redis is away, and goes on when it is back', async () => {
    const revocation = await begin('wiki');
    const stream = await follow(pathOf(revocation));
    const [before] = await stream.sees('revocation');
    await own.kill();
    expect(await stream.sees('unavailable')).toEqual([
      { event: 'unavailable', data: '{"reason":"redis_unavailable"}' },
    ]);
    const late = await request(gateway.url).get(pathOf(revocation)).set({ authorization });
    expectDocumented('followRevocation', 503, late, 'redis_unavailable');
    await own.start();
    const [, after] = await stream.sees('revocation', 2);
    expect(after?.id).toBe(before?.id);
    await done(revocation, 'wiki');
    expect(await stream.ended).toBe('ended');
    expect(stream.events('unavailable')).toHaveLength(1);
  });
});
