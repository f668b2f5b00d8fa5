/** A group of 20,000: what a push, a removal and a page cost does not grow with it, and no answer is without bounds. */
import { startGateway } from '../support/gateway.js';
import { type OwnRedis, startOwnRedis } from '../support/own-redis.js';
import { createScimClient, SCIM_TOKEN, type ScimClient } from '../support/scim.js';

const SIZE = 20_000;
const PORTION = 1_000;

let redis: OwnRedis;
let gateway: Awaited<ReturnType<typeof startGateway>>;
let client: ScimClient;
let people: string[];
let group: string;

beforeAll(async () => {
  redis = await startOwnRedis();
  // No workers: nobody else talks to this Redis, but for the gateway itself, which tells its data keys.
  gateway = await startGateway(
    { tenants: [{ id: 'default', scim: { tokens: [SCIM_TOKEN] } }] },
    { config: { redisUrl: redis.url }, roles: ['api'] },
  );
  client = createScimClient(gateway.url);
  const { users } = gateway.directory;
  people = await Promise.all(
    Array.from({ length: SIZE }, async (_, n) => (await users.create('default', { userName: `u${n}` })).id),
  );
  group = await client.createGroup('Everyone');
}, 60_000);
afterAll(async () => {
  await gateway.close();
  await redis.close();
});

type Cost = { commands: number; bytesIn: number; bytesOut: number; reads: number };

/** Of the script by which a gateway tells its data keys every two seconds: itself, TIME, HSET and HGETALL. */
const COMMANDS_OF_TELLING = 4;

/** What a request makes Redis do: commands, those of scripts among them, bytes, and what went over the wire. */
async function costOf(send: () => Promise<{ status: number }>): Promise<Cost> {
  const before = await measure();
  expect((await send()).status).toBeLessThan(300);
  const after = await measure();
  const difference = (name: keyof Cost) => after[name] - before[name];
  return {
    commands: difference('commands'),
    bytesIn: difference('bytesIn'),
    bytesOut: difference('bytesOut'),
    reads: difference('reads'),
  };
}

async function measure(): Promise<Cost> {
  const [commands, stats] = [await gateway.redis.info('commandstats'), await gateway.redis.info('stats')];
  const number = (name: string) => Number(new RegExp(`^${name}:(\\d+)`, 'm').exec(stats)?.[1]);
  const calls = [...commands.matchAll(/^cmdstat_(?!info)\S+:calls=(\d+)/gm)].map(([, count]) => Number(count));
  // Nothing that provisioning asks of Redis asks for the time.
  const told = Number(/^cmdstat_time:calls=(\d+)/m.exec(commands)?.[1] ?? 0);
  return {
    commands: calls.reduce((sum, count) => sum + count, 0) - COMMANDS_OF_TELLING * told,
    bytesIn: number('total_net_input_bytes'),
    bytesOut: number('total_net_output_bytes'),
    reads: number('total_reads_processed') - told,
  };
}

const refs = (ids: string[]) => ids.map((value) => ({ value }));
const push = (ids: string[]) => client.patch(`/Groups/${group}`, [{ op: 'add', path: 'members', value: refs(ids) }]);

function expectAlike(one: Cost, other: Cost): void {
  expect(one.commands).toBe(other.commands);
  expect(one.bytesIn / other.bytesIn).toBeLessThan(1.1);
  // What INFO itself answers varies by a few hundred bytes.
  expect(one.bytesOut - other.bytesOut).toBeLessThan(2_000);
}

it('is filled in portions of which the last costs what the first did', async () => {
  const costs: Cost[] = [];
  for (let start = 0; start < SIZE; start += PORTION) {
    costs.push(await costOf(() => push(people.slice(start, start + PORTION))));
  }
  // The gateway says now and then which data keys it has, which may fall into one of them.
  const least = (some: Cost[]) => some.toSorted((a, b) => a.commands - b.commands)[0] as Cost;
  expectAlike(least(costs.slice(-3)), least(costs.slice(0, 3)));
  expect(await gateway.directory.groups.memberCount('default', group)).toBe(SIZE);
});

it('loses one member at the cost of losing one of two', async () => {
  const [one = '', two = ''] = people;
  const small = await client.createGroup('Pair', [one, two]);
  const remove = (id: string) => () =>
    client.patch(`/Groups/${id}`, [{ op: 'remove', path: `members[value eq "${two}"]` }]);
  const rename = (id: string) => () =>
    client.patch(`/Groups/${id}`, [{ op: 'replace', value: { displayName: `New ${id}` } }]);
  expectAlike(await costOf(remove(group)), await costOf(remove(small)));
  expectAlike(await costOf(rename(group)), await costOf(rename(small)));
  const { status, body } = await client.get(`/Users/${two}`);
  expect([status, body.groups]).toEqual([200, undefined]);
});

it('is read without its members at no cost, and with them whole', async () => {
  const without = await costOf(() => client.get(`/Groups/${group}?excludedAttributes=members`));
  expect(without.bytesOut).toBeLessThan(20_000);
  const { body } = await client.get(`/Groups/${group}?attributes=members.value`);
  expect(new Set(body.members.map(({ value }: { value: string }) => value)).size).toBe(SIZE - 1);
});

it('is in a list that has every group, and the members of as many as an answer holds', async () => {
  const many = await Promise.all(
    Array.from({ length: 4 }, async (_, n) => {
      const { id } = await gateway.directory.groups.create('default', { displayName: `Many ${n}` }, people);
      return id;
    }),
  );
  const { body } = await client.list('Groups', { startIndex: 1, count: 100 });
  expect([body.totalResults, body.itemsPerPage, body.Resources.length]).toEqual([6, 6, 6]);
  // 20,000, 2, 20,000: the rest fits no more, and a group of which nothing is said is not one without members.
  const counts = body.Resources.map(({ members }: { members?: object[] }) => members?.length);
  expect(counts).toEqual([SIZE - 1, 1, SIZE, undefined, undefined, undefined]);
  expect(body.Resources.map(({ id }: { id: string }) => id)).toEqual(expect.arrayContaining(many));
  // A client that counts on as Okta does, by what it asked for, meets each once.
  const seen: string[] = [];
  for (let startIndex = 1; startIndex <= 6; startIndex += 4) {
    const { body: page } = await client.list('Groups', { startIndex, count: 4 });
    for (const { id } of page.Resources) seen.push(id);
  }
  expect(seen).toEqual(body.Resources.map(({ id }: { id: string }) => id));
  const last = seen.at(-1);
  expect((await client.members(last ?? '')).size).toBe(SIZE);
});

it('is on a page by itself with all its members, however many', async () => {
  const { body } = await client.list('Groups', { startIndex: 6, count: 1 });
  expect(body.Resources[0].members).toHaveLength(SIZE);
});

it('makes no page of users longer to read: a few round trips, whatever the page', async () => {
  const ten = await costOf(() => client.list('Users', { count: 10 }));
  const hundred = await costOf(() => client.list('Users', { count: 100 }));
  // One SMEMBERS for each user, in one round trip; their groups together in one HMGET.
  expect(hundred.commands - ten.commands).toBe(90);
  expect(ten.reads).toBeLessThan(10);
  expect(hundred.reads - ten.reads).toBeLessThan(3);
  const { body } = await client.list('Users', { count: 1_000 });
  expect(body.Resources).toHaveLength(1_000);
  expect(body.Resources.every(({ groups }: { groups: object[] }) => groups.length >= 4)).toBe(true);
});

it('is replaced by a body that says of each member what Okta says', async () => {
  const members = people.map((value, n) => ({ value, display: `person-${n}@example.com`, type: 'User' }));
  const body = { displayName: 'Everyone', members };
  expect(JSON.stringify(body).length).toBeGreaterThan(1_024 * 1_024);
  expect((await client.put(`/Groups/${group}?attributes=id`, body)).status).toBe(200);
  expect(await gateway.directory.groups.memberCount('default', group)).toBe(SIZE);
});

it('is replaced by half of it, and deleted', async () => {
  const half = people.slice(0, SIZE / 2);
  const body = { displayName: 'Half', members: refs(half) };
  expect((await client.put(`/Groups/${group}?attributes=id`, body)).status).toBe(200);
  expect(await client.members(group)).toEqual(new Set(half));
  expect((await client.delete(`/Groups/${group}`)).status).toBe(204);
  const left = await gateway.redis.keys(`*:members:${group}`);
  expect(left).toEqual([]);
  expect((await client.get(`/Users/${half[5]}`)).body.groups).toHaveLength(4);
});
