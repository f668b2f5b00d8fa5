/** Failures that are nobody's business data: bodies out of bounds, and Redis away, stopped or full. */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { gzipSync } from 'node:zlib';
import request from 'supertest';
import { eventually } from '../support/eventually.js';
import { startGateway } from '../support/gateway.js';
import { type OwnRedis, startOwnRedis } from '../support/own-redis.js';
import { createScimClient, ERROR, type Method, SCIM_TOKEN, type ScimClient } from '../support/scim.js';

let redis: OwnRedis;
let gateway: Awaited<ReturnType<typeof startGateway>>;
let client: ScimClient;
let [user, group] = ['', ''];

beforeAll(async () => {
  redis = await startOwnRedis();
  gateway = await startGateway(
    { tenants: [{ id: 'default', scim: { tokens: [SCIM_TOKEN] } }] },
    { config: { redisUrl: redis.url }, roles: ['api'] },
  );
  client = createScimClient(gateway.url);
  user = await client.createUser('ada');
  group = await client.createGroup('Engineering', [user]);
});
afterAll(async () => {
  redis.resume();
  await redis.start();
  await gateway.close();
  await redis.close();
});

const MEGABYTE = 1024 * 1024;

/** A user of exactly so many bytes, most of them white space. */
const bodyOf = (bytes: number) => {
  const json = '{"userName":"big"}';
  return json.slice(0, -1) + ' '.repeat(bytes - json.length) + json.slice(-1);
};

describe('a body', () => {
  it('of a megabyte is read', async () => {
    const { status, body } = await client.post('/Users', bodyOf(MEGABYTE));
    expect([status, body.userName]).toEqual([201, 'big']);
  });

  it('of a group may have sixteen, for whoever has a token', async () => {
    const displayName = 'Large';
    const json = JSON.stringify({ displayName, members: [{ value: user }] });
    const { status, body } = await client.post('/Groups', json + ' '.repeat(16 * MEGABYTE - json.length));
    expect([status, body.displayName]).toEqual([201, displayName]);
    const anonymous = createScimClient(gateway.url, { token: 'another' });
    expect((await anonymous.post('/Groups', bodyOf(2 * MEGABYTE))).status).toBe(401);
  });

  it.each<[Method, string, number]>([
    ['post', '/Users', 1],
    ['put', '/Users/1', 1],
    ['patch', '/Users/1', 1],
    ['post', '/Bulk', 1],
    ['post', '/Users/Groups', 1],
    ['post', '/Groups', 16],
    ['put', '/Groups/1', 16],
    ['patch', '/groups/1', 16],
  ])('larger than that is refused: %s %s of %d MiB', async (method, path, size) => {
    const { status, headers, body } = await client.send(method, path, bodyOf(size * MEGABYTE + 1));
    expect(status).toBe(413);
    expect(headers.connection).toBe('close');
    expect(body).toEqual({ schemas: [ERROR], status: '413', detail: expect.any(String) });
  });

  const manyValues = (value: string) => {
    const list = value.repeat(Math.floor((16 * MEGABYTE - 64) / value.length)).slice(0, -1);
    return `{"displayName":"x","members":[${list}]`;
  };

  it.each(['{},', '[],', '0,', '{"":0},'])('of too many values is refused before it is parsed [%s]', async (value) => {
    // It is no JSON, which only parsing can tell.
    const { status, body } = await client.post('/Groups', manyValues(value));
    expect([status, body.detail]).toEqual([413, expect.stringContaining('values')]);
  });

  it('of too many values holds nobody up for as long as parsing it takes', async () => {
    const json = `${manyValues('{},')}}`;
    const started = performance.now();
    JSON.parse(json);
    const parsedIn = performance.now() - started;
    const delays = monitorEventLoopDelay({ resolution: 1 });
    delays.enable();
    await client.post('/Groups', json);
    delays.disable();
    expect(delays.max / 1e6).toBeLessThan(parsedIn / 2);
  });

  it('that is packed is refused, since it may be larger than it looks', async () => {
    const response = await client.send('post', '/Users', gzipSync('{"userName":"packed"}'), {
      'content-encoding': 'gzip',
    });
    expect(response.status).toBe(415);
    expect(response.body).toEqual({ schemas: [ERROR], status: '415', detail: expect.any(String) });
  });

  it('is read whatever it calls itself', async () => {
    for (const type of ['application/json', 'text/plain', 'application/scim+json; charset=utf-8', 'x']) {
      const response = await request(gateway.url)
        .put(`/scim/v2/Users/${user}`)
        .set({ authorization: `Bearer ${SCIM_TOKEN}`, 'content-type': type })
        .send('{"userName":"ada"}');
      expect(response.status).toBe(200);
    }
  });

  it('in another character set is refused', async () => {
    const headers = { 'content-type': 'application/scim+json; charset=iso-8859-1' };
    const response = await request(gateway.url)
      .post('/scim/v2/Users')
      .set({ authorization: `Bearer ${SCIM_TOKEN}`, ...headers })
      .send('{"userName":"x"}');
    expect(response.status).toBe(415);
  });
});

it.each(['/Users/%ZZ', '/Users/%', '/Groups/%E0%A4%A'])('a path that cannot be read is refused: %s', async (path) => {
  const { status, body } = await client.get(path);
  expect(status).toBe(400);
  expect(body.schemas).toEqual([ERROR]);
});

const calls: [Method, () => string, object?][] = [
  ['get', () => '/Users'],
  ['get', () => '/Users?filter=userName%20eq%20%22ada%22'],
  ['get', () => '/Users?filter=title%20pr'],
  ['get', () => `/Users/${user}`],
  ['post', () => '/Users', { userName: 'new' }],
  ['put', () => `/Users/${user}`, { userName: 'ada', title: 'x' }],
  ['patch', () => `/Users/${user}`, { Operations: [{ op: 'replace', value: { active: false } }] }],
  ['delete', () => `/Users/${user}`],
  ['get', () => '/Groups'],
  ['get', () => `/Groups/${group}`],
  ['post', () => '/Groups', { displayName: 'New' }],
  ['put', () => `/Groups/${group}`, { displayName: 'New' }],
  ['patch', () => `/Groups/${group}`, { Operations: [{ op: 'remove', path: 'members' }] }],
  ['delete', () => `/Groups/${group}`],
];

/** Every call is answered within a second: come again. */
async function expectUnavailable(): Promise<void> {
  const answers = calls.map(async ([method, path, body]) => {
    const begun = performance.now();
    const response = await client.send(method, path(), body);
    return { response, ms: performance.now() - begun };
  });
  for (const { response, ms } of await Promise.all(answers)) {
    expect(response.status).toBe(503);
    expect(response.headers['retry-after']).toBe('5');
    expect(response.body).toEqual({ schemas: [ERROR], status: '503', detail: expect.any(String) });
    expect(ms).toBeLessThan(1_000);
  }
  // Discovery needs no Redis, and whoever is not let in is told so.
  expect((await client.get('/Schemas')).status).toBe(200);
  expect((await request(gateway.url).get('/scim/v2/Users')).status).toBe(401);
}

const isServed = () =>
  eventually(
    () => client.get('/Users'),
    ({ status }) => status === 200,
  );

describe('where Redis', () => {
  it('is killed, every request is told so within a second, and later nothing has changed', async () => {
    const before = await Promise.all([client.get(`/Users/${user}`), client.get(`/Groups/${group}`)]);
    await redis.kill();
    await expectUnavailable();
    await redis.start();
    await isServed();
    const after = await Promise.all([client.get(`/Users/${user}`), client.get(`/Groups/${group}`)]);
    expect(after.map(({ body }) => body)).toEqual(before.map(({ body }) => body));
  });

  it('is full, what would be written is refused, and what is read is not', async () => {
    await redis.set('maxmemory', '1');
    const { status, headers } = await client.post('/Users', { userName: 'too-many' });
    expect([status, headers['retry-after']]).toEqual([503, '5']);
    expect((await client.get(`/Users/${user}`)).status).toBe(200);
    await redis.set('maxmemory', '0');
    expect((await client.post('/Users', { userName: 'too-many' })).status).toBe(201);
  });

  it('is stopped, every request is told so within a second, and later is served', async () => {
    redis.pause();
    await expectUnavailable();
    redis.resume();
    await isServed();
  });
});
