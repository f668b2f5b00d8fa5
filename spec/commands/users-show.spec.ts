/** `users add`, `users show` and `users check` as people run them: what they say of somebody is what a revocation does. */
import { createDirectory } from '../../src/directory/directory.js';
import type { UserAttributes } from '../../src/directory/user.js';
import { createFolder, runCommand } from '../support/command.js';
import { type Database, openDatabase } from '../support/database.js';

const RUN_MS = 60_000;
const GRACE = { graceMs: 30 * 86_400_000, now: Date.now };
const SECRET = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';

const trust = {
  id: 'okta',
  issuers: ['https://acme.okta.com'],
  client: '0oa1example',
  keys: { jwksUri: 'https://acme.okta.com/oauth2/v1/keys' },
};
const app = (id: string, more: object) => ({
  id,
  connector: 'webhook',
  options: { url: `https://${id}.example.com/logout`, secret: SECRET },
  ...more,
});

const folder = createFolder({
  tenants: [
    {
      id: 'default',
      trusts: [
        trust,
        { ...trust, id: 'partial', client: '0oa2example', mode: 'refresh-only', identifiers: ['userName', 'email'] },
        { ...trust, id: 'off', client: '0oa3example', enabled: false },
      ],
      scim: { tokens: ['a-token-of-the-specs-1'], revokeOnDeactivate: true },
      apps: [
        app('intranet', {}),
        app('wiki', { assignedTo: { groups: ['Engineering', 'Sales'] }, account: 'userName' }),
        app('crm', { assignedTo: { attribute: { name: 'department', values: ['Sales'] } } }),
        app('shop', { assignedTo: { users: ['ADA'] }, account: 'externalId' }),
      ],
    },
    { id: 'acme' },
  ],
});
let database: Database;
let directory: ReturnType<typeof createDirectory>;

beforeAll(async () => {
  database = await openDatabase();
  directory = createDirectory(database.redis, 'ul', GRACE);
});
beforeEach(() => database.redis.flushdb());
afterAll(() => database.close());

const run = (...args: string[]) => runCommand(['users', ...args], { folder, env: { REDIS_URL: database.url } });

const put = async (attributes: UserAttributes, groups?: string[]) =>
  (await directory.put('default', attributes, groups)).user;

describe('users add', () => {
  it(
    'puts one user into the directory, whom show then knows by every name',
    async () => {
      const options = ['--user-name', 'ada', '--email', 'ada@example.com', 'a@example.com', '--external-id', '00u1'];
      const added = await run('add', ...options, '--group', 'Engineering');
      expect(added).toMatchObject({ code: 0, stderr: '' });
      expect(added.stdout).toMatch(/^Added user \d+ in tenant default\.\n$/);
      const again = await run('add', '--user-name', 'ADA', '--email', 'ada@example.com');
      expect(again.stdout).toMatch(/^Replaced user \d+ in tenant default\.\n$/);
      const [[user] = []] = await directory.users.find('default', [{ kind: 'userName', value: 'ada' }]);
      // Groups stay where none is named, and so does the externalId, which Okta knows the person by; what else is not said
      // has gone.
      expect(user).toMatchObject({
        resource: { userName: 'ADA', externalId: '00u1', active: true },
        groups: ['Engineering'],
      });
      expect(user?.resource.emails).toEqual([{ value: 'ada@example.com', primary: true }]);
    },
    RUN_MS,
  );

  it.each([
    ['an externalId that somebody else has', ['--user-name', 'ada', '--external-id', '00u1'], 'has this externalId'],
    ['an empty name', ['--user-name', ' '], 'is not a SCIM User: userName'],
    ['no such tenant', ['--user-name', 'ada', '--tenant', 'nobody'], 'There is no tenant nobody in '],
    ['no name', ['--email', 'ada@example.com'], "required option '--user-name <name>' not specified"],
  ])(
    'is refused, and adds nobody [%s]',
    async (_what, args, sentence) => {
      await put({ userName: 'grace', externalId: '00u1' });
      const { code, stderr } = await run('add', ...args);
      expect(stderr).toContain(sentence);
      expect(stderr).not.toMatch(/^ +at /m);
      expect(code).toBe(1);
      expect(await directory.users.count('default')).toBe(1);
    },
    RUN_MS,
  );
});

describe('users show', () => {
  it(
    'says who somebody is, and which accounts a revocation reaches',
    async () => {
      const ada = await put(
        { userName: 'ada', emails: [{ value: 'ada@example.com' }], phoneNumbers: [{ value: '+1 2' }] },
        ['Engineering', 'Everyone'],
      );
      await put({ userName: 'ada', emails: [{ value: 'ada@example.com' }], phoneNumbers: [{ value: '+1 2' }] }, [
        'Everyone',
      ]);
      for (const name of [ada.id, '+12']) {
        const { code, stdout } = await run('show', name);
        expect(stdout.split('\n')).toEqual([
          `id          ${ada.id}`,
          'state       active',
          'userName    ada',
          'externalId  -',
          'e-mail      ada@example.com',
          'phone       +1 2',
          'groups      Everyone',
          'formerly    Engineering (counts until assignmentGrace is over)',
          'accounts that a revocation reaches now:',
          '  intranet: ada@example.com',
          '  wiki: ada',
          '  crm: not assigned',
          '  shop: no account, since the user has no externalId',
          '',
        ]);
        expect(code).toBe(0);
      }
    },
    RUN_MS,
  );

  it(
    'shows everybody whom a shared address names, and the deactivated and the deleted',
    async () => {
      const desk = { emails: [{ value: 'desk@example.com' }] };
      await put({ userName: 'ada', ...desk });
      await put({ userName: 'grace', active: false, ...desk });
      const { stdout } = await run('show', 'desk@example.com');
      expect(stdout.match(/^userName .*$/gm)?.toSorted()).toEqual(['userName    ada', 'userName    grace']);
      expect(stdout).toContain('state       deactivated; can still be logged out');
      await directory.users.remove('default', await put({ userName: 'lin' }));
      expect((await run('show', 'lin')).stdout).toMatch(/^state {7}deleted at .*; can still be logged out$/m);
    },
    RUN_MS,
  );

  it(
    'knows nobody of another tenant',
    async () => {
      await put({ userName: 'ada' });
      const { code, stderr } = await run('show', 'ada', '--tenant', 'acme');
      expect([code, stderr]).toEqual([1, 'No user of tenant acme is known by that name.\n']);
    },
    RUN_MS,
  );
});

describe('users show --explain', () => {
  it(
    'says why each app is reached or not, and what each way to name the user leads to',
    async () => {
      const address = { emails: [{ value: 'desk@example.com' }] };
      await put({ userName: 'grace', externalId: 'ada', ...address });
      await put({ userName: 'ada', department: 'Sales', phoneNumbers: [{ value: '+1' }], ...address }, ['Sales']);
      const { code, stdout } = await run('show', 'desk@example.com', '--explain');
      const own = stdout.split('\n\n').find((text) => text.includes('userName    ada')) ?? '';
      expect(own.trim().split('\n').slice(8)).toEqual([
        '  intranet: desk@example.com, by the connector webhook (assigned: it is for everyone)',
        '  wiki: ada, by the connector webhook (assigned: group Sales)',
        '  crm: desk@example.com, by the connector webhook (assigned: by department)',
        '  shop: not reached, since it knows its users by externalId and this user has none (assigned: named in the settings)',
        'trust okta, client 0oa1example of https://acme.okta.com: mode full',
        '  email desk@example.com: is answered 422, since it names several users',
        expect.stringMatching(/^ {2}iss_sub https:\/\/acme\.okta\.com ada: logs out user \d+, not this one$/),
        '  phone_number +1: logs this user out',
        'trust partial, client 0oa2example of https://acme.okta.com: mode refresh-only',
        '  email desk@example.com: is answered 422, since it names several users',
        '  iss_sub https://acme.okta.com ada: logs this user out',
        '  iss_sub https://acme.okta.com desk@example.com: is answered 422, since it names several users',
        '  phone_number +1: logs this user out',
        'trust off, client 0oa3example of https://acme.okta.com: disabled, so each request is answered 403',
        'provisioning: a deactivation or a deletion logs the user out too, in mode full (scim.revokeOnDeactivate)',
      ]);
      const other = stdout.split('\n\n').find((text) => text.includes('userName    grace')) ?? '';
      expect(other).toContain('  wiki: not reached, since it is for the groups Engineering, Sales\n');
      expect(other).toContain('  crm: not reached, since it is for users whose department is Sales\n');
      expect(other).toContain('  shop: not reached, since it is for users named in the settings\n');
      expect(code).toBe(0);
    },
    RUN_MS,
  );
});

describe('users check', () => {
  it(
    'has exit code 0 where all is well, and 1 where anything disagrees, which it names',
    async () => {
      const ada = await put({ userName: 'ada', emails: [{ value: 'ada@example.com' }] }, ['Engineering']);
      const good = await run('check');
      expect(good).toMatchObject({ code: 0, stderr: '' });
      expect(good.stdout).toBe('Nothing disagrees in tenant default (users: 1, groups: 1, entries: 9).\n');
      await database.redis.hdel('ul:{default}:users-by-email', 'ada@example.com');
      await database.redis.hset('ul:{default}:users-by-userName', 'old', '1');
      expect(await run('check')).toMatchObject({
        code: 1,
        stdout: `user ${ada.id}: is not found by the email ada@example.com\nuserName old: leads to 1, which is no user with this userName\n`,
        stderr: 'Disagreements in tenant default (users: 1, groups: 1, entries: 9): 2.\n',
      });
      expect(await run('check', '--tenant', 'acme')).toMatchObject({ code: 0 });
    },
    RUN_MS,
  );
});
