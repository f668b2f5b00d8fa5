/** A service account that signs: its key, and what a token endpoint learns from the JWTs that are made with it. */
import { generateKeyPairSync, verify } from 'node:crypto';

/** One signing client, with a key of its own. */
export function createServiceAccount() {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const pem = privateKey.export({ type: 'pkcs8', format: 'pem' }) as string;

  /** The claims and the key id of a JWT that this account has signed for an hour at most; of others, nothing. */
  function read(jwt: string | undefined): { kid?: string; claims?: Record<string, unknown> } {
    const [header = '', payload = '', signature = ''] = (jwt ?? '').split('.');
    const signed = Buffer.from(`${header}.${payload}`);
    if (!verify('sha256', signed, publicKey, Buffer.from(signature, 'base64url'))) return {};
    const { alg, kid } = JSON.parse(Buffer.from(header, 'base64url').toString());
    const { iat, nbf, exp, jti, ...claims } = JSON.parse(Buffer.from(payload, 'base64url').toString());
    const isFit = alg === 'RS256' && exp > iat && exp - iat <= 3600;
    return isFit ? { kid, claims } : {};
  }

  return { pem, read };
}
