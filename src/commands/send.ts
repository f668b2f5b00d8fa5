/** `universal-logout send`: acts as Okta towards any Global Token Revocation endpoint. */
import { createPrivateKey, createPublicKey, randomUUID } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { calculateJwkThumbprint, exportJWK, generateKeyPair, importJWK, type JWK, SignJWT } from 'jose';
import { createOutbound, OutboundError } from '../outbound/outbound.js';
import { CommandError } from './command-error.js';

export type SendOptions = {
  to: string;
  issuer: string;
  client: string;
  email?: string;
  sub?: string;
  subject?: string;
  key: string;
  audience?: string;
  legacy?: boolean;
  dryRun?: boolean;
};

const MEANINGS: Record<number, string> = {
  204: 'Accepted: the receiver is revoking.',
  400: 'The receiver cannot read the body: check the subject identifier.',
  401: "The receiver does not accept the JWT: compare issuer, client, audience and key with its trust, and this machine's clock.",
  403: 'The receiver knows the caller, but does not let it revoke.',
  404: 'The receiver knows no such user, or nothing listens at this path.',
  405: 'The address is not a revocation endpoint: it does not take POST.',
  413: 'The receiver takes no body of this size.',
  415: 'The receiver does not take this content type.',
  422: 'The receiver knows the user, but cannot log this user out.',
  429: 'Too many requests: wait as long as Retry-After says.',
  503: 'The receiver cannot work just now (its store or the keys are away): send it again.',
};

/** Throws where the answer is not 204, so that the exit code tells. */
export async function send(options: SendOptions): Promise<void> {
  if (!URL.canParse(options.to)) throw new CommandError('--to is not a URL.');
  const { privateJwk, made } = await readOrMakeKey(options.key);
  const now = Math.floor(Date.now() / 1000);
  const header = { alg: algorithmOf(privateJwk), typ: 'global-token-revocation+jwt', kid: privateJwk.kid as string };
  const claims = {
    jti: randomUUID(),
    iss: options.issuer,
    sub: options.client,
    aud: options.audience ?? options.to.replace(/[?#].*$/, ''),
    iat: now,
    nbf: now - 300,
    exp: now + 300,
  };
  const body = { [options.legacy ? 'subject' : 'sub_id']: subjectIdentifier(options) };

  if (made) console.log(`Made a key and kept it in ${options.key}.`);
  if (made || options.dryRun) {
    console.log(
      `The public key, for \`keys: { jwks: … }\` of the trust:\n  ${JSON.stringify({ keys: [publicJwk(privateJwk)] })}\n`,
    );
  }
  console.log(`POST ${options.to}`);
  console.log('Content-Type: application/json');
  console.log(`Authorization: Bearer <JWT>\n  header ${JSON.stringify(header)}\n  claims ${JSON.stringify(claims)}`);
  console.log(`\n${JSON.stringify(body)}\n`);
  if (options.dryRun) return;

  const key = await importJWK(privateJwk, header.alg);
  const jwt = await new SignJWT(claims).setProtectedHeader(header).sign(key);
  const answer = await post(options.to, jwt, JSON.stringify(body));
  console.log(`${answer.status}${answer.body ? `\n${answer.body}` : ''}\n`);
  console.log(MEANINGS[answer.status] ?? 'The draft gives this status no meaning.');
  if (answer.status !== 204) process.exitCode = 1;
}

async function post(url: string, jwt: string, body: string) {
  // Whoever runs this command has named the address, so every network is allowed.
  const outbound = createOutbound({ allowNetworks: ['0.0.0.0/0', '::/0'] });
  const started = performance.now();
  try {
    const headers = { 'content-type': 'application/json', authorization: `Bearer ${jwt}` };
    const answer = await outbound.send(url, { method: 'POST', headers, body });
    console.log(`Answered in ${Math.round(performance.now() - started)} ms:`);
    return answer;
  } catch (error) {
    if (error instanceof OutboundError) throw new CommandError(`No answer: ${error.message}.`);
    throw error;
  } finally {
    await outbound.close();
  }
}

function subjectIdentifier({ email, sub, subject, issuer }: SendOptions): unknown {
  if ([email, sub, subject].filter((one) => one !== undefined).length !== 1) {
    throw new CommandError('Say whom to log out with one of --email, --sub or --subject.');
  }
  if (email !== undefined) return { format: 'email', email };
  if (sub !== undefined) return { format: 'iss_sub', iss: issuer, sub };
  try {
    return JSON.parse(subject as string);
  } catch {
    throw new CommandError('--subject is not JSON.');
  }
}

async function readOrMakeKey(file: string): Promise<{ privateJwk: JWK; made: boolean }> {
  if (!existsSync(file)) {
    const { privateKey } = await generateKeyPair('RS256', { extractable: true });
    const privateJwk = await withKid(await exportJWK(privateKey));
    writeFileSync(file, `${JSON.stringify(privateJwk)}\n`, { mode: 0o600 });
    return { privateJwk, made: true };
  }
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (cause) {
    const { code } = cause as { code?: string };
    throw new CommandError(`${file} cannot be read (${code}): name a file with a private key by --key.`, { cause });
  }
  try {
    const pem = text.includes('-----BEGIN');
    const jwk = (pem ? createPrivateKey(text).export({ format: 'jwk' }) : JSON.parse(text)) as JWK;
    // Throws where the key is not a private one.
    createPrivateKey({ key: jwk as never, format: 'jwk' });
    return { privateJwk: await withKid(jwk), made: false };
  } catch (error) {
    throw new CommandError(`${file} is not a private key as JWK or PEM (PKCS 8).`, { cause: error });
  }
}

async function withKid(jwk: JWK): Promise<JWK> {
  return { ...jwk, kid: jwk.kid ?? (await calculateJwkThumbprint(jwk)) };
}

function publicJwk(jwk: JWK): JWK {
  const bare = createPublicKey({ key: jwk as never, format: 'jwk' }).export({ format: 'jwk' }) as JWK;
  return { ...bare, kid: jwk.kid as string, alg: algorithmOf(jwk), use: 'sig' };
}

function algorithmOf(jwk: JWK): string {
  if (jwk.alg) return jwk.alg;
  if (jwk.kty === 'RSA') return 'RS256';
  const algorithm = { 'P-256': 'ES256', 'P-384': 'ES384', 'P-521': 'ES512' }[jwk.crv ?? ''];
  if (!algorithm) throw new CommandError('The key is neither RSA nor EC on P-256, P-384 or P-521.');
  return algorithm;
}
