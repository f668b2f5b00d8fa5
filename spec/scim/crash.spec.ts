/** A gateway that is killed while people and groups change: no index, order or membership is left half-written. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { checkDirectory } from '../../src/directory/check.js';
import { startGateway } from '../support/gateway.js';
import { createScimClient, SCIM_TOKEN } from '../support/scim.js';

const ROUNDS = 10;
const TENANT = 'default';
const root = fileURLToPath(new URL('../..', import.meta.url));

// Eight at once, each of them at random: people come, change their names and go; groups are filled, renamed and deleted.
const otherProcess = `
import { Redis } from 'ioredis';
import { createDirectory } from ${JSON.stringify(join(root, 'src/directory/directory.ts'))};
const [url, prefix] = process.argv.slice(1);
const redis = new Redis(url, { enableAutoPipelining: true });
const { users, groups } = createDirectory(redis, prefix, { graceMs: 50, now: Date.now });
const pick = (list) => list[Math.floor(Math.random() * list.length)];
const name = () => 'n' + Math.floor(Math.random() * 40);
const person = () => ({ userName: name(), externalId: name(), emails: [{ value: name() + '@example.com' }, { value: name() + '@example.com' }] });
const acts = [
  (tenant) => users.create(tenant, person()),
  (tenant) => users.create(tenant, person()),
  async (tenant) => {
    const user = pick(await users.page(tenant, 0, 100));
    if (user) await users.replace(tenant, user, person());
  },
  async (tenant) => {
    const user = pick(await users.page(tenant, 0, 100));
    if (user) await users.remove(tenant, user);
  },
  (tenant) => groups.create(tenant, { displayName: name() }),
  async (tenant) => {
    const group = pick(await groups.page(tenant, 0, 100));
    const ids = (await users.page(tenant, 0, 100)).map(({ id }) => id);
    if (group) await groups.changeMembers(tenant, group.id, { add: ids.filter(() => Math.random() < 0.5), remove: ids.filter(() => Math.random() < 0.3) });
  },
  async (tenant) => {
    const group = pick(await groups.page(tenant, 0, 100));
    if (group) await groups.change(tenant, group, { attributes: { displayName: name() }, members: { add: [], remove: [] }, onlyIf: false });
  },
  async (tenant) => {
    const group = pick(await groups.page(tenant, 0, 100));
    if (group && Math.random() < 0.3) await groups.remove(tenant, group.id);
  },
];
let done = 0;
async function work() {
  for (;;) {
    // Who was slower is refused, which is as good a step as any.
    await pick(acts)(${JSON.stringify(TENANT)}).catch(() => {});
    if (++done === 100) console.log('under way');
  }
}
for (let n = 0; n < 8; n++) work();
`;

let gateway: Awaited<ReturnType<typeof startGateway>>;
beforeAll(async () => {
  gateway = await startGateway({ tenants: [{ id: TENANT, scim: { tokens: [SCIM_TOKEN] } }] });
});
afterAll(() => gateway.close());

it(`killed ${ROUNDS} times at any moment, leaves a directory that agrees with itself and is served`, async () => {
  const client = createScimClient(gateway.url);
  let checked = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const args = [
      '--import',
      'tsx',
      '--input-type=module',
      '-e',
      otherProcess,
      process.env.TEST_REDIS_URL as string,
      gateway.prefix,
    ];
    const child = spawn(process.execPath, args, { cwd: root, stdio: ['ignore', 'pipe', 'inherit'] });
    await once(child.stdout, 'data');
    await sleep(Math.random() * 150);
    child.kill('SIGKILL');
    await once(child, 'exit');
    const found = [];
    const options = { redis: gateway.redis, prefix: gateway.prefix, tenant: TENANT };
    for await (const { problem } of checkDirectory({ ...options, onChecked: (count) => (checked += count) }))
      found.push(problem);
    expect(found).toEqual([]);
    const { body } = await client.list('Users', { count: 1_000 });
    for (const { id, userName } of body.Resources.slice(0, 5)) {
      const { body: again } = await client.list('Users', { filter: `userName eq "${userName}"` });
      expect(again.Resources.map((one: { id: string }) => one.id)).toEqual([id]);
    }
  }
  expect(checked).toBeGreaterThan(100);
}, 90_000);
