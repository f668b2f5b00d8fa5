/** Which public key may have signed under which algorithm: for keys of a trust, wherever they come from. */
import type { JWK } from 'jose';

export const LEAST_RSA_BITS = 2048;
export const CURVES: Record<string, string> = { ES256: 'P-256', ES384: 'P-384', ES512: 'P-521' };

/** JWT-04, JWT-10: the key's type, size, curve, `alg`, `use` and `key_ops` all allow it to verify `alg`. */
export function verifies(key: JWK, alg: string): boolean {
  if (key.alg !== undefined && key.alg !== alg) return false;
  if (key.use !== undefined && key.use !== 'sig') return false;
  if (key.key_ops !== undefined && !key.key_ops.includes('verify')) return false;
  if (alg.startsWith('ES')) return key.kty === 'EC' && key.crv === CURVES[alg];
  const modulus = Buffer.from(key.n ?? '', 'base64url');
  // One that is longer only by leading zeros is not (RFC 7518 §3.3).
  return key.kty === 'RSA' && modulus[0] !== 0 && modulus.length * 8 >= LEAST_RSA_BITS;
}
