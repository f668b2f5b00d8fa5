/** `universal-logout init`: a settings file that works, from flags or from somebody who answers. */
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseSettings } from '../../src/config.js';
import { createFolder, runCommand } from '../support/command.js';

const FILE = 'universal-logout.yaml';
const flags = [
  '--okta-domain',
  'acme.okta.com',
  '--client',
  '0oa1example',
  '--public-url',
  'https://logout.example.com',
];

const init = (folder: string, args: string[], env: Record<string, string> = {}) =>
  runCommand(['init', ...args], { folder, env });

function settingsIn(folder: string, file = FILE) {
  const path = join(folder, file);
  const problems: string[] = [];
  const settings = parseSettings(readFileSync(path, 'utf8'), path, {}, problems);
  expect(problems).toEqual([]);
  return settings;
}

it('writes a commented file that is good as it is, for its owner alone, and says what to tell Okta', async () => {
  const folder = createFolder();
  const { code, stdout } = await init(folder, flags);
  expect(code).toBe(0);
  expect(settingsIn(folder)).toMatchObject({
    publicUrl: 'https://logout.example.com',
    tenants: [
      {
        id: 'default',
        trusts: [
          {
            issuers: ['https://acme.okta.com'],
            client: '0oa1example',
            keys: { jwksUri: 'https://acme.okta.com/oauth2/v1/keys?client_id=0oa1example' },
          },
        ],
      },
    ],
  });
  expect(statSync(join(folder, FILE)).mode & 0o777).toBe(0o600);
  expect(readFileSync(join(folder, FILE), 'utf8').match(/^ *#/gm)?.length).toBeGreaterThan(8);
  expect(stdout).toContain('https://logout.example.com/global-token-revocation');
  expect(stdout).toMatch(/universal-logout doctor`.* https:\/\/logout\.example\.com\/console$/m);
  expect(stdout).toMatch(/whsec_[A-Za-z0-9+/]{32}/);
});

it('writes where CONFIG_FILE says, and understands addresses as they are copied', async () => {
  const folder = createFolder();
  const copied = ['--okta-domain', 'https://acme-admin.okta.com/admin/dashboard', '--client', '0oa"1', '--public-url'];
  const { code } = await init(folder, [...copied, 'https://logout.example.com/'], { CONFIG_FILE: 'other.yaml' });
  expect(code).toBe(0);
  expect(existsSync(join(folder, FILE))).toBe(false);
  expect(settingsIn(folder, 'other.yaml')).toMatchObject({
    publicUrl: 'https://logout.example.com',
    tenants: [{ trusts: [{ issuers: ['https://acme.okta.com'], client: '0oa"1' }] }],
  });
});

it('replaces no file, unless it is told to', async () => {
  const folder = createFolder();
  writeFileSync(join(folder, FILE), '# mine\n');
  const refused = await init(folder, flags);
  expect(refused.code).toBe(1);
  expect(refused.stderr).toBe(`${join(folder, FILE)} is there already: --force replaces it.\n`);
  expect(readFileSync(join(folder, FILE), 'utf8')).toBe('# mine\n');
  expect((await init(folder, [...flags, '--force'])).code).toBe(0);
  expect(settingsIn(folder)).toBeDefined();
});

it.each([
  [[], '--okta-domain, --client, --public-url'],
  [flags.slice(0, 2), '--client, --public-url'],
])('names the flags that are missing where nobody can be asked [%j]', async (given, missing) => {
  const folder = createFolder();
  const { code, stderr } = await init(folder, given as string[]);
  expect(code).toBe(1);
  expect(stderr).toBe(`Nobody is there to ask: give ${missing}.\n`);
  expect(existsSync(join(folder, FILE))).toBe(false);
});

it.each([
  ['http://logout.example.com', 'publicUrl must be https unless it is a loopback address'],
  ['logout.example.com', 'publicUrl is not an http or https URL'],
])('writes nothing that would be refused later [%s]', async (publicUrl, problem) => {
  const folder = createFolder();
  const { code, stderr } = await init(folder, [...flags.slice(0, 4), '--public-url', publicUrl]);
  expect(code).toBe(1);
  expect(stderr).toContain(problem);
  expect(stderr).not.toContain('    at ');
  expect(existsSync(join(folder, FILE))).toBe(false);
});
