/** Signs a person out of PagerDuty, on the web and on phones. */
import { z } from 'zod';
import { email, isSame } from './account.js';
import { type Api, type Authorize, createApi, path } from './api.js';
import {
  apiUrl,
  appUrl,
  type CheckCall,
  ConnectorError,
  defineConnector,
  type Outcome,
  type Pending,
  secret,
} from './connector.js';
import { withUserId } from './look-up.js';
import { clientSecretGrant, oauth } from './oauth.js';
import { saying } from './request.js';
import { expectNone } from './rounds.js';

const options = z
  .strictObject({
    clientId: z.string().min(1).optional().describe('The client id of the app with Scoped OAuth.'),
    clientSecret: secret().optional().describe('Its client secret.'),
    subdomain: z
      .string()
      .regex(/^[a-z0-9-]+$/, 'is not the first label of the host name')
      .optional()
      .describe('The subdomain of the PagerDuty account, for whose tokens the app asks.'),
    region: z.enum(['us', 'eu']).default('us').describe('The service region of the PagerDuty account.'),
    apiKey: secret().optional().describe('A REST API key, instead of the app; it may do everything in the account.'),
    url: apiUrl.optional().describe('The API, where it is not that of the service region.'),
    tokenUrl: appUrl.default('https://identity.pagerduty.com/oauth/token').describe('Where the tokens come from.'),
  })
  .refine(({ clientId, clientSecret, subdomain, apiKey }) => {
    const ofTheApp = [clientId, clientSecret, subdomain].filter((given) => given !== undefined).length;
    return apiKey ? ofTheApp === 0 : ofTheApp === 3;
  }, 'takes either clientId, clientSecret and subdomain, or apiKey');
type Options = z.output<typeof options>;

// What the web and the phone apps live by; delegations to integrations stay.
const TYPES = 'web,mobile';
// The API counts no further than to 10,000.
const MAX_PAGES = 100;
const PER_PAGE = 100;
// What fits into the deadline of one attempt with ease.
const PAGES_AT_ONCE = 10;
const GO_ON_AFTER_MS = 1_000;

const users = z.object({ users: z.array(z.object({ id: z.string(), email: z.string() })), more: z.boolean() });
const delegations = z.object({
  oauth_delegations: z.array(z.object({})),
  more: z.boolean(),
  next_cursor: z.string().nullish(),
});

/** How far all users have been read, for one whom the search does not find. */
const reading = z.object({ account: z.string(), page: z.int(), ids: z.array(z.string()) });
type Reading = z.output<typeof reading>;

export const pagerduty = defineConnector({
  name: 'pagerduty',
  options,
  account: email,
  modes: ['full'],
  docs: {
    app: 'PagerDuty',
    coverage: 'partial',
    does: 'Finds the user by e-mail address, exactly: by `GET /users?query=…` and, where that finds nobody, among all users, of whom each attempt reads a thousand; `DELETE /oauth_delegations?user_id=…&type=web,mobile` signs the user out of the web app and the phone apps; then `GET /users/{id}/oauth_delegations` has to be empty.',
    ends: ['sessions', 'refresh_tokens', 'access_tokens'],
    livesOn:
      'What the user has allowed integrations to do, and REST API keys of the user; that of this connector too, so that it goes on working where its owner is signed out.',
    lingers: 'Nothing: PagerDuty has done it when it answers.',
    permission: 'The scopes `oauth_delegations.write`, `oauth_delegations.read` and `users.read`.',
    credential: [
      'As an admin open Integrations, App Registration, and register a new app with Scoped OAuth.',
      'Give it the scopes `oauth_delegations.write`, `oauth_delegations.read` and `users.read`, and no other.',
      'Copy its client id and secret, and note the subdomain and the service region of the account.',
    ],
    rateLimit:
      '960 requests a minute for an app in the account, for an account key, or for a user over all keys of that user; 429 beyond, with the seconds to wait in `ratelimit-reset`. No page speaks of `Retry-After`.',
    unknown: [
      'Whether `GET /users?query=` finds every address: it is described for names, so that all users are read where it finds nobody.',
    ],
    sources: [
      'https://developer.pagerduty.com/api-reference/ad1161db75db1-delete-all-o-auth-delegations',
      'https://developer.pagerduty.com/docs/oauth-functionality',
      'https://developer.pagerduty.com/docs/app-oauth-token',
      'https://support.pagerduty.com/main/docs/service-regions',
      'https://support.pagerduty.com/main/docs/rest-api-rate-limits',
      'https://github.com/PagerDuty/api-schema/blob/main/reference/REST/openapiv3.json',
    ],
  },

  async revoke(account, options, call) {
    const api = apiOf(options, call);
    let unread: Pending | undefined;
    async function find(): Promise<readonly string[]> {
      const { ids } = await usersFrom(0, account, api, account);
      if (ids.length > 0) return ids;
      const all = await readOn({ account, page: 0, ids: [] }, api);
      if ('ids' in all) return all.ids;
      unread = all;
      return [];
    }
    const outcome = await withUserId({ connector: 'pagerduty', options, account }, find, (id) => signOut(id, api));
    return unread ?? outcome;
  },

  async poll(poll, options, call) {
    const api = apiOf(options, call);
    const { account, ...rest } = reading.parse(poll);
    const all = await readOn({ account, ...rest }, api);
    if ('pending' in all) return all;
    return withUserId(
      { connector: 'pagerduty', options, account },
      async () => all.ids,
      (id) => signOut(id, api),
    );
  },

  async check(options, call) {
    const api = apiOf(options, call);
    const { data } = await api('GET', path`/users`, { query: { limit: '1', offset: '0' }, answer: users });
    const [user] = data.users;
    if (user) await api('GET', path`/users/${user.id}/oauth_delegations`, { query: ISSUED, answer: delegations });
    return {
      ok: true,
      detail: 'users and their delegations can be read; whether these can be deleted shows at the first revocation',
    };
  },
});

/** All users, as far as one attempt goes, from where the one before it stopped. */
async function readOn({ account, page, ids }: Reading, api: Api): Promise<{ ids: string[] } | Pending> {
  const read = await usersFrom(page, account, api);
  const all = [...ids, ...read.ids];
  if (read.next === undefined) return { ids: all };
  if (read.next < MAX_PAGES) {
    const poll: Reading = { account, page: read.next, ids: all };
    return { pending: { poll, afterMs: GO_ON_AFTER_MS } };
  }
  throw new ConnectorError('refused', `pagerduty: more users than the ${MAX_PAGES * PER_PAGE} that its API lists`);
}

/** Of a few pages the users with this address, and where to go on. */
async function usersFrom(first: number, account: string, api: Api, search?: string) {
  const ids: string[] = [];
  for (let page = first; page < first + PAGES_AT_ONCE; page += 1) {
    const query = { query: search, limit: `${PER_PAGE}`, offset: `${page * PER_PAGE}` };
    const { data } = await api('GET', path`/users`, { query, answer: users });
    ids.push(...data.users.filter((user) => isSame(user.email, account)).map(({ id }) => id));
    if (!data.more) return { ids };
  }
  return { ids, next: first + PAGES_AT_ONCE };
}

async function signOut(id: string, api: Api): Promise<Outcome> {
  await api('DELETE', path`/oauth_delegations`, {
    query: { user_id: id, type: TYPES },
    answer: z.object({ status: z.literal('ok') }),
  });
  await expectSignedOut(id, api);
  return {
    state: 'revoked',
    what: ['sessions', 'refresh_tokens', 'access_tokens'],
    partial: 'integrations and API keys of the user live on',
    verified: true,
  };
}

const ISSUED = { delegation_type: TYPES, status: 'issued' };

async function expectSignedOut(id: string, api: Api): Promise<void> {
  let cursor: string | undefined;
  for (let page = 0; page < MAX_PAGES; page += 1) {
    const query = { ...ISSUED, cursor };
    const { data } = await api('GET', path`/users/${id}/oauth_delegations`, { query, answer: delegations });
    expectNone('pagerduty: GET of the delegations after their deletion', data.oauth_delegations);
    // A page may be empty before the last one.
    if (!data.more || !data.next_cursor) return;
    cursor = data.next_cursor;
  }
  throw new ConnectorError('server', 'pagerduty: the list of delegations never ends');
}

function apiOf(options: Options, call: CheckCall) {
  const { tokenUrl, region, subdomain, clientId, clientSecret, apiKey } = options;
  const url = options.url ?? `https://${region === 'eu' ? 'api.eu' : 'api'}.pagerduty.com`;
  const authorize: Authorize =
    clientId && clientSecret
      ? oauth('pagerduty', options, () =>
          clientSecretGrant({
            ...{ tokenUrl, clientId, clientSecret, secretIn: 'form' },
            parameters: {
              scope: `as_account-${region}.${subdomain} oauth_delegations.read oauth_delegations.write users.read`,
            },
          }),
        )
      : async () => ({ headers: { authorization: `Token token=${apiKey?.()}` } });
  const exceptions = { 404: saying(/"code":\s*2100\b/, 'not_found', 'refused') };
  return createApi('pagerduty', { url, authorize, headers: HEADERS, exceptions }, call);
}

// The version of the API is chosen by `Accept`, and a content type is asked for of every call.
const HEADERS = { accept: 'application/vnd.pagerduty+json;version=2', 'content-type': 'application/json' };
