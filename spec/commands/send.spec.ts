/** `universal-logout send`: acts as Okta towards a real gateway, and says what the answer means. */
import { generateKeyPairSync } from 'node:crypto';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { JSONWebKeySet } from 'jose';
import { createFolder, runCommand } from '../support/command.js';
import { startGateway } from '../support/gateway.js';
import { freePort } from '../support/redis-server.js';
import { answer, startTargetApp, type TargetApp } from '../support/target-app.js';

const ISSUER = 'https://acme.okta.com';
const CLIENT = '0oa1example';
const PATH = '/global-token-revocation';

const folder = createFolder();
let gateway: Awaited<ReturnType<typeof startGateway>>;
let receiver: TargetApp;
let dryRun: Awaited<ReturnType<typeof send>>;

/** To the gateway, as a caller whom it trusts, unless the flags say otherwise: the last of two holds. */
function send(args: string[], to = gateway?.url + PATH) {
  return runCommand(['send', '--to', to, '--issuer', ISSUER, '--client', CLIENT, ...args], { folder });
}

const publicKeyIn = (stdout: string) => JSON.parse(/\{"keys":.*\}/.exec(stdout)?.[0] ?? '{}') as JSONWebKeySet;

beforeAll(async () => {
  receiver = await startTargetApp();
  // As somebody would: the first run makes the key, whose public half goes into the trust.
  dryRun = await send(['--email', 'ada@example.com', '--dry-run'], receiver.url);
  const port = await freePort();
  gateway = await startGateway(
    {
      publicUrl: `http://127.0.0.1:${port}`,
      tenants: [
        {
          id: 'default',
          trusts: [{ id: 'okta', issuers: [ISSUER], client: CLIENT, keys: { jwks: publicKeyIn(dryRun.stdout) } }],
        },
      ],
    },
    { config: { port } },
  );
  await gateway.directory.put('default', { userName: 'ada', externalId: '00u1ada', emails: ['ada@example.com'] });
});
beforeEach(() => {
  receiver.calls.length = 0;
  receiver.answerWith(answer(204));
});
afterAll(() => Promise.all([gateway.close(), receiver.close()]));

/** Neither a JWT nor a private key may end in somebody's scrollback. */
function expectNoSecretIn({ stdout, stderr }: { stdout: string; stderr: string }): void {
  const { d } = JSON.parse(readFileSync(join(folder, 'okta-key.json'), 'utf8')) as { d: string };
  expect(stdout + stderr).not.toContain(d);
  expect(stdout + stderr).not.toMatch(/eyJ[\w-]+\.[\w-]+\./);
}

it('makes a key for its owner alone, shows its public half, and sends nothing in a dry run', () => {
  expect(dryRun.code).toBe(0);
  expect(receiver.calls).toEqual([]);
  expect(statSync(join(folder, 'okta-key.json')).mode & 0o777).toBe(0o600);
  const [key] = publicKeyIn(dryRun.stdout).keys;
  expect(Object.keys(key ?? {}).toSorted((a, b) => a.localeCompare(b))).toEqual(['alg', 'e', 'kid', 'kty', 'n', 'use']);
  expect(dryRun.stdout).toContain('"sub_id":{"format":"email","email":"ada@example.com"}');
  expect(dryRun.stdout).toContain(`"iss":"${ISSUER}","sub":"${CLIENT}","aud":"${receiver.url}"`);
  expectNoSecretIn(dryRun);
});

it.each([
  ['by e-mail address', ['--email', 'ada@example.com']],
  ['by issuer and subject', ['--sub', '00u1ada']],
  ['by any subject identifier', ['--subject', '{"format":"opaque","id":"ada"}']],
  ['as older receivers expect it', ['--email', 'ada@example.com', '--legacy']],
])('is accepted by a gateway that trusts the key [%s]', async (_what, args) => {
  const result = await send(args);
  expect(result.stdout).toContain('Accepted: the receiver is revoking.');
  expect(result).toMatchObject({ code: 0, stderr: '' });
  expect(result.stdout).not.toContain('Made a key');
  expectNoSecretIn(result);
});

it.each([
  ['an unknown user', ['--email', 'nobody@example.com'], 404, 'The receiver knows no such user'],
  ['another client', ['--email', 'ada@example.com', '--client', '0oa2other'], 401, 'does not accept the JWT'],
  ['another audience', ['--email', 'ada@example.com', '--audience', 'https://a.b'], 401, 'does not accept the JWT'],
  ['no subject identifier', ['--subject', '{}'], 400, 'cannot read the body'],
])('says what a refusal means, and ends with 1 [%s]', async (_what, args, status, meaning) => {
  const result = await send(args);
  expect(result.code).toBe(1);
  expect(result.stdout).toMatch(new RegExp(`^${status}$`, 'm'));
  expect(result.stdout).toContain(meaning);
  expect(result.stdout).toContain(`"status":${status}`);
  expectNoSecretIn(result);
});

it('follows no redirect with the JWT', async () => {
  receiver.answerWith(answer(307, { location: `${gateway.url}${PATH}` }));
  const result = await send(['--email', 'ada@example.com'], `${receiver.url}?x=1`);
  expect(result.code).toBe(1);
  expect(result.stdout).toMatch(/^307$/m);
  expect(receiver.calls).toHaveLength(1);
  expect(receiver.calls[0]?.path).toBe('/logout?x=1');
  expect(result.stdout).toContain(`"aud":"${receiver.url}"`);
});

it.each([
  ['RSA', () => generateKeyPairSync('rsa', { modulusLength: 2048 }), 'RS256'],
  ['EC', () => generateKeyPairSync('ec', { namedCurve: 'P-256' }), 'ES256'],
])('takes a key as PEM [%s]', async (name, generate, alg) => {
  const file = join(folder, `${name}.pem`);
  writeFileSync(file, generate().privateKey.export({ type: 'pkcs8', format: 'pem' }));
  const result = await send(['--email', 'ada@example.com', '--key', file, '--dry-run']);
  expect(result.code).toBe(0);
  expect(publicKeyIn(result.stdout).keys[0]).toMatchObject({ alg, use: 'sig', kid: expect.any(String) });
  expect(result.stdout).toContain(`"alg":"${alg}"`);
});

it.each<[string, string[], RegExp]>([
  ['no user', [], /^Say whom to log out with one of --email, --sub or --subject\.\n$/],
  ['two users', ['--email', 'a@example.com', '--sub', '00u1'], /^Say whom to log out with one of/],
  ['a subject that is not JSON', ['--subject', '{'], /^--subject is not JSON\.\n$/],
  ['a key that is none', ['--email', 'a@example.com', '--key', 'words.txt'], /is not a private key as JWK or PEM/],
  ['a public key', ['--email', 'a@example.com', '--key', 'public.json'], /is not a private key as JWK or PEM/],
  ['an address that is none', ['--email', 'a@example.com', '--to', 'logout'], /^--to is not a URL\.\n$/],
  [
    'an address without answer',
    ['--email', 'a@example.com', '--to', 'http://127.0.0.1:1/x'],
    /^No answer: 127\.0\.0\.1:1/,
  ],
])('says in one sentence what is wrong [%s]', async (_what, args, sentence) => {
  writeFileSync(join(folder, 'words.txt'), 'words');
  writeFileSync(join(folder, 'public.json'), JSON.stringify(publicKeyIn(dryRun.stdout).keys[0]));
  const { code, stderr } = await send(args);
  expect(code).toBe(1);
  expect(stderr).toMatch(sentence);
  expect(stderr.trim().split('\n')).toHaveLength(1);
});
