/** Takes from a person's GitHub tokens and keys the single sign-on authorization for an enterprise or organization. */
import { z } from 'zod';
import { identifier, isSame } from './account.js';
import { type ApiOptions, bearer, createApi, path } from './api.js';
import {
  type Account,
  apiUrl,
  type Call,
  type CheckCall,
  ConnectorError,
  defineConnector,
  NONE,
  secret,
} from './connector.js';
import { withUserId } from './look-up.js';
import { saying } from './request.js';
import { endAll, hasEnded } from './rounds.js';

const slug = () => z.string().regex(/^[a-z0-9-]+$/i, 'is not the name that stands in its URL');

const options = z
  .strictObject({
    enterprise: slug().optional().describe('The enterprise, as in its URL; this, or an organization.'),
    organization: slug().optional().describe('The organization, as in its URL, where there is no enterprise.'),
    token: secret().describe('A personal access token of an owner.'),
    credentials: z
      .boolean()
      .default(false)
      .describe('Also destroys the tokens and SSH keys of a managed user of the enterprise: none comes back.'),
    url: apiUrl
      .default('https://api.github.com')
      .describe('The API; https://api.SUBDOMAIN.ghe.com with data residency.'),
  })
  .refine(({ enterprise, organization }) => (enterprise === undefined) !== (organization === undefined), {
    error: 'has to be there, or organization, and not both',
    path: ['enterprise'],
  })
  .refine(({ enterprise, credentials }) => enterprise !== undefined || !credentials, {
    error: 'can be destroyed for an enterprise of managed users only',
    path: ['credentials'],
  });
type Options = z.output<typeof options>;

const MAX_PAGES = 20;
const PER_PAGE = 100;

// Beside the calls for one user stand calls of these names for the whole enterprise.
const NEVER_A_LOGIN = /^(revoke|revoke-all|revoke-credential-type)$/i;
const LOGIN = /^[a-z0-9](-?[a-z0-9])*(_[a-z0-9]+)?$/i;

const granted = z.array(z.object({ login: z.string(), credential_id: z.number() }));

export const githubEnterprise = defineConnector({
  name: 'github-enterprise',
  options,
  account: identifier,
  modes: ['full'],
  docs: {
    app: 'GitHub Enterprise Cloud',
    coverage: 'partial',
    does: 'The account is a login, or an e-mail address that single sign-on knows as user name or name id (GraphQL, compared exactly). With `enterprise`, `POST /enterprises/{enterprise}/credential-authorizations/{username}/revoke` has GitHub queue the removal of all authorizations of tokens and keys, so that the outcome is `accepted`. With `organization`, the authorizations are listed by login and each is deleted (`DELETE /orgs/{org}/credential-authorizations/{credential_id}`) until none is left. It never acts on the owner whose token it has.',
    ends: ['access_tokens', 'credentials'],
    livesOn:
      'Sessions in the browser, for which GitHub has no call; the tokens and keys themselves, which the person can authorize again, unless `credentials` destroys them.',
    lingers: 'Of an enterprise, until the queued job has run: no call tells when. Of an organization, nothing.',
    permission:
      'Of an enterprise, an owner, or the permission to write enterprise credentials (classic scope `admin:enterprise`). Of an organization, an owner (classic scope `admin:org`).',
    credential: [
      'As an owner create a personal access token (classic) with the scope `admin:enterprise` or `admin:org`; for an organization authorize it for single sign-on.',
      'Let the owner be nobody whom the gateway may have to log out.',
    ],
    rateLimit:
      '5,000 requests an hour for a user, and a limit of its own for GraphQL; 403 or 429 beyond, with `Retry-After`, or with the time in `x-ratelimit-reset`.',
    unknown: [
      'Whether a 404 of the enterprise call is about the user or about the permission: it is taken for a refusal.',
      'How long the queued job of an enterprise takes.',
    ],
    sources: [
      'https://docs.github.com/en/enterprise-cloud@latest/rest/enterprise-admin/credential-authorizations',
      'https://docs.github.com/en/enterprise-cloud@latest/rest/orgs/orgs#list-saml-sso-authorizations-for-an-organization',
      'https://docs.github.com/en/enterprise-cloud@latest/graphql/reference/objects#externalidentity',
      'https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api',
    ],
  },

  async revoke(account, options, call) {
    // Each time anew, by other options than those that are kept: a login can be given up, and taken by somebody else.
    const of = { connector: 'github-enterprise', options: {}, account };
    return withUserId(
      of,
      () => find(account, options, call),
      async (login) => {
        if (options.enterprise === undefined) return removeOneByOne(login, options, call);
        await restOf(options, call)(
          'POST',
          path`/enterprises/${options.enterprise}/credential-authorizations/${login}/revoke`,
          { ...(options.credentials && { json: { revoke_credentials: true } }), exceptions: { 404: 'refused' } },
        );
        return {
          state: 'accepted',
          what: options.credentials ? ['access_tokens', 'credentials'] : ['access_tokens'],
          partial: options.credentials ? 'browser sessions live on' : LIVES_ON,
        };
      },
    );
  },

  async check(options, call) {
    const { enterprise, organization = '' } = options;
    const seen = 'whether the token may revoke shows at the first revocation';
    if (enterprise === undefined) {
      const query = { per_page: '1', page: '1' };
      await restOf(options, call)('GET', path`/orgs/${organization}/credential-authorizations`, {
        query,
        answer: granted,
      });
      return { ok: true, detail: `the authorizations of the organization can be listed; ${seen}` };
    }
    const query = 'query ($slug: String!) { viewer { login } enterprise(slug: $slug) { slug } }';
    await ask(options, call, query, { slug: enterprise }, z.object({ enterprise: z.object({ slug: z.string() }) }));
    return { ok: true, detail: `the enterprise can be read; ${seen}` };
  },
});

const LIVES_ON = 'browser sessions live on, and the tokens and keys themselves, which can be authorized again';

async function removeOneByOne(login: string, options: Options, call: Call) {
  const { organization = '' } = options;
  const rest = restOf(options, call);

  async function list() {
    const found: z.output<typeof granted> = [];
    for (let page = 1; page <= MAX_PAGES; page += 1) {
      const { data } = await rest('GET', path`/orgs/${organization}/credential-authorizations`, {
        query: { login, per_page: `${PER_PAGE}`, page: `${page}` },
        answer: granted,
        exceptions: { 404: 'refused' },
      });
      found.push(...data.filter((one) => isSame(one.login, login)));
      if (data.length < PER_PAGE) return found;
    }
    throw new ConnectorError(
      'refused',
      `github-enterprise: the user has more than ${MAX_PAGES} pages of authorizations`,
    );
  }

  const ended = await endAll('github-enterprise: DELETE of the authorizations', list, ({ credential_id }) =>
    rest('DELETE', path`/orgs/${organization}/credential-authorizations/${`${credential_id}`}`),
  );
  if (!hasEnded(ended, call)) return NONE;
  return { state: 'revoked' as const, what: ['access_tokens' as const], partial: LIVES_ON, verified: true as const };
}

const viewer = z.object({ login: z.string() });
const identities = z
  .object({
    externalIdentities: z.object({
      pageInfo: z.object({ hasNextPage: z.boolean() }),
      nodes: z.array(
        z.object({
          user: z.object({ login: z.string() }).nullish(),
          scimIdentity: z.object({ username: z.string().nullish() }).nullish(),
          samlIdentity: z.object({ username: z.string().nullish(), nameId: z.string().nullish() }).nullish(),
        }),
      ),
    }),
  })
  .nullish();
const providers = z.object({ samlIdentityProvider: identities, oidcProvider: identities });
const byName = z.object({
  viewer,
  enterprise: z.object({ ownerInfo: providers.nullish() }).nullish(),
  organization: providers.nullish(),
});
const byLogin = z.object({ viewer, user: z.object({ login: z.string() }).nullish() });

const OF_LOGIN = 'query ($login: String!) { viewer { login } user(login: $login) { login } }';
const IDENTITIES = `{
  externalIdentities(first: 100, userName: $name) {
    pageInfo { hasNextPage }
    nodes { user { login } scimIdentity { username } samlIdentity { username nameId } }
  }
}`;
const OF_ENTERPRISE = `query ($slug: String!, $name: String!) {
  viewer { login }
  enterprise(slug: $slug) { ownerInfo { samlIdentityProvider ${IDENTITIES} oidcProvider ${IDENTITIES} } }
}`;
const OF_ORGANIZATION = `query ($slug: String!, $name: String!) {
  viewer { login }
  organization(login: $slug) { samlIdentityProvider ${IDENTITIES} }
}`;

async function find(account: Account, options: Options, call: CheckCall): Promise<string[]> {
  const { own, logins } = account.includes('@')
    ? await loginsOfName(account, options, call)
    : await loginsOfLogin(account, options, call);
  for (const login of logins) {
    if (!isLogin(login)) throw refused('not called, since what was found is no login');
    if (isSame(own, login)) throw refused('not called, since it is the account that the connector acts as');
  }
  return logins;
}

const isLogin = (login: string) => LOGIN.test(login) && !NEVER_A_LOGIN.test(login);

async function loginsOfLogin(login: string, options: Options, call: CheckCall) {
  if (!isLogin(login)) throw refused('not called, since the account is no login');
  const { user, viewer } = await ask(options, call, OF_LOGIN, { login }, byLogin);
  return { own: viewer.login, logins: user && isSame(user.login, login) ? [user.login] : [] };
}

/** By GraphQL, since what SCIM tells of a user has no login in it. */
async function loginsOfName(name: string, options: Options, call: CheckCall) {
  const { enterprise, organization } = options;
  const query = enterprise === undefined ? OF_ORGANIZATION : OF_ENTERPRISE;
  const data = await ask(options, call, query, { slug: enterprise ?? organization, name }, byName);
  const place = data.enterprise?.ownerInfo ?? data.organization;
  if (!place) throw new ConnectorError('auth', 'github-enterprise: the token is not that of an owner');
  const found = [place.samlIdentityProvider, place.oidcProvider].flatMap((one) =>
    one ? [one.externalIdentities] : [],
  );
  if (found.length === 0) {
    throw refused('no single sign-on is set up there that could tell the login; give logins as accounts');
  }
  if (found.some(({ pageInfo }) => pageInfo.hasNextPage)) throw refused('more than 100 identities have that name');
  const logins = found
    .flatMap(({ nodes }) => nodes)
    .filter(({ scimIdentity, samlIdentity }) =>
      [scimIdentity?.username, samlIdentity?.username, samlIdentity?.nameId].some((one) => isSame(one, name)),
    )
    // An identity that nobody has claimed yet has no user.
    .flatMap(({ user }) => (user ? [user.login] : []));
  return { own: data.viewer.login, logins };
}

const refused = (word: string) => new ConnectorError('refused', `github-enterprise: ${word}`);

async function ask<Data>(
  options: Options,
  call: CheckCall,
  query: string,
  variables: Record<string, string | undefined>,
  data: z.ZodType<Data>,
): Promise<Data> {
  const api = createApi('github-enterprise', { ...apiOptions(options), refusal }, call);
  const answer = z.object({ data });
  return (await api('POST', path`/graphql`, { json: { query, variables }, answer })).data.data;
}

const errors = z.object({
  errors: z.array(z.object({ type: z.string().optional(), path: z.array(z.unknown()).optional() })).optional(),
});

// GraphQL answers 200, whatever has gone wrong.
const refusal: NonNullable<ApiOptions['refusal']> = (body) => {
  const found = errors.safeParse(body).data?.errors ?? [];
  // That nobody has that login is no failure.
  const failures = found.filter(({ type, path }) => !(type === 'NOT_FOUND' && path?.[0] === 'user'));
  const types = failures.map(({ type }) => type ?? '');
  if (failures.length === 0) return undefined;
  if (types.includes('RATE_LIMITED')) return { reason: 'rate_limited', word: 'its errors say too many' };
  if (types.some((type) => ['FORBIDDEN', 'INSUFFICIENT_SCOPES'].includes(type))) {
    return { reason: 'auth', word: 'its errors say that the token may not', forbidden: true };
  }
  if (types.includes('NOT_FOUND')) return { reason: 'refused', word: 'there is no such enterprise or organization' };
  return { reason: 'server', word: 'it has errors' };
};

const restOf = (options: Options, call: CheckCall) => createApi('github-enterprise', apiOptions(options), call);

const apiOptions = ({ url, token }: Options): ApiOptions => ({
  url,
  authorize: bearer(token),
  headers: { accept: 'application/vnd.github+json', 'x-github-api-version': '2026-03-10' },
  exceptions: { 403: saying(/rate limit/i, 'rate_limited', 'auth') },
});
