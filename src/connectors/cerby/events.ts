/** What Cerby sends by its webhooks: verified by the workspace's keys, then read for ids, types and times alone. */
import { createHmac, createPublicKey, type KeyObject, timingSafeEqual, verify } from 'node:crypto';
import { z } from 'zod';
import { ConnectorError, type Evidence, type Message } from '../connector.js';

const SKEW_MS = 5 * 60_000;
// Two while a key is changed.
const SIGNATURES = 4;

/** Of the rest nothing is of use here: https://help.cerby.com/developer-tools/cerby-webhooks/implement-a-webhook-receiver */
const TYPES = [
  ...['account.credentials.rotated', 'account.credentials.rotation_failed', 'automation.password.rotated'],
  ...['automation.universal_logout.completed', 'automation.users.deprovisioned'],
  ...['automation.succeeded', 'automation.failed'],
];

const id = z.string().regex(/^[\w-]{1,100}$/);
const event = z.object({
  event_id: id,
  event_type: z.string(),
  occurred_at: z.iso.datetime({ offset: true }),
  // What else is in it may name a person: it is not read.
  data: z.object({ account_id: id.nullish(), automation_job_id: id.nullish() }),
  // Only there where something failed.
  error: z.unknown().optional(),
});

type Algorithm = 'ed25519' | 'hmac-sha256';
type Key = { algorithm: 'ed25519'; key: KeyObject } | { algorithm: 'hmac-sha256'; secret: string };

/** `ed25519=` and a public key (PEM, or base64 of its 32 bytes or of its DER), or `hmac-sha256=` and a secret. */
export function parseKey(text: string): Key {
  const [, algorithm, value = ''] = /^(ed25519|hmac-sha256)=(.+)$/s.exec(text.trim()) ?? [];
  if (algorithm === 'hmac-sha256' && value.length >= 16) return { algorithm, secret: value };
  if (algorithm !== 'ed25519') throw new TypeError('is neither ed25519=… nor hmac-sha256=…');
  const key = publicKeyOf(value);
  if (key.asymmetricKeyType !== 'ed25519') throw new TypeError('is a key of another kind');
  return { algorithm, key };
}

function publicKeyOf(text: string): KeyObject {
  if (text.includes('-----BEGIN')) return createPublicKey(text);
  const bytes = Buffer.from(text, 'base64');
  if (bytes.length !== 32) return createPublicKey({ key: bytes, format: 'der', type: 'spki' });
  return createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x: bytes.toString('base64url') }, format: 'jwk' });
}

export function readEvent({ headers, body }: Message, keys: readonly string[], now: Date): Evidence[] {
  if (!isGenuine({ headers, body }, keys.map(parseKey), now)) {
    throw new ConnectorError('auth', 'cerby: an event has no good signature');
  }
  const { data } = event.safeParse(jsonOf(body));
  if (!data) throw new ConnectorError('refused', 'cerby: an event has another form than documented');
  const { event_id: eventId, event_type: type, occurred_at, error, data: about } = data;
  if (!TYPES.includes(type)) return [];
  const ok = error === undefined && !type.endsWith('failed');
  const ids = [about.account_id, about.automation_job_id].filter((one) => typeof one === 'string');
  return ids.map((one) => ({ about: one, type, at: Date.parse(occurred_at), ok, eventId }));
}

/** Whether one of the signatures is by one of the keys, and of now. */
function isGenuine({ headers, body }: Message, keys: readonly Key[], now: Date): boolean {
  const [timestamp = '', ...others] = valuesOf(headers, 'x-cerby-signature-timestamp');
  const isNow = Math.abs(Date.parse(timestamp) - now.getTime()) <= SKEW_MS;
  if (!isNow || others.length > 0) return false;
  const signed = Buffer.concat([Buffer.from(`${timestamp}.`), body]);
  return valuesOf(headers, 'x-cerby-signature')
    .slice(0, SIGNATURES)
    .some((text) => {
      const at = text.indexOf('=');
      const [algorithm, signature] = [text.slice(0, at) as Algorithm, Buffer.from(text.slice(at + 1), 'base64url')];
      return keys.some((key) => key.algorithm === algorithm && isSignedBy(key, signed, signature));
    });
}

function isSignedBy(key: Key, signed: Buffer, signature: Buffer): boolean {
  if (key.algorithm === 'ed25519') return verify(null, signed, key.key, signature);
  const expected = createHmac('sha256', key.secret).update(signed).digest();
  return signature.length === expected.length && timingSafeEqual(signature, expected);
}

/** Of all headers of this name, in order; also where something on the way has joined them. */
function valuesOf(headers: readonly string[], name: string): string[] {
  return headers.flatMap((one, index) =>
    index % 2 === 0 && one.toLowerCase() === name
      ? (headers[index + 1] ?? '').split(',').map((part) => part.trim())
      : [],
  );
}

function jsonOf(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString('utf8'));
  } catch {
    return undefined;
  }
}
