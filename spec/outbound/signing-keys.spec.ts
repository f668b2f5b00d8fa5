/** The gateway's signing keys: made once, kept private, and the same for every process. */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { chmod, mkdtemp, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createLocalJWKSet, decodeProtectedHeader, exportJWK, generateKeyPair, type JWK, jwtVerify } from 'jose';
import { loadSigningKeys } from '../../src/outbound/signing-keys.js';

const MODULE = new URL('../../src/outbound/signing-keys.ts', import.meta.url).href;
const ROOT = fileURLToPath(new URL('../..', import.meta.url));

const emptyFolder = () => mkdtemp(join(tmpdir(), 'universal-logout-'));
const freshPath = async () => join(await emptyFolder(), 'data', 'signing-keys.json');
const stored = async (path: string) => JSON.parse(await readFile(path, 'utf8')) as { keys: JWK[] };

async function privateJwk(kid: string, alg = 'RS256'): Promise<JWK> {
  const { privateKey } = await generateKeyPair(alg, { extractable: true });
  return { ...(await exportJWK(privateKey)), kid };
}

describe('the first start', () => {
  it('makes one RSA key of 2048 bits, readable by its owner alone', async () => {
    const path = await freshPath();
    await loadSigningKeys(path);
    const { keys } = await stored(path);
    expect(keys).toHaveLength(1);
    expect(Buffer.from(keys[0]?.n ?? '', 'base64url')).toHaveLength(256);
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect((await stat(join(path, '..'))).mode & 0o777).toBe(0o700);
    expect(await readdir(join(path, '..'))).toEqual(['signing-keys.json']);
  });

  it('keeps its key: the next start changes nothing', async () => {
    const path = await freshPath();
    const first = await loadSigningKeys(path);
    const before = await readFile(path, 'utf8');
    expect((await loadSigningKeys(path)).jwks).toEqual(first.jwks);
    expect(await readFile(path, 'utf8')).toBe(before);
  });

  it('of several gateways in one process agrees on one key', async () => {
    const path = await freshPath();
    const all = await Promise.all(Array.from({ length: 5 }, () => loadSigningKeys(path)));
    const kids = new Set(all.map(({ jwks }) => jwks.keys[0]?.kid));
    expect(kids.size).toBe(1);
    expect(await readdir(join(path, '..'))).toEqual(['signing-keys.json']);
  });

  it('of several processes agrees on one key', async () => {
    const path = await freshPath();
    const kids = await Promise.all([loadInProcess(path), loadInProcess(path), loadInProcess(path)]);
    const { keys } = await stored(path);
    expect(kids).toEqual([keys[0]?.kid, keys[0]?.kid, keys[0]?.kid]);
  });
});

describe('what is published', () => {
  it('has no private member, and says what each key is for', async () => {
    const { jwks } = await loadSigningKeys(await freshPath());
    for (const key of jwks.keys) {
      expect(new Set(Object.keys(key))).toEqual(new Set(['kty', 'n', 'e', 'kid', 'alg', 'use']));
      expect(key).toMatchObject({ kty: 'RSA', alg: 'RS256', use: 'sig' });
    }
  });

  it('verifies what is signed, with the asked typ and exactly the asked claims', async () => {
    const { jwks, sign } = await loadSigningKeys(await freshPath());
    const jwt = await sign('logout+jwt', { iss: 'https://logout.example.com', jti: '1' });
    const { payload, protectedHeader } = await jwtVerify(jwt, createLocalJWKSet(jwks));
    expect(payload).toEqual({ iss: 'https://logout.example.com', jti: '1' });
    expect(protectedHeader).toEqual({ alg: 'RS256', typ: 'logout+jwt', kid: jwks.keys[0]?.kid });
  });

  it('names a new key by its thumbprint (RFC 7638)', async () => {
    const { jwks } = await loadSigningKeys(await freshPath());
    const { e, kty, n, kid } = jwks.keys[0] as JWK;
    const thumbprint = createHash('sha256').update(JSON.stringify({ e, kty, n })).digest('base64url');
    expect(kid).toBe(thumbprint);
  });
});

describe('rotation', () => {
  it('signs with the first key and publishes both, so that what the old one signed still verifies', async () => {
    const path = await freshPath();
    const old = await loadSigningKeys(path);
    const signedBefore = await old.sign('logout+jwt', { jti: 'before' });
    const { keys } = await stored(path);
    await writeFile(path, JSON.stringify({ keys: [await privateJwk('new'), ...keys] }));

    const { jwks, sign } = await loadSigningKeys(path);
    const signedAfter = await sign('logout+jwt', { jti: 'after' });
    expect(jwks.keys.map(({ kid }) => kid)).toEqual(['new', keys[0]?.kid]);
    expect(JSON.stringify(jwks)).not.toContain(keys[0]?.d);
    expect(decodeProtectedHeader(signedAfter).kid).toBe('new');
    for (const jwt of [signedBefore, signedAfter]) await jwtVerify(jwt, createLocalJWKSet(jwks));
  });
});

describe('a file that cannot be used', () => {
  it.each<[string, () => unknown]>([
    ['empty', () => ''],
    ['cut off', () => '{"keys":[{"kty":"RSA","n":"s3cret'],
    ['an empty object', () => ({})],
    ['null', () => null],
    ['no keys', () => ({ keys: [] })],
    ['keys that are no list', () => ({ keys: 1 })],
    ['null for a key', () => ({ keys: [null] })],
    ['a key without kid', async () => ({ keys: [{ ...(await privateJwk('x')), kid: undefined }] })],
    ['a public key', async () => ({ keys: [{ ...(await privateJwk('x')), d: undefined }] })],
    ['an EC key', async () => ({ keys: [await privateJwk('x', 'ES256')] })],
    ['an EC key beside a good one', async () => ({ keys: [await privateJwk('x'), await privateJwk('y', 'ES256')] })],
    ['numbers that are none', () => ({ keys: [{ kty: 'RSA', kid: 'x', n: 'x', e: 'AQAB', d: 's3cret' }] })],
  ])('is named, is left as it is, and none of it is shown [%s]', async (_what, content) => {
    const path = join(await emptyFolder(), 'signing-keys.json');
    const value = await content();
    const text = typeof value === 'string' ? value : JSON.stringify(value);
    await writeFile(path, text);
    const error = await loadSigningKeys(path).then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    expect(error).toBeInstanceOf(Error);
    expect((error as Error).message).toContain(`${path} `);
    expect((error as Error).message).toContain('JWK Set');
    expect((error as Error).message).not.toContain('s3cret');
    expect(await readFile(path, 'utf8')).toBe(text);
  });

  it('is not replaced where it cannot be read', async () => {
    const folder = await emptyFolder();
    const path = join(folder, 'signing-keys.json');
    await loadSigningKeys(path);
    const before = await readFile(path, 'utf8');
    await chmod(path, 0o000);
    // The superuser may read it all the same.
    await loadSigningKeys(path).catch((error: Error) => expect(error.message).toContain('cannot be read'));
    await chmod(path, 0o600);
    expect(await readFile(path, 'utf8')).toBe(before);
  });
});

async function loadInProcess(path: string): Promise<string> {
  const script = `const { loadSigningKeys } = await import(${JSON.stringify(MODULE)});
    console.log((await loadSigningKeys(${JSON.stringify(path)})).jwks.keys[0].kid);`;
  const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', script], {
    cwd: ROOT,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const chunks: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
  await once(child, 'close');
  return Buffer.concat(chunks).toString().trim();
}
