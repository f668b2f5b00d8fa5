/** `connectors list`, `try` and `new` as people run them. */
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { auditKey, readAudit } from '../../src/audit.js';
import { registryText } from '../../src/commands/connectors/template.js';
import { registry } from '../../src/connectors/registry.js';
import { createDirectory } from '../../src/directory/directory.js';
import { createFolder, runCommand } from '../support/command.js';
import { type Database, openDatabase } from '../support/database.js';
import { type Route, startVendor, type Vendor } from '../support/vendor.js';

const RUN_MS = 60_000;
const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const SECRET = 'a-s3cret-of-keycloak';

describe('connectors list', () => {
  it(
    'has a line for each connector, with how much it ends',
    async () => {
      const { code, stdout } = await runCommand(['connectors', 'list'], { folder: createFolder() });
      expect(code).toBe(0);
      const lines = stdout.trimEnd().split('\n');
      expect(lines).toHaveLength(registry.length);
      expect(stdout).toMatch(/^zoom +partial +Zoom: sessions$/m);
    },
    RUN_MS,
  );
});

describe('connectors try', () => {
  let database: Database;
  let vendor: Vendor;
  let folder: string;
  let user: string;

  const routes = (sessions = ['s-1'], status = 200): Route[] => [
    {
      call: 'POST /realms/acme/protocol/openid-connect/token',
      expects: { headers: { authorization: expect.any(String) }, form: { grant_type: 'client_credentials' } },
      answer: () => ({ status, json: { access_token: 'a-s3cret-token', token_type: 'Bearer', expires_in: 60 } }),
    },
    {
      call: 'GET /admin/realms/acme/users',
      expects: [{ query: { max: '1' } }, { query: { email: 'ada@example.com', exact: 'true' } }].map((one) => ({
        ...one,
        headers: { authorization: 'Bearer a-s3cret-token' },
      })),
      answer: () => ({ json: [{ id: 'u-1', email: 'ada@example.com' }] }),
    },
    {
      call: 'POST /admin/realms/acme/users/{}/logout',
      expects: { headers: { authorization: 'Bearer a-s3cret-token' } },
      answer: () => {
        sessions.length = 0;
        return { status: 204 };
      },
    },
    ...['sessions', 'consents'].map((of) => ({
      call: `GET /admin/realms/acme/users/{}/${of}`,
      expects: { headers: { authorization: 'Bearer a-s3cret-token' } },
      answer: () => ({ json: of === 'sessions' ? sessions.map((id) => ({ id })) : [] }),
    })),
  ];

  beforeAll(async () => {
    [database, vendor] = await Promise.all([openDatabase(), startVendor()]);
    const keycloak = { url: vendor.url, realm: 'acme', clientId: 'gateway', clientSecret: `\${${'KEYCLOAK_SECRET'}}` };
    const app = (id: string, more: object) => ({ id, connector: 'keycloak', options: keycloak, ...more });
    folder = createFolder({
      tenants: [
        {
          id: 'default',
          apps: [
            app('sso', {}),
            app('people', { account: 'externalId', options: { ...keycloak, realm: 'people' } }),
            { id: 'intranet', connector: 'webhook', options: { url: vendor.url, secret: `whsec_${'A'.repeat(32)}` } },
          ],
        },
      ],
    });
  });
  beforeEach(async () => {
    await database.redis.flushdb();
    vendor.reset(routes());
    const directory = createDirectory(database.redis, 'ul', { graceMs: 86_400_000, now: Date.now });
    const put = await directory.put('default', { userName: 'ada', emails: [{ value: 'ada@example.com' }] });
    user = put.user.id;
  });
  afterAll(() => Promise.all([database.close(), vendor.close()]));

  const run = async (...args: string[]) => {
    const env = { REDIS_URL: database.url, KEYCLOAK_SECRET: SECRET };
    const ended = await runCommand(['connectors', 'try', ...args], { folder, env });
    expect(ended.stdout + ended.stderr).not.toMatch(/s3cret|Bearer|eyJ/);
    expect(vendor.violations).toEqual([]);
    return ended;
  };
  const audited = async () =>
    (await database.redis.xrange(auditKey('ul', 'default'), '-', '+')).map(([, fields]) => readAudit(fields));

  it(
    'checks without changing anything, and says what it called',
    async () => {
      const { code, stdout } = await run('sso');
      expect(code).toBe(0);
      expect(stdout).toMatch(/^Check of sso \(keycloak\):$/m);
      expect(stdout).toMatch(/^ {2}POST for a token +200 {2}\d+ ms$/m);
      expect(stdout).toMatch(/^ {2}GET \/admin\/realms\/\{\}\/users +200 {2}\d+ ms$/m);
      expect(stdout).toMatch(/^Good: users can be read;/m);
      expect(vendor.requests.map(({ call }) => call)).not.toContain('POST /admin/realms/acme/users/{}/logout');
    },
    RUN_MS,
  );

  it(
    'says whom it would log out, and does it with --yes alone, at this app, with a trace in the audit trail',
    async () => {
      const asked = await run('sso', '--user', 'ada');
      expect(asked).toMatchObject({
        code: 0,
        stdout: expect.stringContaining('With --yes the account ada@example.com'),
      });
      expect(vendor.requests.map(({ call }) => call)).not.toContain('POST /admin/realms/acme/users/{}/logout');
      expect(await audited()).toEqual([]);

      const done = await run('sso', '--user', 'ada', '--yes');
      expect(done.code).toBe(0);
      expect(done.stdout).toMatch(/^ {2}POST \/admin\/realms\/\{\}\/users\/\{\}\/logout +204 {2}\d+ ms$/m);
      expect(done.stdout).toMatch(
        /^revoked after \d+ ms: sessions, refresh tokens ended; looked again, and none was left\.$/m,
      );
      expect(await audited()).toMatchObject([
        { event: 'account.revoked', trust: 'operator', user, app: 'sso', state: 'revoked' },
      ]);
    },
    RUN_MS,
  );

  it.each([
    [
      'an app that is not there',
      ['shop'],
      /Tenant default has no app shop\. It has: sso \(keycloak\), people \(keycloak\)/,
    ],
    ['a connector of which there are two', ['keycloak'], /has no app keycloak/],
    ['somebody unknown', ['sso', '--user', 'grace'], /No user of tenant default is known by that name/],
    ['--yes for nobody', ['sso', '--yes'], /say for whom with --user/],
    ['another tenant', ['sso', '--tenant', 'acme'], /no tenant acme/],
  ])(
    'is refused, in one sentence [%s]',
    async (_what, args, sentence) => {
      const { code, stderr } = await run(...args);
      expect(code).toBe(1);
      expect(stderr).toMatch(sentence);
      expect(stderr).not.toContain('    at ');
      expect(vendor.requests).toEqual([]);
    },
    RUN_MS,
  );

  it(
    'ends where the check is not good, before anybody is logged out',
    async () => {
      vendor.reset(routes(['s-1'], 401));
      const { code, stdout, stderr } = await run('sso', '--user', 'ada', '--yes');
      expect([code, stderr]).toEqual([1, expect.stringContaining('Not good: keycloak: POST for a token answered 401')]);
      expect(stdout).toMatch(/POST for a token +401/);
      expect(vendor.requests.map(({ call }) => call)).not.toContain('POST /admin/realms/acme/users/{}/logout');
    },
    RUN_MS,
  );

  it(
    'says what went wrong where the revocation fails, and that is in the audit trail too',
    async () => {
      vendor.failAt('POST /admin/realms/acme/users/{}/logout', (res) => res.writeHead(503).end());
      const { code, stderr } = await run('sso', '--user', 'ada', '--yes');
      expect([code, stderr]).toEqual([
        1,
        expect.stringMatching(/^Failed \(server; a revocation would try it again\): /),
      ]);
      expect(await audited()).toMatchObject([
        { event: 'attempt.failed', trust: 'operator', user, app: 'sso', reason: 'server' },
      ]);
    },
    RUN_MS,
  );

  it(
    'finds an app by its connector, where there is one',
    async () => {
      const { code, stdout } = await run('webhook');
      expect([code, stdout]).toEqual([0, expect.stringContaining('Check of intranet (webhook):')]);
    },
    RUN_MS,
  );
});

describe('connectors new', () => {
  /** As much of a checkout as a connector needs. */
  function checkout(): string {
    const folder = mkdtempSync(join(tmpdir(), 'universal-logout-'));
    for (const part of ['src', 'spec/support', 'package.json', 'tsconfig.json', 'biome.json']) {
      cpSync(join(ROOT, part), join(folder, part), { recursive: true });
    }
    mkdirSync(join(folder, 'spec/connectors'), { recursive: true });
    symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
    return folder;
  }

  it('writes the registry in the form that it has', () => {
    const text = readFileSync(join(ROOT, 'src/connectors/registry.ts'), 'utf8');
    expect(text).toBe(registryText(registry.map(({ name }) => name)));
  });

  it(
    'writes a connector that compiles, is formatted, registered, and keeps the contract as it is',
    async () => {
      const folder = checkout();
      const { code, stdout } = await runCommand(
        ['connectors', 'new', 'acme-crm', '--app', "Acme's CRM", '--url', 'https://api.acme-crm.example'],
        { folder },
      );
      expect([code, stdout]).toEqual([0, expect.stringContaining('Wrote src/connectors/acme-crm.ts')]);
      const here = { cwd: folder, encoding: 'utf8' } as const;
      writeFileSync(
        join(folder, 'jest.config.json'),
        JSON.stringify({
          extensionsToTreatAsEsm: ['.ts'],
          transform: { '\\.ts$': ['@swc/jest', { jsc: { target: 'es2022', parser: { syntax: 'typescript' } } }] },
          moduleNameMapper: { '^(\\.{1,2}/.*)\\.js$': '$1' },
          testTimeout: 30_000,
        }),
      );
      const files = ['src/connectors/acme-crm.ts', 'spec/connectors/acme-crm.spec.ts', 'src/connectors/registry.ts'];
      execFileSync(
        process.execPath,
        ['node_modules/@biomejs/biome/bin/biome', 'check', '--vcs-enabled=false', ...files],
        here,
      );
      const { include: _, ...tsconfig } = JSON.parse(readFileSync(join(ROOT, 'tsconfig.json'), 'utf8'));
      writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ ...tsconfig, files }));
      execFileSync(process.execPath, ['node_modules/typescript/bin/tsc'], here);
      const jest = [
        '--experimental-vm-modules',
        'node_modules/jest/bin/jest.js',
        '--config',
        'jest.config.json',
        '--json',
      ];
      const report = JSON.parse(execFileSync(process.execPath, [...jest, 'acme-crm'], { ...here, stdio: 'pipe' }));
      expect(report.numPassedTests).toBeGreaterThan(50);
      expect(report.numFailedTests).toBe(0);
      expect(readFileSync(join(folder, 'src/connectors/registry.ts'), 'utf8')).toBe(
        registryText([...registry.map(({ name }) => name), 'acme-crm']),
      );

      const again = await runCommand(['connectors', 'new', 'acme-crm'], { folder });
      expect([again.code, again.stderr]).toEqual([1, expect.stringContaining('is there already')]);
    },
    3 * RUN_MS,
  );

  it.each([
    ['a name that is none', ['Acme CRM'], /no name for a connector/],
    ['a path', ['../x'], /no name for a connector/],
    ['a URL that is none', ['acme', '--url', 'acme.example'], /--url is not an https URL/],
    ['another folder', ['acme'], /run this in a checkout/],
  ])(
    'is refused, in one sentence [%s]',
    async (_what, args, sentence) => {
      const { code, stderr } = await runCommand(['connectors', 'new', ...args], { folder: createFolder() });
      expect([code, stderr]).toEqual([1, expect.stringMatching(sentence)]);
    },
    RUN_MS,
  );
});
