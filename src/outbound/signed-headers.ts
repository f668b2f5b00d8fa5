/** The headers of a signed webhook, as Standard Webhooks has them. */
import { createHmac } from 'node:crypto';
import { z } from 'zod';

/** What the signing library takes, and nobody guesses: 24 bytes or more in padded base64. */
export const webhookSecret = z
  .string()
  .regex(
    /^(whsec_)?(?:[A-Za-z0-9+/]{4}){8,}(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/,
    'is not a Standard Webhooks secret: whsec_ and at least 24 bytes in base64',
  );

/** One signature for each secret (`whsec_…`), over id, time and body. */
export function signedHeaders(
  secrets: readonly string[],
  id: string,
  timestamp: Date,
  body: string,
): Record<string, string> {
  const seconds = String(Math.floor(timestamp.getTime() / 1000));
  return {
    'content-type': 'application/json',
    'webhook-id': id,
    'webhook-timestamp': seconds,
    'webhook-signature': secrets.map((secret) => signatureOf(secret, `${id}.${seconds}.${body}`)).join(' '),
  };
}

// As the `standardwebhooks` package has it, whose HMAC is plain JavaScript and ten times as dear.
function signatureOf(secret: string, text: string): string {
  const key = Buffer.from(secret.replace(/^whsec_/, ''), 'base64');
  return `v1,${createHmac('sha256', key).update(text).digest('base64')}`;
}
