/** Ends a person's sessions at Zendesk, and revokes the OAuth tokens that act as the person. */
import { z } from 'zod';
import { email, isSame } from './account.js';
import { type Api, basic, bearer, createApi, path } from './api.js';
import { appUrl, type CheckCall, ConnectorError, defineConnector, NONE, secret, type What } from './connector.js';
import { withUserId } from './look-up.js';
import { saying } from './request.js';
import { endAll, expectNone } from './rounds.js';

const options = z
  .strictObject({
    url: appUrl.describe('The Zendesk account, such as https://acme.zendesk.com.'),
    email: z.email().optional().describe('The e-mail address of the admin in whose name the API token is used.'),
    apiToken: secret().optional().describe('An API token.'),
    oauthToken: secret().optional().describe('An OAuth access token of an admin, instead of address and API token.'),
  })
  .refine(
    ({ email, apiToken, oauthToken }) =>
      oauthToken ? !email && !apiToken : email !== undefined && apiToken !== undefined,
    'takes either email and apiToken, or oauthToken',
  );
type Options = z.output<typeof options>;

const MAX_PAGES = 20;
// The list of tokens is that of the whole account.
const MAX_TOKEN_PAGES = 100;

const me = z.object({ user: z.object({ id: z.number().nullable(), role: z.string().nullish() }) });
const users = z.object({
  users: z.array(z.object({ id: z.number(), email: z.string().nullish() })),
  next_page: z.string().nullish(),
});
const sessions = z.object({ sessions: z.array(z.object({ user_id: z.number() })) });
const tokens = z.object({
  tokens: z.array(z.object({ id: z.number(), user_id: z.number().nullish() })),
  meta: z.object({ has_more: z.boolean(), after_cursor: z.string().nullish() }),
});

export const zendesk = defineConnector({
  name: 'zendesk',
  options,
  account: email,
  modes: ['full', 'refresh-only'],
  docs: {
    app: 'Zendesk',
    coverage: 'full',
    does: 'Finds the user by the primary e-mail address, exactly; deletes all sessions (`DELETE /api/v2/users/{user_id}/sessions`), after which their list has to be empty; then lists the OAuth tokens of the account and deletes those of this user (`DELETE /api/v2/oauth/tokens/{id}`) until none is left. `refresh-only` does the tokens alone. It never acts on the admin whose token it has.',
    ends: ['sessions', 'refresh_tokens', 'access_tokens'],
    livesOn: 'API tokens, which are of the account and of nobody: delete them where the person knew one.',
    lingers: 'Nothing that a page speaks of.',
    permission: 'An admin: Zendesk shows the sessions and tokens of others to nobody else.',
    credential: [
      'Make an admin for the gateway alone, who is nobody whom it may have to log out.',
      'Use an API token that the account has already, with the address of that admin. Since 27 October 2026 Zendesk lets nobody make a new one; it deactivates one that goes unused for 30 days, and all of them on 30 April 2027.',
      'Or register an OAuth client in Admin Center under Apps and integrations, APIs, OAuth clients, and get an access token as that admin; the gateway does not renew it, so that it has to be replaced before it expires.',
    ],
    rateLimit: 'By plan, a minute, counted for the whole account; 429 with `Retry-After` beyond.',
    unknown: [
      'How soon the search finds a user who has just been added: its index lags by minutes.',
      'Whether the token endpoint takes client credentials as a form too: it is described with JSON only, and there is no option for them.',
    ],
    sources: [
      'https://developer.zendesk.com/api-reference/ticketing/account-configuration/sessions/',
      'https://developer.zendesk.com/api-reference/ticketing/oauth/oauth_tokens/',
      'https://developer.zendesk.com/api-reference/ticketing/users/users/#search-users',
      'https://developer.zendesk.com/api-reference/introduction/rate-limits/',
      'https://developer.zendesk.com/documentation/api-basics/authentication/oauth-migration/',
      'https://developer.zendesk.com/api-reference/ticketing/oauth/grant_type_tokens/',
    ],
  },

  async revoke(account, options, call) {
    const api = apiOf(options, call);
    const own = await admin(api);
    return withUserId(
      { connector: 'zendesk', options, account },
      () => find(account, api),
      async (id) => {
        if (id === own) {
          throw new ConnectorError(
            'refused',
            'zendesk: not called, since it is the account that the connector acts as',
          );
        }
        const what: What[] = ['refresh_tokens', 'access_tokens'];
        if (call.mode === 'full') {
          await api('DELETE', path`/api/v2/users/${id}/sessions`);
          what.unshift('sessions');
          const { data } = await api('GET', path`/api/v2/users/${id}/sessions`, { answer: sessions });
          expectNone('zendesk: GET of the sessions after their deletion', data.sessions);
        }
        const ended = await endAll(
          'zendesk: DELETE of the tokens',
          () => tokensOf(id, api),
          (token) => api('DELETE', path`/api/v2/oauth/tokens/${token}`),
        );
        if (call.mode !== 'full' && ended === 0) return NONE;
        return { state: 'revoked', what, verified: true };
      },
    );
  },

  async check(options, call) {
    const api = apiOf(options, call);
    await admin(api);
    await api('GET', path`/api/v2/oauth/tokens`, { query: { all: 'true', 'page[size]': '1' }, answer: tokens });
    return {
      ok: true,
      detail:
        'the credential is that of an admin, and tokens can be listed; whether it may also delete shows at the first revocation',
    };
  },
});

/** Who asks, for whom the lists would be all about themselves if it were no admin, and who is nobody if anonymous. */
async function admin(api: Api): Promise<string> {
  const { data } = await api('GET', path`/api/v2/users/me`, { answer: me });
  const { id, role } = data.user;
  if (id === null || role !== 'admin')
    throw new ConnectorError('auth', 'zendesk: the credential is not that of an admin');
  return `${id}`;
}

async function find(account: string, api: Api): Promise<string[]> {
  const ids: string[] = [];
  for (let page = 1; page <= MAX_PAGES; page += 1) {
    const query = { query: `email:${account}`, per_page: '100', page: `${page}` };
    const { data } = await api('GET', path`/api/v2/users/search`, { query, answer: users });
    ids.push(...data.users.filter((user) => isSame(user.email, account)).map(({ id }) => `${id}`));
    if (!data.next_page) return ids;
  }
  throw new ConnectorError('refused', `zendesk: the search finds more than ${MAX_PAGES} pages of users`);
}

async function tokensOf(id: string, api: Api): Promise<string[]> {
  const ids: string[] = [];
  let after: string | undefined;
  for (let page = 1; page <= MAX_TOKEN_PAGES; page += 1) {
    const query = { all: 'true', 'page[size]': '100', 'page[after]': after };
    const { data } = await api('GET', path`/api/v2/oauth/tokens`, { query, answer: tokens });
    ids.push(...data.tokens.filter(({ user_id }) => `${user_id}` === id).map((token) => `${token.id}`));
    if (!data.meta.has_more || !data.meta.after_cursor) return ids;
    after = data.meta.after_cursor;
  }
  throw new ConnectorError('refused', `zendesk: the account has more than ${MAX_TOKEN_PAGES} pages of OAuth tokens`);
}

function apiOf({ url, email, apiToken, oauthToken }: Options, call: CheckCall) {
  const authorize = oauthToken ? bearer(oauthToken) : basic(`${email}/token`, apiToken as NonNullable<typeof apiToken>);
  const exceptions = { 404: saying(/"RecordNotFound"/, 'not_found', 'refused') };
  return createApi('zendesk', { url, authorize, exceptions }, call);
}
