/** Revokes a person's personal access tokens at GitLab, or blocks the person, as the settings ask. */
import { z } from 'zod';
import { identifier, isSame } from './account.js';
import { type Api, createApi, path } from './api.js';
import {
  apiUrl,
  type Call,
  type CheckCall,
  ConnectorError,
  defineConnector,
  NONE,
  type Outcome,
  secret,
  type What,
} from './connector.js';
import { withUserId } from './look-up.js';
import { saying } from './request.js';
import { endAll } from './rounds.js';

const options = z
  .strictObject({
    url: apiUrl.describe('GitLab, such as https://gitlab.example.com; self-managed or Dedicated.'),
    token: secret().describe('A personal access token of an administrator.'),
    personalAccessTokens: z
      .boolean()
      .default(false)
      .describe('Revokes the personal access tokens of the user: none comes back, and what runs with one stops.'),
    block: z
      .boolean()
      .default(false)
      .describe('Blocks the user, who is locked out until an administrator takes the block back.'),
  })
  .refine(({ personalAccessTokens, block }) => personalAccessTokens || block, {
    error: 'has to be true, or block has to be: GitLab has no call that ends sessions',
    path: ['personalAccessTokens'],
  });
type Options = z.output<typeof options>;

const MAX_PAGES = 20;
const PER_PAGE = 100;
// As far as GitLab itself goes: each of these keeps the user out.
const BLOCKED = ['blocked', 'ldap_blocked', 'banned', 'blocked_pending_approval'];

const me = z.object({ id: z.number(), is_admin: z.boolean().default(false) });
const users = z.array(z.object({ id: z.number(), username: z.string(), email: z.string().nullish() }));
const tokens = z.array(z.object({ id: z.number(), user_id: z.number(), active: z.boolean().default(true) }));

/** What is kept once the user is blocked, before the tokens are touched: a retry of these must not forget the block. */
const begun = z.object({ id: z.string(), removed: z.array(z.record(z.string(), z.unknown())), attempt: z.int() });
type Begun = z.output<typeof begun>;

// Of those who keep a user out, the only one that is this connector's doing.
const BLOCKED_BY_HAND = 'blocked';

export const gitlab = defineConnector({
  name: 'gitlab',
  options,
  account: identifier,
  modes: ['full'],
  beginsOnce: true,
  docs: {
    app: 'GitLab',
    coverage: 'partial',
    does: 'Finds the user by e-mail address or user name, exactly. With `personalAccessTokens` it lists the active tokens of the user (`GET /api/v4/personal_access_tokens?user_id=…&state=active`) and revokes each (`DELETE /api/v4/personal_access_tokens/{id}`) until none is left; with `block` it blocks the user first (`POST /api/v4/users/{id}/block`), and notes that as taken away before it goes on. Without either it does not start, and it never acts on the administrator whose token it has.',
    ends: ['credentials', 'access'],
    livesOn: 'Without `block`: sessions in the browser, OAuth tokens, SSH keys and tokens of projects and groups.',
    lingers: 'Nothing that a page speaks of.',
    permission:
      'A personal access token of an administrator with the scope `api`, and `admin_mode` where Admin Mode is on.',
    credential: [
      'Make an administrator for the gateway alone, who is nobody whom it may have to log out.',
      'As that administrator create a personal access token with the scope `api`, and `admin_mode` where Admin Mode is on.',
    ],
    rateLimit:
      'As the instance sets it; 429 beyond, with `Retry-After` and the time since the epoch in `RateLimit-Reset`.',
    unknown: [
      'Whether sessions that are open when the user is blocked end at once or at their next request.',
      'For the enterprise users of a group on GitLab.com there are other calls, which this connector does not make.',
    ],
    sources: [
      'https://docs.gitlab.com/api/users/',
      'https://docs.gitlab.com/api/personal_access_tokens/',
      'https://docs.gitlab.com/api/user_moderation/',
      'https://docs.gitlab.com/administration/moderate_users/',
      'https://docs.gitlab.com/administration/settings/user_and_ip_rate_limits/',
    ],
  },

  async revoke(account, options, call) {
    const api = apiOf(options, call);
    const own = await administrator(api);
    return withUserId(
      { connector: 'gitlab', options, account },
      () => find(account, api),
      async (id) => {
        if (id === own) {
          throw new ConnectorError('refused', 'gitlab: not called, since it is the account that the connector acts as');
        }
        if (!options.block) return outcomeOf([], await endTokens(id, options, api, call.attempt > 1), options);
        const removed = await block(id, api, call);
        if (!options.personalAccessTokens) return outcomeOf(removed, false, options);
        const poll: Begun = { id, removed, attempt: call.attempt };
        return { pending: { poll, afterMs: 0, ...(removed.length > 0 && { removed }) } };
      },
    );
  },

  async poll(poll, options, call) {
    const { id, removed, attempt } = begun.parse(poll);
    const api = apiOf(options, call);
    await administrator(api);
    return outcomeOf(removed, await endTokens(id, options, api, call.attempt > attempt + 1), options);
  },

  async check(options, call) {
    await administrator(apiOf(options, call));
    return {
      ok: true,
      detail: 'the token is that of an administrator; whether it may also write shows at the first revocation',
    };
  },
});

/** To others GitLab shows no e-mail addresses, and no tokens but their own: the user would seem to have none. */
async function administrator(api: Api): Promise<string> {
  const { data } = await api('GET', path`/api/v4/user`, { answer: me });
  if (!data.is_admin) throw new ConnectorError('auth', 'gitlab: the token is not that of an administrator');
  return `${data.id}`;
}

async function find(account: string, api: Api): Promise<string[]> {
  const isAddress = account.includes('@');
  const query = isAddress ? { search: account } : { username: account };
  const found = await pages(api, 'users', query, users);
  return found.filter(({ email, username }) => isSame(isAddress ? email : username, account)).map(({ id }) => `${id}`);
}

function outcomeOf(removed: Begun['removed'], hadTokens: boolean, { block }: Options): Outcome {
  const what: What[] = [];
  if (removed.length > 0) what.push('access');
  if (hadTokens) what.push('credentials');
  if (what.length === 0) return NONE;
  return {
    state: 'revoked',
    what,
    ...(removed.length > 0 && { removed }),
    ...(!block && { partial: 'browser sessions, OAuth tokens and SSH keys live on', verified: true }),
  };
}

/** What there is to take back, if anything. */
async function block(id: string, api: Api, call: Call): Promise<Begun['removed']> {
  const { data } = await api('GET', path`/api/v4/users/${id}`, { answer: z.object({ state: z.string() }) });
  // To block somebody whom LDAP has blocked is an error.
  if (!BLOCKED.includes(data.state)) {
    await api('POST', path`/api/v4/users/${id}/block`, {
      exceptions: { 403: saying(NOT_BLOCKABLE, 'refused', 'auth') },
    });
    return [{ blocked: id }];
  }
  // An attempt before this one may have blocked the user without having learned of it.
  if (call.attempt === 1 || data.state !== BLOCKED_BY_HAND) return [];
  return [{ blocked: id, by: 'an earlier attempt or somebody else' }];
}

const NOT_BLOCKABLE = /LDAP|internal user/i;

/** Whether there were any; of an attempt that broke off nobody knows what it had revoked. */
async function endTokens(id: string, options: Options, api: Api, brokeOff: boolean): Promise<boolean> {
  if (!options.personalAccessTokens) return false;
  const ended = await endAll(
    'gitlab: DELETE of the tokens',
    async () => {
      const found = await pages(api, 'personal_access_tokens', { user_id: id, state: 'active' }, tokens);
      // Of a user who has gone since, GitLab answers with the tokens of everybody.
      return found.filter(({ user_id, active }) => `${user_id}` === id && active);
    },
    (token) => api('DELETE', path`/api/v4/personal_access_tokens/${`${token.id}`}`),
  );
  return ended > 0 || brokeOff;
}

async function pages<Item>(
  api: Api,
  what: string,
  query: Record<string, string>,
  answer: z.ZodType<Item[]>,
): Promise<Item[]> {
  const items: Item[] = [];
  for (let page = 1; page <= MAX_PAGES; page += 1) {
    const { data } = await api('GET', path`/api/v4/${what}`, {
      query: { ...query, per_page: `${PER_PAGE}`, page: `${page}` },
      answer,
    });
    items.push(...data);
    if (data.length < PER_PAGE) return items;
  }
  throw new ConnectorError('refused', `gitlab: the list of ${what} is longer than ${MAX_PAGES} pages`);
}

function apiOf({ url, token }: Options, call: CheckCall) {
  const authorize = async () => ({ headers: { 'private-token': token() } });
  // Of a user or a token it is the `message`; of a path that GitLab does not have, the `error`.
  const exceptions = { 404: saying(/"message":\s*"404 /, 'not_found', 'refused') };
  return createApi('gitlab', { url, authorize, exceptions }, call);
}
