/** Tells an app of one's own by a signed webhook (Standard Webhooks). */
import { z } from 'zod';
import { signedHeaders, webhookSecret } from '../outbound/signed-headers.js';
import { anyName } from './account.js';
import { appUrl, type Call, defineConnector, type Outcome, secret } from './connector.js';
import { request } from './request.js';

const options = z.strictObject({
  url: appUrl.describe('Where the webhook is sent.'),
  secret: secret(webhookSecret).describe('Signs the message: `whsec_…`, 24 to 64 random bytes in base64.'),
  previousSecret: secret(webhookSecret)
    .optional()
    .describe('Signs beside `secret` while an app is moved to a new one.'),
});

export const webhook = defineConnector({
  name: 'webhook',
  options,
  account: anyName,
  modes: ['full', 'refresh-only'],
  docs: {
    app: 'An app of your own',
    coverage: 'full',
    does: "Sends `revocation.requested` to an app that ends the account's sessions and tokens itself. A 2xx answer means done; 202 means that the app will see to it.",
    ends: ['sessions', 'refresh_tokens'],
    livesOn: 'What the app does not end, such as access tokens that nobody can take back.',
    lingers: 'As long as the app lets it.',
    permission: 'None: the message is signed with a secret that both know.',
    credential: [
      'Make a secret: `echo "whsec_$(openssl rand -base64 24)"`.',
      'Give it to the app, and to the gateway by the environment.',
    ],
    rateLimit: 'Whatever the app answers 429 to.',
    sources: ['https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md'],
  },

  async revoke(account, { url, secret, previousSecret }, call) {
    const timestamp = call.now();
    const body = message(account, call, timestamp);
    const secrets = previousSecret === undefined ? [secret()] : [secret(), previousSecret()];
    const headers = signedHeaders(secrets, call.idempotencyKey, timestamp, body);
    const response = await request('webhook: POST to the app', url, { method: 'POST', headers, body }, call);
    return outcome(response.status, call);
  },

  async check() {
    return { ok: true, unasked: true, detail: 'nothing to ask: a webhook has no call that changes nothing' };
  },
});

function message(account: string, call: Call, timestamp: Date): string {
  const { revocationId, tenant, app, mode } = call;
  return JSON.stringify({
    type: 'revocation.requested',
    timestamp: timestamp.toISOString(),
    data: { revocationId, tenant, app, account, mode },
  });
}

function outcome(status: number, call: Call): Outcome {
  return {
    state: status === 202 ? 'accepted' : 'revoked',
    what: call.mode === 'full' ? ['sessions', 'refresh_tokens'] : ['refresh_tokens'],
  };
}
