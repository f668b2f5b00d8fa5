/** The gateway's own RS256 keys, kept in one file of mode 600: the first signs, all are published. */
import { readFile } from 'node:fs/promises';
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
import { makeKeyFile } from '../key-file.js';

const ALGORITHM = 'RS256';

export type SigningKeys = Awaited<ReturnType<typeof loadSigningKeys>>;

/**
 * Reads the JWK Set of private keys at `path`, made on first use. To rotate, put a new key before the old one.
 * Throws where the file is not a JWK Set of RSA private keys.
 */
export async function loadSigningKeys(path: string) {
  const keys = await readOrMake(path);
  const [first] = keys;
  const unusable = (cause?: unknown) => broken(`${path} is not a JWK Set of RSA private keys, each with a kid`, cause);
  if (!first || keys.some((key) => key?.kty !== 'RSA' || !key.d || !key.kid)) throw unusable();
  const signer = await importJWK(first, ALGORITHM).catch((cause: unknown) => {
    throw unusable(cause);
  });

  return {
    /** What `/.well-known/jwks.json` shows. */
    jwks: {
      keys: keys.map(({ kty, n, e, kid }) => ({ kty, n, e, kid, alg: ALGORITHM, use: 'sig' })) as JWK[],
    },
    /** A compact JWS over exactly these claims. */
    sign(typ: string, claims: JWTPayload): Promise<string> {
      return new SignJWT(claims)
        .setProtectedHeader({ alg: ALGORITHM, typ, kid: first.kid as string })
        .sign(signer as CryptoKey);
    },
  };
}

async function readOrMake(path: string): Promise<JWK[]> {
  try {
    return await read(path);
  } catch (error) {
    if ((error as { code?: string }).code !== 'ENOENT') {
      throw broken(`${path} cannot be read as a JWK Set`, error);
    }
  }
  const { privateKey } = await generateKeyPair(ALGORITHM, { modulusLength: 2048, extractable: true });
  const jwk = await exportJWK(privateKey);
  await makeKeyFile(path, JSON.stringify({ keys: [{ ...jwk, kid: await calculateJwkThumbprint(jwk) }] }));
  return read(path);
}

async function read(path: string): Promise<JWK[]> {
  const set = JSON.parse(await readFile(path, 'utf8')) as { keys?: unknown } | null;
  return Array.isArray(set?.keys) ? (set.keys as JWK[]) : [];
}

/** A failure that its sentence explains: the command line shows no stack. */
function broken(sentence: string, cause: unknown): Error {
  return Object.assign(new Error(sentence, { cause }), { expected: true });
}
