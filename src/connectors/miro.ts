/** Ends all sessions of a member of a Miro organization. */
import { z } from 'zod';
import { email, isSame } from './account.js';
import { bearer, createApi, path } from './api.js';
import { apiUrl, type CheckCall, ConnectorError, defineConnector, secret } from './connector.js';
import { withUserId } from './look-up.js';
import { notForThisUser, saying } from './request.js';

const options = z.strictObject({
  token: secret().describe('The access token that a Company Admin got for an app whose tokens do not expire.'),
  url: apiUrl.default('https://api.miro.com').describe('Where the API is.'),
});
type Options = z.output<typeof options>;

const tokenInfo = z.object({
  organization: z.object({ id: z.string() }),
  user: z.object({ id: z.string() }),
  scopes: z.array(z.string()).nullish(),
});
const members = z.array(z.object({ id: z.string(), email: z.string() }));

const NEEDED = ['sessions:delete', 'organizations:read'];

export const miro = defineConnector({
  name: 'miro',
  options,
  account: email,
  modes: ['full'],
  docs: {
    app: 'Miro',
    coverage: 'partial',
    does: 'Asks whose token it holds (`GET /v1/oauth-token`), finds the member of that organization by e-mail address, which it compares itself, and resets all sessions of the address on all devices (`POST /v2/sessions/reset_all`). The admin who owns the token is never signed out.',
    ends: ['sessions'],
    livesOn: 'Tokens of apps that the user has authorized: no page says that they end.',
    lingers: 'No page says how long a client takes to notice.',
    permission: 'The scopes `sessions:delete` and `organizations:read` of a Company Admin; an Enterprise plan.',
    credential: [
      'As a Company Admin make an app in the developer settings of Miro, without expiring access tokens.',
      'Give it the scopes `sessions:delete` and `organizations:read`, and no other.',
      'Install it in a team of the organization and copy the access token.',
    ],
    rateLimit:
      'Level 3 (500 credits) for the look-up and for the reset, of 100,000 credits a minute for user and app; 429 beyond, with the time since the epoch in `X-RateLimit-Reset`.',
    unknown: [
      'Whether tokens of apps that the user has authorized end too.',
      'Whether a reset of the sessions of an admin would end a token that the admin has made; so it is refused.',
    ],
    sources: [
      'https://developers.miro.com/reference/enterprise-post-user-sessions-reset',
      'https://developers.miro.com/reference/enterprise-get-organization-members',
      'https://developers.miro.com/reference/get-access-token-context',
      'https://developers.miro.com/reference/rate-limiting',
      'https://github.com/miroapp/api-clients/blob/main/packages/generator/spec.json',
    ],
  },

  async revoke(account, options, call) {
    const api = apiOf(options, call);

    async function find(): Promise<string[]> {
      const { organization, user, scopes } = await tokenInfoOf(options, call);
      // Asked here, since the 403 of the reset does not tell it from a user who may not be touched.
      if (scopes && missingOf(scopes).length > 0) throw new ConnectorError('auth', lacks(missingOf(scopes)));
      const query = { emails: account };
      const { data } = await api('GET', path`/v2/orgs/${organization.id}/members`, { query, answer: members });
      const ids = data.filter((member) => isSame(member.email, account)).map(({ id }) => id);
      if (!ids.includes(user.id)) return ids;
      throw new ConnectorError('refused', 'miro: not called, since the account is the one that the token belongs to');
    }

    return withUserId({ connector: 'miro', options, account }, find, async () => {
      await api('POST', path`/v2/sessions/reset_all`, {
        query: { email: account },
        exceptions: { 403: notForThisUser, 404: saying(/"type":\s*"error"/, 'not_found', 'refused') },
      });
      return {
        state: 'revoked',
        what: ['sessions'],
        partial: 'tokens of apps that the user has authorized may live on',
      };
    });
  },

  async check(options, call) {
    const { organization, scopes } = await tokenInfoOf(options, call);
    const missing = missingOf(scopes);
    if (missing.length > 0) return { ok: false, problem: lacks(missing) };
    const query = { limit: '1' };
    await apiOf(options, call)('GET', path`/v2/orgs/${organization.id}/members`, { query });
    return { ok: true, detail: 'the token has the scopes, and members of the organization can be read' };
  },
});

const missingOf = (scopes: z.output<typeof tokenInfo>['scopes']) => NEEDED.filter((scope) => !scopes?.includes(scope));

const lacks = (missing: readonly string[]) => `miro: the token lacks the scope ${missing.join(' and ')}`;

async function tokenInfoOf(options: Options, call: CheckCall) {
  // It says 400 of a token that it does not know.
  const exceptions = { 400: 'auth' } as const;
  const { data } = await apiOf(options, call)('GET', path`/v1/oauth-token`, { answer: tokenInfo, exceptions });
  return data;
}

function apiOf({ url, token }: Options, call: CheckCall) {
  const exceptions = { 404: 'refused', 410: 'refused' } as const;
  return createApi('miro', { url, authorize: bearer(token), exceptions }, call);
}
