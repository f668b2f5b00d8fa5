/** Ends a person's sessions at authentik and deletes their OAuth refresh tokens, which outlive a session. */
import { z } from 'zod';
import { identifier, isSame } from './account.js';
import { type Api, bearer, createApi, path } from './api.js';
import { apiUrl, type CheckCall, ConnectorError, defineConnector, type Outcome, secret } from './connector.js';
import { withUserId } from './look-up.js';
import { saying } from './request.js';
import { endAll } from './rounds.js';

// A refresh token comes with its whole provider and user, groups included: a longer page might be too large to be read.
const PAGE_SIZE = '20';
const MOST_PAGES = 100;

const options = z.strictObject({
  url: apiUrl.describe('The base URL of authentik, such as https://auth.example.com, without /api/v3.'),
  token: secret().describe('The key of an API token.'),
});
type Options = z.output<typeof options>;

const user = z.object({ pk: z.number(), username: z.string(), email: z.string().nullish() });
const me = z.object({ user: z.object({ pk: z.number() }) });

/** What a user can have many of, each seen as its id and its owner's. */
type Thing = { id: string; owner: string; isSpent?: boolean };
type Kind = { name: string; at: typeof SESSIONS; item: z.ZodType<Thing> };

const SESSIONS = path`/api/v3/core/authenticated_sessions/`;
const REFRESH_TOKENS = path`/api/v3/oauth2/refresh_tokens/`;

const sessions: Kind = {
  name: 'sessions',
  at: SESSIONS,
  item: z
    .object({ uuid: z.string(), user: z.number() })
    .transform(({ uuid, user }) => ({ id: uuid, owner: String(user) })),
};
const refreshTokens: Kind = {
  name: 'refresh tokens',
  at: REFRESH_TOKENS,
  // One that has been exchanged for another stays on the list, revoked, until it expires.
  item: z
    .object({ pk: z.number(), user: z.object({ pk: z.number() }), revoked: z.boolean().optional() })
    .transform(({ pk, user, revoked }) => ({ id: String(pk), owner: String(user.pk), isSpent: revoked === true })),
};

const LIVES_ON = 'sessions of apps that take no back-channel logout, API tokens and app passwords live on';

export const authentik = defineConnector({
  name: 'authentik',
  options,
  account: identifier,
  modes: ['full', 'refresh-only'],
  identityProvider: true,
  docs: {
    app: 'authentik',
    coverage: 'partial',
    does: 'Finds the user by e-mail address, where the account has an @, or user name, exactly; deletes each session (`DELETE /api/v3/core/authenticated_sessions/{uuid}/`) and then each refresh token (`DELETE /api/v3/oauth2/refresh_tokens/{id}/`), until none is listed. With a session authentik deletes its access tokens, and tells apps that take back-channel logout. `refresh-only` deletes the refresh tokens alone. The call that deletes in bulk is not used: one is proposed that means everybody where no user is given.',
    ends: ['sessions', 'refresh_tokens'],
    livesOn:
      'Sessions of apps that do not take back-channel logout, access tokens that an app checks by itself, and API tokens and app passwords.',
    lingers:
      'As long as an access token lives, which is set at its provider; API tokens and app passwords until they expire.',
    permission:
      'Global permissions, not those of single objects: `authentik_core.view_user`, `authentik_core.view_authenticatedsession`, `authentik_core.delete_authenticatedsession`, `authentik_providers_oauth2.view_refreshtoken` and `authentik_providers_oauth2.delete_refreshtoken`.',
    credential: [
      'In the Admin interface choose Directory, Roles, and make a role with these global permissions.',
      'Choose Directory, Users, Create Service Account, and give the role to the service account.',
      'Choose Directory, Tokens and App passwords, and make a token with the intent API for the service account.',
      'Copy its key.',
    ],
    rateLimit: 'None is stated for calls with a token.',
    unknown: [
      'How a token can ask which permissions it has: without the one to view sessions, authentik answers 200 with those of its own user alone. So an empty list counts only where somebody else is listed without the filter; where nobody else is signed in at all, the revocation fails as `auth` and is tried again.',
      'The same of refresh tokens: where nobody else has any, the record says that it is not known whether some live on.',
      'Whether an address in other capitals than those of authentik is found: it is asked for as given and in lower case.',
      'Whether outposts end the sessions of proxied apps at once.',
    ],
    sources: [
      'https://github.com/goauthentik/authentik/blob/main/schema.yml',
      'https://api.goauthentik.io/reference/core-authenticated-sessions-list/',
      'https://github.com/goauthentik/authentik/blob/main/authentik/rbac/filters.py',
      'https://github.com/goauthentik/authentik/blob/main/authentik/providers/oauth2/signals.py',
      'https://github.com/goauthentik/authentik/pull/24080',
      'https://docs.goauthentik.io/docs/sys-mgmt/service-accounts',
      'https://docs.goauthentik.io/docs/users-sources/access-control/manage_permissions',
    ],
  },

  async revoke(account, options, call) {
    const api = apiOf(options, call);
    const kind = account.includes('@') ? 'email' : 'username';

    async function find(): Promise<string[]> {
      const found: string[] = [];
      // The filter minds capitals.
      for (const name of new Set([account, account.toLowerCase()])) {
        const users = await listAll(api, USERS, user, { [kind]: name, ...BRIEF });
        found.push(...users.filter((one) => isSame(one[kind], account)).map(({ pk }) => String(pk)));
      }
      return found;
    }

    return withUserId({ connector: 'authentik', options, account }, find, async (id) => {
      // Sessions can be listed by user name alone, and what was remembered may be somebody else's account by now.
      const { data: one } = await api('GET', path`/api/v3/core/users/${id}/`, { answer: user });
      if (String(one.pk) !== id || !isSame(one[kind], account)) {
        throw new ConnectorError('not_found', 'authentik: the user has another name by now');
      }

      if (call.mode === 'full') {
        const ended = await endThings(api, sessions, id, { user__username: one.username });
        if (ended === 0 && !(await seesOthers(api, sessions))) throw blind(sessions);
      }
      const ended = await endThings(api, refreshTokens, id, { user: id });
      return outcome(call.mode === 'full', ended > 0 || (await seesOthers(api, refreshTokens)));
    });
  },

  async check(options, call) {
    const api = apiOf(options, call);
    await api('GET', USERS, { query: { page_size: '1', ...BRIEF }, answer: pageOf(user) });
    if (!(await seesOthers(api, sessions))) throw blind(sessions);
    const what = (await seesOthers(api, refreshTokens))
      ? 'users, sessions and refresh tokens can be listed'
      : 'users and sessions can be listed, but no refresh token is shown: there are none, or the permission is missing';
    return { ok: true, detail: `${what}; whether they can be ended shows at the first revocation` };
  },
});

const USERS = path`/api/v3/core/users/`;
const BRIEF = { include_groups: 'false', include_roles: 'false' };

const pageOf = <Item>(item: z.ZodType<Item>) =>
  z.object({ pagination: z.object({ next: z.number() }), results: z.array(item) });

async function listAll<Item>(
  api: Api,
  at: typeof SESSIONS,
  item: z.ZodType<Item>,
  query: Record<string, string>,
): Promise<Item[]> {
  const all: Item[] = [];
  let page = 1;
  for (let read = 0; read < MOST_PAGES; read += 1) {
    const { data } = await api('GET', at, {
      query: { ...query, page: String(page), page_size: PAGE_SIZE },
      answer: pageOf(item),
      // A list that has become shorter meanwhile.
      exceptions: { 404: saying(/Invalid page/i, 'server', 'refused') },
    });
    all.push(...data.results);
    page = data.pagination.next;
    if (page === 0) return all;
  }
  throw new ConnectorError('refused', `authentik: GET ${at.template} has more than ${MOST_PAGES} pages`);
}

function endThings(api: Api, { name, at, item }: Kind, owner: string, query: Record<string, string>) {
  return endAll(
    `authentik: DELETE of the ${name}`,
    async () => {
      const things = await listAll(api, at, item, query);
      if (things.some((thing) => thing.owner !== owner)) {
        throw new ConnectorError('refused', `authentik: ${name} of others are listed too, so none was deleted`);
      }
      return things.filter(({ isSpent }) => !isSpent);
    },
    ({ id }) => api('DELETE', under(at, id)),
  );
}

/** Whether anybody else's are shown: without the permission it is those of the token's own user, and no error. */
async function seesOthers(api: Api, { at, item }: Kind): Promise<boolean> {
  const own = await api('GET', path`/api/v3/core/users/me/`, { answer: me });
  const { data } = await api('GET', at, { query: { page_size: PAGE_SIZE }, answer: pageOf(item) });
  return data.results.some(({ owner }) => owner !== String(own.data.user.pk));
}

const under = (at: typeof SESSIONS, id: string) =>
  at === SESSIONS ? path`/api/v3/core/authenticated_sessions/${id}/` : path`/api/v3/oauth2/refresh_tokens/${id}/`;

const blind = ({ name }: Kind) =>
  new ConnectorError('auth', `authentik: no ${name} of others are shown, so the permission to view them is missing`);

function outcome(isFull: boolean, areTokensKnown: boolean): Outcome {
  const rest = isFull ? LIVES_ON : 'sessions and access tokens live on';
  if (areTokensKnown) {
    const what: Outcome['what'] = isFull ? ['sessions', 'refresh_tokens'] : ['refresh_tokens'];
    return { state: 'revoked', what, partial: rest, verified: true };
  }
  const partial = `no refresh token of anybody is shown, so whether some live on is not known; ${rest}`;
  return isFull ? { state: 'revoked', what: ['sessions'], partial } : { state: 'none', what: [], partial };
}

function apiOf({ url, token }: Options, call: CheckCall) {
  // Django's words; a path that does not exist has others.
  const exceptions = { 404: saying(/"No \w+ matches the given query\."|"Not found\."/i, 'not_found', 'refused') };
  return createApi('authentik', { url, authorize: bearer(token), exceptions }, call);
}
