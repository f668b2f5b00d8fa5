/** Tells an app of one's own by a signed webhook (Standard Webhooks). */
import { Webhook } from 'standardwebhooks';
import { z } from 'zod';
import type { Call, Connector, Outcome } from './connector.js';
import { request } from './request.js';

const secret = z
  .string()
  .regex(
    /^(whsec_)?[A-Za-z0-9+/]{32,}={0,2}$/,
    'is not a Standard Webhooks secret: whsec_ and at least 24 bytes in base64',
  );

const options = z.strictObject({
  url: z.url().describe('Where the webhook is sent.'),
  secret: secret.describe('Signs the message: `whsec_…`, 24 to 64 random bytes in base64.'),
  previousSecret: secret.optional().describe('Signs beside `secret` while an app is moved to a new one.'),
});

export const webhook: Connector<z.output<typeof options>> = {
  name: 'webhook',
  options,
  docs: `Sends \`revocation.requested\` to an app that ends the account's sessions and tokens itself.
A 2xx answer means done; 202 means that the app will see to it.
Source: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md`,

  async revoke(account, { url, secret, previousSecret }, call) {
    const body = message(account, call);
    const timestamp = call.now();
    const signatures = [secret, previousSecret].flatMap((one) =>
      one === undefined ? [] : new Webhook(one).sign(call.idempotencyKey, timestamp, body),
    );
    const headers = {
      'content-type': 'application/json',
      'webhook-id': call.idempotencyKey,
      'webhook-timestamp': String(Math.floor(timestamp.getTime() / 1000)),
      'webhook-signature': signatures.join(' '),
    };
    const response = await request('webhook: POST to the app', url, { method: 'POST', headers, body }, call);
    return outcome(response.status, call);
  },

  async check() {
    return { ok: true, detail: 'nothing to ask: a webhook has no call that changes nothing' };
  },
};

function message(account: string, call: Call): string {
  const { revocationId, tenant, app, mode } = call;
  return JSON.stringify({
    type: 'revocation.requested',
    timestamp: call.now().toISOString(),
    data: { revocationId, tenant, app, account, mode },
  });
}

function outcome(status: number, call: Call): Outcome {
  return {
    state: status === 202 ? 'accepted' : 'revoked',
    what: call.mode === 'full' ? ['sessions', 'refresh_tokens'] : ['refresh_tokens'],
  };
}
