/** `universal-logout config`: every mistake with its place, and the schema for editors. */
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv2020 } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import { createFolder, runCommand } from '../support/command.js';

const FILE = 'universal-logout.yaml';
const SECRET = `whsec_${Buffer.alloc(24, 'config').toString('base64')}`;

const check = (folder: string, env: Record<string, string> = {}) => runCommand(['config', 'check'], { folder, env });

it('check says what the settings amount to', async () => {
  const folder = createFolder({
    tenants: [
      {
        id: 'default',
        trusts: [
          {
            id: 'okta',
            issuers: ['https://acme.okta.com'],
            client: '0oa1example',
            keys: { discovery: 'https://acme.okta.com' },
            enabled: false,
          },
        ],
        apps: [
          { id: 'intranet', connector: 'webhook', options: { url: 'https://a.example.com', secret: `\${APP_SECRET}` } },
        ],
      },
      { id: 'acme' },
    ],
  });
  const { code, stdout, stderr } = await check(folder, { APP_SECRET: SECRET });
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(stdout).toContain(`${join(folder, FILE)} is good.`);
  expect(stdout).toContain('Tenant default: https://logout.example.com/global-token-revocation');
  expect(stdout).toContain('trust okta: 0oa1example of https://acme.okta.com (disabled)');
  expect(stdout).toContain('app intranet: webhook, for everyone, known by email');
  expect(stdout).toContain('Tenant acme: https://logout.example.com/tenants/acme/global-token-revocation');
  expect(stdout).not.toContain(SECRET);
});

it('check lists every mistake, one to a line, and nothing else', async () => {
  const folder = createFolder();
  writeFileSync(join(folder, FILE), 'publicUrl: http://a.example.com\ntenants: [{ id: A }]\n');
  const { code, stdout, stderr } = await check(folder, { PORT: 'x' });
  const path = join(folder, FILE);
  expect({ code, stdout, lines: stderr.trim().split('\n') }).toEqual({
    code: 1,
    stdout: '',
    lines: [
      'PORT is not a port: use 0 to 65535',
      `${path}:1:12 publicUrl must be https unless it is a loopback address`,
      `${path}:2:17 tenants[0].id is not an id: 1 to 40 lower-case letters, digits and hyphens`,
    ],
  });
});

it('check reads a file .env in the folder first', async () => {
  const folder = createFolder();
  writeFileSync(join(folder, '.env'), 'CONFIG_FILE=other.yaml\nLOG_LEVEL=loud\n');
  const { stderr } = await check(folder);
  expect(stderr).toContain('LOG_LEVEL is not a level');
  expect(stderr).toContain(join(folder, 'other.yaml'));
});

it.each<[string, string, (path: string) => void]>([
  ['a folder', 'EISDIR', (path) => mkdirSync(path)],
  // As a file that belongs to another user; root could read that.
  ['what the system does not open', 'ELOOP', (path) => symlinkSync(path, path)],
  ['a link to what is not there', 'ENOENT', (path) => symlinkSync('nowhere', path)],
])('check does not pass over a .env that is %s', async (_, reason, make) => {
  const folder = createFolder({ tenants: [{ id: 'default' }] });
  make(join(folder, '.env'));
  expect(await check(folder)).toEqual({
    code: 1,
    signal: null,
    stdout: '',
    stderr: `${join(folder, '.env')} cannot be read (${reason}): make it a file that this user may read, or move it away.\n`,
  });
});

it('schema prints a JSON Schema that tells good settings from others', async () => {
  const { code, stdout } = await runCommand(['config', 'schema'], { folder: createFolder() });
  expect(code).toBe(0);
  const ajv = new Ajv2020({ strictTypes: false });
  addFormats.default(ajv);
  const validate = ajv.compile(JSON.parse(stdout));
  expect(validate({ publicUrl: 'https://a.example.com', tenants: [{ id: 'default' }] })).toBe(true);
  expect(validate({ publicUrl: 'https://a.example.com', tenants: [{ id: 'default' }], tenant: 1 })).toBe(false);
});
