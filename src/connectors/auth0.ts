/** Ends a person's sessions at Auth0 and revokes their refresh tokens, and asks until none is left. */
import { z } from 'zod';
import { email, isSame } from './account.js';
import { type Api, createApi, path } from './api.js';
import {
  apiUrl,
  type Call,
  type CheckCall,
  ConnectorError,
  defineConnector,
  NONE,
  type Outcome,
  type Pending,
  secret,
  unlessNotFound,
} from './connector.js';
import { withUserId } from './look-up.js';
import { clientSecretGrant, oauth } from './oauth.js';
import { saying } from './request.js';

const ASK_AGAIN_AFTER_MS = 3_000;
const PER_PAGE = 50;
const MAX_PAGES = 20;

const options = z.strictObject({
  url: apiUrl.describe('The domain of the tenant, such as https://acme.eu.auth0.com: no custom domain.'),
  clientId: z.string().min(1).describe('The client id of the Machine to Machine application.'),
  clientSecret: secret().describe('Its client secret.'),
  connection: z
    .string()
    .min(1)
    .optional()
    .describe('The connection whose users are meant. Without it, an address that several users have is refused.'),
});
type Options = z.output<typeof options>;

const users = z.array(
  z.object({
    user_id: z.string(),
    email: z.string().optional(),
    identities: z.array(z.object({ connection: z.string() })).optional(),
  }),
);
// Dates are described as text, or as an object of which nothing is said.
const items = z.array(z.object({ created_at: z.unknown().optional() }));
const sessions = z.object({ sessions: items, next: z.string().nullish() });
const tokens = z.object({ tokens: items, next: z.string().nullish() });

/** What is kept while Auth0 is at work. Without `before`, which earlier versions did not keep, all counts. */
const begun = z.object({ id: z.string(), tokensOnly: z.boolean(), before: z.number().optional() });
type Begun = z.output<typeof begun>;

export const auth0 = defineConnector({
  name: 'auth0',
  options,
  account: email,
  modes: ['full', 'refresh-only'],
  identityProvider: true,
  docs: {
    app: 'Auth0',
    coverage: 'partial',
    does: 'Finds the user by e-mail address, exactly and, where `connection` is set, in that connection; has all sessions and refresh tokens revoked (`POST /api/v2/users/{id}/revoke-access`), which Auth0 does later; and lists both until none is left from before; a sign-in since is left alone. Apps that take back-channel logout are told by Auth0. `refresh-only` revokes the refresh tokens alone.',
    ends: ['sessions', 'refresh_tokens'],
    livesOn: 'Access tokens, and sessions of apps that do not take back-channel logout.',
    lingers: 'As long as an access token lives: a day for an API unless it is set lower.',
    permission:
      'The scopes `read:users`, `read:sessions`, `delete:sessions`, `read:refresh_tokens` and `delete:refresh_tokens` of the Management API, on an Enterprise plan.',
    credential: [
      'In the Auth0 Dashboard choose Applications, Create Application, Machine to Machine Application.',
      'Authorize it for the Auth0 Management API with the scopes `read:users`, `read:sessions`, `delete:sessions`, `read:refresh_tokens` and `delete:refresh_tokens`, and no others.',
      'Copy its domain, client id and client secret.',
    ],
    rateLimit: 'Per tenant and plan; 429 with `x-ratelimit-reset` in seconds since the epoch.',
    unknown: [
      'What a plan without these calls answers: whatever it is, the check shows it.',
      'How long Auth0 takes until the lists are empty.',
      'Whether an address in other capitals than those of the identity provider is found: it is asked for as given and in lower case.',
    ],
    sources: [
      'https://auth0.com/docs/api/management/v2/users/user-revoke-access',
      'https://auth0.com/docs/api/management/v2/users-by-email/get-users-by-email',
      'https://auth0.com/docs/manage-users/sessions/manage-user-sessions-with-auth0-management-api',
      'https://auth0.com/docs/secure/tokens/manage-refresh-tokens-with-auth0-management-api',
      'https://auth0.com/docs/get-started/authentication-and-authorization-flow/client-credentials-flow',
      'https://auth0.com/docs/troubleshoot/customer-support/operational-policies/rate-limit-policy',
      'https://auth0.com/docs/secure/tokens/access-tokens/update-access-token-lifetime',
    ],
  },

  async revoke(account, options, call) {
    const api = apiOf(options, call);

    async function find(): Promise<string[]> {
      const found: z.output<typeof users> = [];
      // The search minds capitals. Auth0 stores its own users in lower case, and those of others as they say.
      for (const address of new Set([account, account.toLowerCase()])) {
        const { data } = await api('GET', path`/api/v2/users-by-email`, {
          query: { email: address, fields: 'user_id,email,identities', include_fields: 'true' },
          answer: users,
        });
        found.push(...data);
      }
      return found
        .filter((user) => isSame(user.email, account) && isOf(options.connection, user))
        .map((user) => user.user_id);
    }

    return withUserId({ connector: 'auth0', options, account }, find, async (id) => {
      const tokensOnly = call.mode === 'refresh-only';
      const { headers } = tokensOnly
        ? await api('DELETE', path`/api/v2/users/${id}/refresh-tokens`)
        : await api('POST', path`/api/v2/users/${id}/revoke-access`, { json: {} });
      return again({ id, tokensOnly, before: timeOf(headers, call) });
    });
  },

  async poll(poll, options, call) {
    const api = apiOf(options, call);
    const progress = begun.parse(poll);
    const isDone = await unlessNotFound(hasNothing(api, progress));
    if (isDone === undefined) return NONE;
    return isDone ? done(progress.tokensOnly) : again(progress);
  },

  async check(options, call) {
    const api = apiOf(options, call);
    const { data } = await api('GET', path`/api/v2/users`, {
      query: { per_page: '1', fields: 'user_id', include_fields: 'true' },
      answer: users,
    });
    const [someone] = data;
    if (!someone) return { ok: true, detail: 'users can be read, but there are none to prove the rest with' };
    const one = { query: { take: '1' } };
    await api('GET', path`/api/v2/users/${someone.user_id}/sessions`, { ...one, answer: sessions });
    await api('GET', path`/api/v2/users/${someone.user_id}/refresh-tokens`, { ...one, answer: tokens });
    return {
      ok: true,
      detail:
        'users, sessions and refresh tokens can be listed; whether they can be revoked shows at the first revocation',
    };
  },
});

const isOf = (connection: string | undefined, { identities = [] }: z.output<typeof users>[number]) =>
  connection === undefined || identities.some((identity) => identity.connection === connection);

/** By the clock of Auth0, as what is in its lists: the end of the second in which it has answered. */
function timeOf({ date = '' }: Record<string, string>, call: Call): number {
  const at = Date.parse(date);
  return Number.isNaN(at) ? call.now().getTime() : at + 999;
}

/** Whether all is gone that was there: the user may have signed in again since, which is nothing to wait for. */
async function hasNothing(api: Api, { id, tokensOnly, before = Number.POSITIVE_INFINITY }: Begun): Promise<boolean> {
  const ofSessions = async (query: PageQuery) => {
    const { data } = await api('GET', path`/api/v2/users/${id}/sessions`, { query, answer: sessions });
    return { items: data.sessions, next: data.next };
  };
  const ofTokens = async (query: PageQuery) => {
    const { data } = await api('GET', path`/api/v2/users/${id}/refresh-tokens`, { query, answer: tokens });
    return { items: data.tokens, next: data.next };
  };
  if (!tokensOnly && (await hasOlder(before, ofSessions))) return false;
  return !(await hasOlder(before, ofTokens));
}

type PageQuery = { take: string; from: string | undefined };
type Page = { items: z.output<typeof items>; next?: string | null | undefined };

async function hasOlder(before: number, list: (query: PageQuery) => Promise<Page>): Promise<boolean> {
  let from: string | undefined;
  for (let page = 0; page < MAX_PAGES; page += 1) {
    const { items, next } = await list({ take: `${PER_PAGE}`, from });
    // One without a date that can be read is taken for old.
    if (items.some(({ created_at }) => !(Date.parse(String(created_at)) > before))) return true;
    if (!next) return false;
    from = next;
  }
  throw new ConnectorError('server', `auth0: one of the lists of a user is longer than ${MAX_PAGES} pages`);
}

const again = (poll: Begun): Pending => ({ pending: { poll, afterMs: ASK_AGAIN_AFTER_MS } });

const done = (tokensOnly: boolean): Outcome => ({
  state: 'revoked',
  what: tokensOnly ? ['refresh_tokens'] : ['sessions', 'refresh_tokens'],
  partial: tokensOnly ? 'sessions and access tokens live on' : 'access tokens live on until they expire',
  verified: true,
});

function apiOf(options: Options, call: CheckCall) {
  const { clientId, clientSecret } = options;
  const url = options.url.replace(/\/+$/, '');
  const parameters = { audience: `${url}/api/v2/` };
  const authorize = oauth('auth0', options, () =>
    clientSecretGrant({ tokenUrl: `${url}/oauth/token`, clientId, clientSecret, secretIn: 'form', parameters }),
  );
  // A call that the tenant does not have is a 404 as well.
  const exceptions = { 404: saying(/"errorCode":\s*"inexistent_user"/, 'not_found', 'refused') };
  return createApi('auth0', { url, authorize, exceptions }, call);
}
