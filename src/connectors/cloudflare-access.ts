/** Ends a person's sessions at Cloudflare Access. */
import { z } from 'zod';
import { email } from './account.js';
import { type ApiOptions, bearer, createApi, path } from './api.js';
import { apiUrl, type CheckCall, defineConnector, secret } from './connector.js';
import { saying } from './request.js';

const options = z.strictObject({
  accountId: z
    .string()
    .regex(/^[0-9a-f]{32}$/, 'is not an account id, which is 32 hexadecimal digits')
    .describe('The id of the Cloudflare account.'),
  apiToken: secret().describe('The API token.'),
  devices: z
    .boolean()
    .default(false)
    .describe('Also revokes every device of the user: each has to be enrolled in the Cloudflare client anew.'),
  clientSessions: z
    .boolean()
    .default(false)
    .describe('Also has the user sign in to the Cloudflare client (WARP) again, where a policy limits its session.'),
  url: apiUrl.default('https://api.cloudflare.com/client/v4').describe('The API.'),
});
type Options = z.output<typeof options>;

const revoked = z.object({ result: z.boolean() });

export const cloudflareAccess = defineConnector({
  name: 'cloudflare-access',
  options,
  account: email,
  modes: ['full'],
  docs: {
    app: 'Cloudflare Access',
    coverage: 'partial',
    does: 'Revokes the access of the user across all applications (`POST /accounts/{account_id}/access/organizations/revoke_user`). The account is the e-mail address. Both `success` and `result` of the answer have to be true.',
    ends: ['sessions'],
    livesOn:
      'Sessions that an application keeps by itself once Access has let the user in, devices, and the session of the Cloudflare client, unless `devices` or `clientSessions` asks for these.',
    lingers:
      'No page says how soon every location of Cloudflare knows; an application that checks Access tokens by itself takes them until they expire.',
    permission: 'Account, Access: Organizations, Identity Providers, and Groups, Edit (“Write” in the API).',
    credential: [
      'In the dashboard open Manage account, Account API tokens, and create a custom token.',
      'Give it the permission Account, Access: Organizations, Identity Providers, and Groups, Edit, for this account only.',
      'Copy the token, and the account id from the overview of the account.',
    ],
    rateLimit:
      '1,200 requests in five minutes for a user or an account token, over all of its tokens; 429 with `Retry-After` beyond.',
    unknown: [
      'What is answered for an e-mail address that Access does not know.',
      'Whether `devices` needs another permission.',
      'Whether the narrower permission Access: Organizations Revoke suffices: the page of the call does not list it, and reading the organization, by which the connector is checked, may need more.',
    ],
    sources: [
      'https://developers.cloudflare.com/api/resources/zero_trust/subresources/organizations/methods/revoke_users/',
      'https://developers.cloudflare.com/api/resources/zero_trust/subresources/organizations/methods/list/',
      'https://developers.cloudflare.com/fundamentals/api/reference/limits/',
      'https://developers.cloudflare.com/changelog/post/2026-01-22-granular-api-token-permissions/',
    ],
  },

  async revoke(account, options, call) {
    const { accountId, devices, clientSessions } = options;
    const json = {
      email: account,
      ...(devices && { devices: true }),
      ...(clientSessions && { warp_session_reauth: true }),
    };
    await apiOf(options, call)('POST', path`/accounts/${accountId}/access/organizations/revoke_user`, {
      json,
      answer: revoked,
    });
    const left = [!devices && 'devices', !clientSessions && 'the session of the Cloudflare client'].filter(Boolean);
    return {
      state: 'revoked',
      what: ['sessions'],
      partial: [...left, 'sessions that applications keep by themselves'].join(', ').concat(' live on'),
    };
  },

  async check(options, call) {
    await apiOf(options, call)('GET', path`/accounts/${options.accountId}/access/organizations`, {
      answer: z.object({ result: z.object({}) }),
    });
    return {
      ok: true,
      detail: 'the organization can be read; whether the token may also write shows at the first revocation',
    };
  },
});

// https://developers.cloudflare.com/fundamentals/api/troubleshooting/
const AUTH_CODES = [6003, 9109, 10000];

const envelope = z.object({
  success: z.boolean(),
  errors: z.array(z.object({ code: z.number() })).nullish(),
  result: z.unknown(),
});

const refusal: NonNullable<ApiOptions['refusal']> = (body) => {
  const { data } = envelope.safeParse(body);
  if (!data) return undefined;
  if (!data.success) {
    const isAuth = data.errors?.some(({ code }) => AUTH_CODES.includes(code));
    return isAuth
      ? { reason: 'auth', word: 'success is false: the token is refused' }
      : { reason: 'refused', word: 'success is false' };
  }
  return data.result === false ? { reason: 'refused', word: 'the result is false' } : undefined;
};

function apiOf({ url, apiToken }: Options, call: CheckCall) {
  const exceptions = {
    400: saying(/"code":\s*(6003|9109|10000)\b/, 'auth', 'refused'),
    // Of the user or of the account: no page says which.
    404: 'refused',
    410: 'refused',
  } as const;
  return createApi('cloudflare-access', { url, authorize: bearer(apiToken), exceptions, refusal }, call);
}
