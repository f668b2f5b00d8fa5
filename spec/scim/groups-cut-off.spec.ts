/** Groups that are made or deleted while another change gets in, or the wire breaks: no group is left half-way. */
import { startGateway } from '../support/gateway.js';
import { createScimClient, GROUP, SCIM_TOKEN, type ScimClient } from '../support/scim.js';
import { startWire, type Wire } from '../support/wire.js';

let wire: Wire;
let gateway: Awaited<ReturnType<typeof startGateway>>;
/** Another process of the same gateway, whose wire to Redis fails. */
let wired: Awaited<ReturnType<typeof startGateway>>;
let scim: ScimClient;
let slow: ScimClient;
let people: string[];
let number = 0;

beforeAll(async () => {
  const redisUrl = process.env.TEST_REDIS_URL as string;
  wire = await startWire(Number(new URL(redisUrl).port));
  const settings = { tenants: [{ id: 'default', scim: { tokens: [SCIM_TOKEN] } }] };
  gateway = await startGateway(settings, { roles: ['api'] });
  const { prefix } = gateway;
  wired = await startGateway(settings, { prefix, roles: ['api'], config: { redisUrl: wire.url } });
  [scim, slow] = [gateway, wired].map(({ url }) => createScimClient(url)) as [ScimClient, ScimClient];
  people = await Promise.all(['ada', 'grace', 'lin'].map((name) => scim.createUser(name)));
  // Redis has the scripts from here on, so that each call is one message.
  await scim.delete(`/Groups/${await scim.createGroup('First', people)}`);
});
afterAll(async () => {
  await wired.close();
  await gateway.close();
  await wire.close();
});

const freshName = () => `Group ${++number}`;
const add = (group: string, ...ids: string[]) =>
  scim.patch(`/Groups/${group}`, [{ op: 'add', path: 'members', value: ids.map((value) => ({ value })) }]);
const versionOf = async (group: string) => ({
  'if-match': (await scim.get(`/Groups/${group}`)).headers.etag as string,
});

describe('a deletion that insists on a version', () => {
  const isRead = (bytes: string) => /:members:\d+\r\n/.test(bytes);
  const isLastWrite = (bytes: string) => bytes.includes(':groups-by-name');

  it('takes nobody out where it is answered 412', async () => {
    const [ada = '', grace = '', lin = ''] = people;
    const group = await scim.createGroup(freshName(), [ada, grace]);
    const headers = await versionOf(group);
    const { arrived, letGo } = wire.holdFrom(isRead);
    const answer = slow.delete(`/Groups/${group}`, headers);
    await arrived;
    expect((await add(group, lin)).status).toBe(204);
    letGo();
    expect((await answer).status).toBe(412);
    expect(await scim.members(group)).toEqual(new Set(people));
  });

  it('leaves a group without members as it is where it is answered 412', async () => {
    const group = await scim.createGroup(freshName());
    const headers = await versionOf(group);
    const { arrived, letGo } = wire.holdFrom(isRead);
    const answer = slow.delete(`/Groups/${group}`, headers);
    await arrived;
    const renamed = freshName();
    await scim.patch(`/Groups/${group}`, [{ op: 'replace', path: 'displayName', value: renamed }]);
    letGo();
    expect((await answer).status).toBe(412);
    expect((await scim.get(`/Groups/${group}`)).body.displayName).toBe(renamed);
  });

  it('and has taken out the members is carried out, whoever joins', async () => {
    const [ada = '', grace = '', lin = ''] = people;
    const group = await scim.createGroup(freshName(), [ada, grace]);
    const headers = await versionOf(group);
    const { arrived, letGo } = wire.holdFrom(isLastWrite);
    const answer = slow.delete(`/Groups/${group}`, headers);
    await arrived;
    expect((await add(group, lin)).status).toBe(204);
    letGo();
    expect((await answer).status).toBe(204);
    expect((await scim.get(`/Groups/${group}`)).status).toBe(404);
    const groupsOfLin = (await scim.get(`/Users/${lin}`)).body.groups ?? [];
    expect(groupsOfLin.map(({ value }: { value: string }) => value)).not.toContain(group);
  });
});

it('a group whose making is cut off between two writes has its members', async () => {
  const displayName = freshName();
  let writes = 0;
  wire.deadFrom((bytes) => /evalsha.*:groups\r\n/is.test(bytes) && ++writes === 2);
  const body = { schemas: [GROUP], displayName, members: people.map((value) => ({ value })) };
  await slow.post('/Groups', body);
  wire.mend();
  const { body: found } = await scim.list('Groups', { filter: `displayName eq "${displayName}"` });
  const members = found.Resources.map((group: { members: { value: string }[] }) =>
    group.members.map(({ value }) => value),
  );
  expect(members).toEqual([expect.arrayContaining(people)]);
});
