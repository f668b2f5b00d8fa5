/** Ends a person's sessions at Zendesk, and revokes the OAuth tokens that act as the person. */
import { z } from 'zod';
import { email, isSame } from './account.js';
import { type Api, type Authorize, basic, bearer, createApi, path } from './api.js';
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
} from './connector.js';
import { withUserId } from './look-up.js';
import { clientSecretGrant, oauth } from './oauth.js';
import { saying } from './request.js';
import { endEach, expectNone } from './rounds.js';

const WAYS = [['clientId', 'clientSecret'], ['email', 'apiToken'], ['oauthToken']] as const;

const options = z
  .strictObject({
    url: apiUrl.describe('The Zendesk account, such as https://acme.zendesk.com.'),
    clientId: z.string().min(1).optional().describe('The identifier of an OAuth client that an admin has made.'),
    clientSecret: secret().optional().describe('Its secret.'),
    scope: z
      .string()
      .min(1)
      .default('read write')
      .describe('The scopes to ask for with the OAuth client, with spaces between them.'),
    email: z.email().optional().describe('The e-mail address of the admin in whose name the API token is used.'),
    apiToken: secret()
      .optional()
      .describe('An API token, instead of the OAuth client; none works after 30 April 2027.'),
    oauthToken: secret()
      .optional()
      .describe('An OAuth access token of an admin, instead of the OAuth client; it has to be replaced as it expires.'),
  })
  .refine((options) => {
    const begun = WAYS.filter((way) => way.some((name) => options[name] !== undefined));
    return begun.length === 1 && begun[0]?.every((name) => options[name] !== undefined);
  }, 'takes exactly one of: clientId and clientSecret; email and apiToken; oauthToken');
type Options = z.output<typeof options>;

const MAX_PAGES = 20;
// The list of tokens is that of the whole account: an attempt reads as much of it as fits into its deadline with ease.
const MAX_TOKEN_PAGES = 1_000;
const TOKEN_PAGES_AT_ONCE = 10;
const PASSES_AT_ONCE = 3;
const GO_ON_AFTER_MS = 2_000;

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

/** What is kept once the sessions have ended, so that no retry signs the person out again or starts the list over. */
const begun = z.object({
  id: z.string(),
  /** Whether the sessions have been ended. */
  sessions: z.boolean(),
  /** Where this pass through all tokens is. */
  page: z.int(),
  after: z.string().optional(),
  /** Whether this pass has found a token, and whether any has. */
  found: z.boolean(),
  ended: z.boolean(),
  /** The attempt that has kept this. */
  attempt: z.int(),
});
type Begun = z.output<typeof begun>;

export const zendesk = defineConnector({
  name: 'zendesk',
  options,
  account: email,
  modes: ['full', 'refresh-only'],
  beginsOnce: true,
  docs: {
    app: 'Zendesk',
    coverage: 'full',
    does: 'Finds the user by the primary e-mail address, exactly; deletes all sessions (`DELETE /api/v2/users/{user_id}/sessions`), after which their list has to be empty; then reads the OAuth tokens of the account, a thousand in an attempt, and deletes those of this user (`DELETE /api/v2/oauth/tokens/{id}`) until it has read all and found none. A retry goes on where it was, and signs nobody out again. `refresh-only` does the tokens alone. It never acts on the admin whose token it has.',
    ends: ['sessions', 'refresh_tokens', 'access_tokens'],
    livesOn: 'API tokens, which are of the account and of nobody: delete them where the person knew one.',
    lingers: 'Nothing that a page speaks of.',
    permission:
      'An admin: Zendesk shows the sessions and tokens of others to nobody else; of an OAuth client the scopes `read` and `write`.',
    credential: [
      'Make an admin for the gateway alone, who is nobody whom it may have to log out, and sign in as that admin: a client acts as whoever has made it.',
      'In Admin Center under Apps and integrations, APIs, OAuth clients make a confidential client for this alone, with nothing but `read` and `write` among its allowed scopes; make a new one, for since 30 April 2026 the tokens of new clients expire.',
      'Copy its identifier (`clientId`) and its secret (`clientSecret`), which is shown once. The gateway asks for tokens with them, and for new ones as they expire.',
      'An API token that the account has already (`email` and `apiToken`) serves until it has gone unused for 30 days, or until 30 April 2027, when Zendesk deactivates all; since 27 October 2026 nobody can make a new one.',
    ],
    rateLimit: 'By plan, a minute, counted for the whole account; 429 with `Retry-After` beyond.',
    unknown: [
      'How soon the search finds a user who has just been added: its index lags by minutes.',
      'Whether narrower scopes than `read` and `write` suffice: the reference has scopes for users, but names none for sessions or OAuth tokens; finer ones came in August 2026, and `scope` asks for them.',
    ],
    sources: [
      'https://developer.zendesk.com/api-reference/ticketing/account-configuration/sessions/',
      'https://developer.zendesk.com/api-reference/ticketing/oauth/oauth_tokens/',
      'https://developer.zendesk.com/api-reference/ticketing/users/users/#search-users',
      'https://developer.zendesk.com/api-reference/introduction/rate-limits/',
      'https://developer.zendesk.com/documentation/api-basics/authentication/oauth-migration/',
      'https://developer.zendesk.com/documentation/api-basics/authentication/api-tokens-to-oauth/',
      'https://developer.zendesk.com/api-reference/ticketing/oauth/grant_type_tokens/',
      'https://developer.zendesk.com/documentation/authentication/creating-and-using-oauth-tokens-with-the-api/',
      'https://support.zendesk.com/hc/en-us/articles/11093380955674-Announcing-more-granular-OAuth-client-scopes',
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
        const start = { id, page: 0, found: false };
        if (call.mode !== 'full') {
          return goOn({ ...start, sessions: false, ended: false, attempt: 0 }, api, call);
        }
        await api('DELETE', path`/api/v2/users/${id}/sessions`);
        const { data } = await api('GET', path`/api/v2/users/${id}/sessions`, { answer: sessions });
        expectNone('zendesk: GET of the sessions after their deletion', data.sessions);
        return later({ ...start, sessions: true, ended: false, attempt: call.attempt }, 0);
      },
    );
  },

  async poll(poll, options, call) {
    const api = apiOf(options, call);
    await admin(api);
    return goOn(begun.parse(poll), api, call);
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

/** Deletes the tokens of the user among a few pages of all; done once all have been read and none was found. */
async function goOn(before: Begun, api: Api, call: Call): Promise<Outcome | Pending> {
  const { id, sessions, attempt } = before;
  let { page, after, found, ended } = before;
  let passes = 0;
  // Of an attempt that broke off nobody knows what it had deleted.
  if (call.attempt > attempt + 1) found = ended = true;

  for (let read = 0; read < TOKEN_PAGES_AT_ONCE; read += 1) {
    const query = { all: 'true', 'page[size]': '100', 'page[after]': after };
    const { data } = await api('GET', path`/api/v2/oauth/tokens`, { query, answer: tokens });
    const own = data.tokens.filter(({ user_id }) => `${user_id}` === id);
    await endEach(own, (token) => api('DELETE', path`/api/v2/oauth/tokens/${`${token.id}`}`));
    if (own.length > 0) found = ended = true;
    if (data.meta.has_more && data.meta.after_cursor) {
      after = data.meta.after_cursor;
      page += 1;
      if (page < MAX_TOKEN_PAGES) continue;
      throw new ConnectorError(
        'refused',
        `zendesk: the account has more than ${MAX_TOKEN_PAGES} pages of OAuth tokens`,
      );
    }
    if (!found) return outcomeOf(sessions, ended);
    passes += 1;
    [page, after, found] = [0, undefined, false];
    if (passes < PASSES_AT_ONCE) continue;
    throw new ConnectorError('server', `zendesk: DELETE of the tokens: some are still there after ${passes} passes`);
  }
  return later({ id, sessions, page, after, found, ended, attempt: call.attempt }, GO_ON_AFTER_MS);
}

const later = (poll: Begun, afterMs: number): Pending => ({ pending: { poll, afterMs } });

function outcomeOf(sessions: boolean, ended: boolean): Outcome {
  if (!sessions && !ended) return NONE;
  return {
    state: 'revoked',
    what: [...(sessions ? ['sessions' as const] : []), 'refresh_tokens', 'access_tokens'],
    verified: true,
  };
}

function apiOf(options: Options, call: CheckCall) {
  const exceptions = { 404: saying(/"RecordNotFound"/, 'not_found', 'refused') };
  return createApi('zendesk', { url: options.url, authorize: authorize(options), exceptions }, call);
}

function authorize(options: Options): Authorize {
  const { url, clientId, clientSecret, scope, email, apiToken, oauthToken } = options;
  if (oauthToken) return bearer(oauthToken);
  if (apiToken) return basic(`${email}/token`, apiToken);
  if (clientId === undefined || !clientSecret) throw new Error('the schema lets no such options through');
  const tokenUrl = `${url.replace(/\/+$/, '')}/oauth/tokens`;
  // No form: https://developer.zendesk.com/api-reference/ticketing/oauth/grant_type_tokens/
  return oauth('zendesk', options, () =>
    clientSecretGrant({ tokenUrl, clientId, clientSecret, secretIn: 'json', parameters: { scope } }),
  );
}
