/** `users import` beside a gateway that runs: whoever becomes inactive by it is logged out, where the tenant asks for that. */
import { randomUUID } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { createFolder, runCommand } from '../support/command.js';
import { type Database, openDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { startGateway } from '../support/gateway.js';
import { createScimClient, SCIM_TOKEN, type ScimClient } from '../support/scim.js';
import { startTargetApp, type TargetApp } from '../support/target-app.js';

const RUN_MS = 60_000;
const LAX_TOKEN = `${SCIM_TOKEN}-lax`;

let app: TargetApp;
let database: Database;
let gateway: Awaited<ReturnType<typeof startGateway>>;
let folder: string;
let scim: ScimClient;
let lax: ScimClient;

beforeAll(async () => {
  [app, database] = await Promise.all([startTargetApp(), openDatabase()]);
  const options = { url: app.url, secret: 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw' };
  const apps = [{ id: 'intranet', connector: 'webhook', account: 'userName', options }];
  const settings = {
    tenants: [
      { id: 'default', scim: { tokens: [SCIM_TOKEN], revokeOnDeactivate: true }, apps },
      { id: 'lax', scim: { tokens: [LAX_TOKEN] }, apps },
    ],
  };
  gateway = await startGateway(settings, { prefix: 'ul', config: { redisUrl: database.url } });
  folder = createFolder(settings);
  scim = createScimClient(gateway.url);
  lax = createScimClient(gateway.url, { tenant: 'lax', token: LAX_TOKEN });
});
afterAll(async () => {
  await gateway.close();
  await Promise.all([app.close(), database.close()]);
});

const freshName = () => `user-${randomUUID().slice(0, 8)}`;

async function importing(people: object[], tenant = 'default'): Promise<number | null> {
  const input = people.map((one) => `${JSON.stringify(one)}\n`).join('');
  const command = ['users', 'import', '-', '--tenant', tenant];
  return (await runCommand(command, { folder, env: { REDIS_URL: database.url }, input })).code;
}

/** How often the app is told of each, and not more often. */
async function expectLogouts(expected: Record<string, number>): Promise<void> {
  const counts = () => {
    const told = app.calls.map(({ body }) => JSON.parse(body).data.account);
    return Object.fromEntries(Object.keys(expected).map((name) => [name, told.filter((one) => one === name).length]));
  };
  await eventually(counts, (seen) => isDeepStrictEqual(seen, expected));
  await new Promise((resolve) => setTimeout(resolve, 500));
  expect(counts()).toEqual(expected);
}

describe('a line that makes somebody inactive', () => {
  it(
    'logs the person out, and the deactivation that Okta sends later is none',
    async () => {
      const userName = freshName();
      const id = await scim.createUser(userName, { externalId: userName });
      await importing([{ userName, active: false }]);
      await expectLogouts({ [userName]: 1 });
      expect((await scim.get(`/Users/${id}`)).body.active).toBe(false);
      await importing([{ userName, active: false, title: 'Countess' }]);
      expect((await scim.patch(`/Users/${id}`, [{ op: 'replace', value: { active: false } }])).status).toBe(200);
      await expectLogouts({ [userName]: 1 });
    },
    RUN_MS,
  );

  it(
    'logs nobody out where the person is new, or was inactive, or the line is refused, or the tenant does not ask for it',
    async () => {
      const [fresh, inactive, refused, other] = [freshName(), freshName(), freshName(), freshName()];
      await scim.createUser(inactive, { active: false });
      await scim.createUser(refused);
      await scim.createUser(freshName(), { externalId: `id of ${refused}` });
      await lax.createUser(other);
      const inactives = [fresh, inactive].map((userName) => ({ userName, active: false }));
      const code = await importing([
        ...inactives,
        { userName: refused, active: false, externalId: `id of ${refused}` },
      ]);
      expect(code).toBe(1);
      await importing([{ userName: other, active: false }], 'lax');
      await expectLogouts({ [fresh]: 0, [inactive]: 0, [refused]: 0, [other]: 0 });
      const { body: found } = await scim.list('Users', { filter: `userName eq "${refused}"` });
      expect(found.Resources[0].active).toBe(true);
    },
    RUN_MS,
  );
});
