/** The signing certificates that a trust names: read from the settings or from files beside them, and whether they are of any use. */
import { type JsonWebKey, type KeyObject, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { CURVES, LEAST_RSA_BITS, verifies } from './verification-key.js';

const BEGIN = /-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----/g;
const PEM = new RegExp(`${BEGIN.source}[^-]*-----END [A-Z0-9 ]+-----`, 'g');

export type Certificates = { pems: string[] } | { problem: string };

/** Those of one entry: a PEM text, or a file of one or several, whose path starts at `folder`. */
export function readCertificates(entry: string, folder: string, algorithms: readonly string[]): Certificates {
  let text = entry;
  try {
    if (!entry.match(BEGIN)) text = readFileSync(resolve(folder, entry), 'utf8');
  } catch {
    return { problem: 'names a file that cannot be read' };
  }
  let certificates: X509Certificate[];
  try {
    // What is cut off at its end is no match, and is not to be passed over.
    const found = text.match(PEM) ?? [];
    if (found.length === 0 || found.length !== text.match(BEGIN)?.length)
      return { problem: 'is not a PEM certificate' };
    certificates = found.map((pem) => new X509Certificate(pem));
  } catch {
    return { problem: 'is not a PEM certificate' };
  }
  const problem = certificates.map(({ publicKey }) => whyUseless(publicKey, algorithms)).find(Boolean);
  return problem === undefined ? { pems: certificates.map(String) } : { problem };
}

/** Why no JWT under this key is ever accepted (JWT-04, JWT-10). */
function whyUseless(key: KeyObject, algorithms: readonly string[]): string | undefined {
  const jwk = jwkOf(key);
  if (algorithms.some((algorithm) => verifies(jwk, algorithm))) return undefined;
  const { modulusLength = 0 } = key.asymmetricKeyDetails ?? {};
  if (jwk.kty === 'RSA') {
    return modulusLength < LEAST_RSA_BITS
      ? `has an RSA key of ${modulusLength} bits: no JWT is accepted under less than ${LEAST_RSA_BITS}`
      : 'has an RSA key: no JWT is accepted under it unless algorithms has RS256 or the like';
  }
  const [needed] = Object.keys(CURVES).filter((algorithm) => verifies(jwk, algorithm));
  return needed
    ? `has an EC key on ${jwk.crv}: no JWT is accepted under it unless algorithms has ${needed}`
    : 'has a key that is neither RSA nor EC on P-256, P-384 or P-521: no JWT is accepted under it';
}

/** Not every kind of key has one. */
function jwkOf(key: KeyObject): JsonWebKey {
  try {
    return key.export({ format: 'jwk' });
  } catch {
    return {};
  }
}
