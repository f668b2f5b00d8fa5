/** The gateway's own RS256 keys, kept in one file of mode 600: the first signs, all are published. */
import { link, mkdir, readFile, unlink, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import {
  type CryptoKey,
  calculateJwkThumbprint,
  exportJWK,
  generateKeyPair,
  importJWK,
  type JWK,
  type JWTPayload,
  SignJWT,
} from 'jose';

const ALGORITHM = 'RS256';

export type SigningKeys = Awaited<ReturnType<typeof loadSigningKeys>>;

/**
 * Reads the JWK Set of private keys at `path`, made on first use. To rotate, put a new key before the old one.
 * Throws where the file is not a JWK Set of RSA private keys.
 */
export async function loadSigningKeys(path: string) {
  const { keys } = await readOrMake(path);
  const [first] = keys;
  if (!first || keys.some((key) => key.kty !== 'RSA' || !key.d || !key.kid)) {
    throw new Error(`${path} is not a JWK Set of RSA private keys, each with a kid`);
  }
  const signer = (await importJWK(first, ALGORITHM)) as CryptoKey;

  return {
    /** What `/.well-known/jwks.json` shows. */
    jwks: {
      keys: keys.map(({ kty, n, e, kid }) => ({ kty, n, e, kid, alg: ALGORITHM, use: 'sig' })) as JWK[],
    },
    /** A compact JWS over exactly these claims. */
    sign(typ: string, claims: JWTPayload): Promise<string> {
      return new SignJWT(claims).setProtectedHeader({ alg: ALGORITHM, typ, kid: first.kid as string }).sign(signer);
    },
  };
}

async function readOrMake(path: string): Promise<{ keys: JWK[] }> {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as { keys: JWK[] };
  } catch (error) {
    if ((error as { code?: string }).code !== 'ENOENT') {
      throw new Error(`${path} cannot be read as a JWK Set`, { cause: error });
    }
  }
  const { privateKey } = await generateKeyPair(ALGORITHM, { modulusLength: 2048, extractable: true });
  const jwk = await exportJWK(privateKey);
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const draft = `${path}.${process.pid}`;
  await writeFile(draft, JSON.stringify({ keys: [{ ...jwk, kid: await calculateJwkThumbprint(jwk) }] }), {
    mode: 0o600,
  });
  // A link fails where the file exists by now, so that of two processes that start together one key wins.
  await link(draft, path).catch((error: { code?: string }) => {
    if (error.code !== 'EEXIST') throw error;
  });
  await unlink(draft);
  return JSON.parse(await readFile(path, 'utf8')) as { keys: JWK[] };
}
