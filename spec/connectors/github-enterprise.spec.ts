/** GitHub: a login that is looked up by GraphQL, then one queued job for an enterprise, or many deletions for an organization. */
import { githubEnterprise } from '../../src/connectors/github-enterprise.js';
import { createCalls } from '../support/call.js';
import { keepsContract } from '../support/connector-contract.js';
import { give, type Route, startVendor, type Vendor } from '../support/vendor.js';

const ACCOUNT = 'ada.s3cret@example.com';
const GRAPHQL = 'POST /graphql';
const REVOKE = 'POST /enterprises/acme/credential-authorizations/{}/revoke';
const LIST = 'GET /orgs/acme-labs/credential-authorizations';
const REMOVE = 'DELETE /orgs/acme-labs/credential-authorizations/{}';
const headers = {
  authorization: 'Bearer ghp-s3cret',
  accept: 'application/vnd.github+json',
  'x-github-api-version': '2026-03-10',
};

type Identity = { user: { login: string } | null; scimIdentity?: unknown; samlIdentity?: unknown };
const ADA: Identity = { user: { login: 'Ada-L' }, scimIdentity: { username: 'Ada.S3cret@example.com' } };
const QUEUED = { status: 202, json: { message: 'Credential authorization revocation queued.' } };

type Given = {
  own?: string;
  /** By single sign-on: of SAML, and of OpenID Connect; null where it is not set up. */
  saml?: readonly Identity[] | null;
  oidc?: readonly Identity[] | null;
  hasNextPage?: boolean;
  owner?: boolean;
  logins?: readonly string[];
  errors?: readonly unknown[];
  body?: unknown;
  authorizations?: readonly { login: string; credential_id: number }[];
  reappear?: boolean;
};

function vendor(given: Given = {}): Route[] {
  const { own = 'gateway', saml = [ADA], oidc = null, hasNextPage = false, owner = true, logins = ['Ada-L'] } = given;
  const authorizations = [
    ...(given.authorizations ?? [71, 72].map((credential_id) => ({ login: 'ada-l', credential_id }))),
  ];
  const provider = (nodes: readonly Identity[] | null) =>
    nodes && { externalIdentities: { pageInfo: { hasNextPage }, nodes } };
  const providers = { samlIdentityProvider: provider(saml), oidcProvider: provider(oidc) };
  const byName = expect.stringContaining('externalIdentities(first: 100, userName: $name)');
  return [
    {
      call: GRAPHQL,
      changesNothing: true,
      expects: [
        { headers, json: { query: byName, variables: { slug: 'acme', name: ACCOUNT } } },
        { headers, json: { query: byName, variables: { slug: 'acme-labs', name: ACCOUNT } } },
        {
          headers,
          json: { query: expect.stringContaining('user(login: $login)'), variables: { login: expect.any(String) } },
        },
        {
          headers,
          json: { query: expect.stringContaining('enterprise(slug: $slug) { slug }'), variables: { slug: 'acme' } },
        }, // The check.
      ],
      answer: ({ json }) => {
        const { variables } = json as { variables: Record<string, string> };
        if (given.errors) return { json: { data: null, errors: given.errors } };
        const viewer = { login: own };
        if (variables.login) {
          const login = logins.find((one) => one.toLowerCase() === variables.login?.toLowerCase());
          if (login) return { json: { data: { viewer, user: { login } } } };
          const missing = { type: 'NOT_FOUND', path: ['user'], message: `no user ${variables.login}` };
          return { json: { data: { viewer, user: null }, errors: [missing] } };
        }
        if (variables.slug === 'acme') {
          return { json: { data: { viewer, enterprise: { slug: 'acme', ownerInfo: owner ? providers : null } } } };
        }
        const { samlIdentityProvider } = providers;
        return { json: { data: { viewer, organization: { samlIdentityProvider } } } };
      },
    },
    {
      call: REVOKE,
      expects: given.body === undefined ? { headers } : { headers, json: given.body },
      answer: () => QUEUED,
    },
    {
      call: LIST,
      expects: [
        { headers, query: { login: 'Ada-L', per_page: '100', page: expect.stringMatching(/^\d+$/) } },
        { headers, query: { per_page: '1', page: '1' } }, // The check.
      ],
      answer: ({ query }) => {
        const to = Number(query.page) * Number(query.per_page);
        return { json: authorizations.slice(to - Number(query.per_page), to) };
      },
    },
    {
      call: REMOVE,
      expects: { headers },
      answer: ({ segments }) => {
        const at = authorizations.findIndex(({ credential_id }) => `${credential_id}` === segments[0]);
        if (at < 0) return { status: 404, json: { message: 'Not Found' } };
        if (!given.reappear) authorizations.splice(at, 1);
        return { status: 204 };
      },
    },
  ];
}

const ofEnterprise = (url: string) => ({ enterprise: 'acme', token: 'ghp-s3cret', url });
const ofOrganization = (url: string) => ({ organization: 'acme-labs', token: 'ghp-s3cret', url });
const LIVES_ON = 'browser sessions live on, and the tokens and keys themselves, which can be authorized again';

const unknown = {
  'no identity has the name': () => vendor({ saml: [] }),
  'only identities that resemble the account': () =>
    vendor({
      saml: [
        { user: { login: 'eve' }, scimIdentity: { username: `x${ACCOUNT}` } },
        { user: { login: 'mallory' }, samlIdentity: { nameId: `${ACCOUNT}.org`, username: null } },
        { user: { login: 'trent' }, scimIdentity: null },
      ],
    }),
  'an identity that nobody has claimed': () => vendor({ saml: [{ ...ADA, user: null }] }),
};

keepsContract(githubEnterprise, {
  account: ACCOUNT,
  options: ofEnterprise,
  vendor: () => vendor(),
  calls: [GRAPHQL, REVOKE],
  outcome: { state: 'accepted', what: ['access_tokens'], partial: LIVES_ON },
  reads: [GRAPHQL],
  unknown,
  check: {
    ok: true,
    detail: 'the enterprise can be read; whether the token may revoke shows at the first revocation',
  },
});

keepsContract(githubEnterprise, {
  account: ACCOUNT,
  options: ofOrganization,
  vendor: () => vendor(),
  calls: [GRAPHQL, LIST, REMOVE, REMOVE, LIST],
  main: REMOVE,
  outcome: { state: 'revoked', what: ['access_tokens'], partial: LIVES_ON, verified: true },
  repeated: { state: 'none', what: [] },
  reads: [GRAPHQL],
  unknown: { ...unknown, 'nothing is authorized': () => vendor({ authorizations: [] }) },
  check: {
    ok: true,
    detail:
      'the authorizations of the organization can be listed; whether the token may revoke shows at the first revocation',
  },
});

describe('github-enterprise', () => {
  let server: Vendor;
  let calls: Awaited<ReturnType<typeof createCalls>>;
  beforeAll(async () => {
    server = await startVendor();
    calls = await createCalls();
  });
  afterAll(() => Promise.all([server.close(), calls.close()]));

  const revoke = (given: Given = {}, chosen: Record<string, unknown> = {}, account = ACCOUNT) => {
    server.reset(vendor(given));
    const base = 'organization' in chosen ? {} : ofEnterprise(server.url);
    const options = githubEnterprise.options.parse({ ...base, ...chosen });
    return githubEnterprise.revoke(account, options, calls.call());
  };
  const asked = () => server.requests.map(({ call }) => call);
  const removed = () => server.requests.filter(({ call }) => call === REMOVE).map(({ segments }) => segments[0]);

  it.each([
    'revoke-all',
    'Revoke-All',
    'revoke-credential-type',
    'revoke',
    'ada--l',
    '-ada',
    'ada-',
    'ada.l',
    'ada_l_acme',
    'ada+l',
  ])('calls nobody for a word that is no login [%s]', async (account) => {
    await expect(revoke({ logins: [account] }, {}, account)).rejects.toMatchObject({ reason: 'refused' });
    expect(server.requests).toEqual([]);
  });

  it.each(['revoke-all', 'revoke-credential-type', '', '..', 'ada/../revoke-all'])(
    'revokes nothing where an identity has such a word for its login [%j]',
    async (login) => {
      await expect(revoke({ saml: [{ ...ADA, user: { login } }] })).rejects.toMatchObject({ reason: 'refused' });
      expect(asked()).toEqual([GRAPHQL]);
    },
  );

  it.each([
    ['SCIM', { saml: [ADA] }],
    ['the name id of SAML', { saml: [{ ...ADA, scimIdentity: null, samlIdentity: { nameId: ACCOUNT } }] }],
    ['the user name of SAML', { saml: [{ ...ADA, scimIdentity: null, samlIdentity: { username: ACCOUNT } }] }],
    ['OpenID Connect', { saml: null, oidc: [ADA] }],
    ['both, as the same', { saml: [ADA], oidc: [ADA] }],
  ])('finds the login by e-mail address [%s]', async (_by, given) => {
    expect(await revoke(given)).toMatchObject({ state: 'accepted' });
    expect(server.requests.at(-1)).toMatchObject({ call: REVOKE, segments: ['Ada-L'] });
    expect(server.violations).toEqual([]);
  });

  it.each(['Ada-L', 'ada-l'])('takes a login for what it is, where there is such a user [%s]', async (login) => {
    expect(await revoke({}, {}, login)).toMatchObject({ state: 'accepted' });
    expect(server.requests.at(-1)).toMatchObject({ call: REVOKE, segments: ['Ada-L'] });
    expect(await revoke({ logins: [] }, {}, login)).toEqual({ state: 'none', what: [] });
    expect(asked()).toEqual([GRAPHQL]);
  });

  it('is sure of nobody where two users have the name, or where there are more than it has read', async () => {
    const twin = { ...ADA, user: { login: 'ada-2' } };
    await expect(revoke({ saml: [ADA, twin] })).rejects.toMatchObject({ reason: 'refused' });
    await expect(revoke({ saml: [ADA], hasNextPage: true })).rejects.toMatchObject({ reason: 'refused' });
    expect(asked()).toEqual([GRAPHQL]);
  });

  it('looks a login up each time, since another person may have taken it', async () => {
    server.reset(vendor());
    const options = githubEnterprise.options.parse(ofEnterprise(server.url));
    for (const _time of [1, 2]) await githubEnterprise.revoke(ACCOUNT, options, calls.call());
    expect(asked()).toEqual([GRAPHQL, REVOKE, GRAPHQL, REVOKE]);
  });

  it('does not take a place without single sign-on for one without the user', async () => {
    await expect(revoke({ saml: null })).rejects.toMatchObject({ reason: 'refused' });
    const { url } = server;
    await expect(revoke({ saml: null }, ofOrganization(url))).rejects.toMatchObject({ reason: 'refused' });
    await expect(revoke({ owner: false })).rejects.toMatchObject({ reason: 'auth' });
  });

  it.each([ACCOUNT, 'ada-l'])('does not act on the owner whose token it has [%s]', async (account) => {
    await expect(revoke({ own: 'ADA-L' }, {}, account)).rejects.toMatchObject({ reason: 'refused' });
    expect(asked()).toEqual([GRAPHQL]);
  });

  it('destroys tokens and keys only where it is asked to', async () => {
    expect(await revoke({ body: { revoke_credentials: true } }, { credentials: true })).toEqual({
      state: 'accepted',
      what: ['access_tokens', 'credentials'],
      partial: 'browser sessions live on',
    });
    expect(server.violations).toEqual([]);
    await revoke();
    expect(server.requests.at(-1)).toMatchObject({ call: REVOKE, body: '' });
  });

  it.each([
    [[{ type: 'RATE_LIMITED', message: ACCOUNT }], 'rate_limited'],
    [[{ type: 'FORBIDDEN', path: ['enterprise', 'ownerInfo'] }], 'auth'],
    [[{ type: 'INSUFFICIENT_SCOPES' }], 'auth'],
    [[{ type: 'NOT_FOUND', path: ['enterprise'] }], 'refused'],
    [[{ message: 'Something went wrong while executing your query.' }], 'server'],
    [[{ type: 'NOT_FOUND', path: ['user'] }, { message: 'timeout' }], 'server'],
  ])('takes 200 with errors for a failure [%j]', async (errors, reason) => {
    await expect(revoke({ errors })).rejects.toMatchObject({ reason, forbidden: reason === 'auth' });
    expect(asked()).toEqual([GRAPHQL]);
  });

  it.each([
    ['the first owner of managed users cannot be revoked', { status: 422, json: { message: 'cannot' } }, 'refused'],
    ['not found, or not permitted', { status: 404, json: { message: 'Not Found' } }, 'refused'],
    ['not permitted', { status: 403, json: { message: 'Must have admin rights' } }, 'auth'],
    ['too many', { status: 403, json: { message: 'API rate limit exceeded for user ID 1.' } }, 'rate_limited'],
    [
      'too many at once',
      { status: 403, json: { message: 'You have exceeded a secondary rate limit' } },
      'rate_limited',
    ],
  ])('tells refusals of the enterprise apart [%s]', async (_what, answer, reason) => {
    server.reset(vendor());
    server.failAt(REVOKE, (res) => give(res, answer));
    const options = githubEnterprise.options.parse(ofEnterprise(server.url));
    const refused = githubEnterprise.revoke(ACCOUNT, options, calls.call());
    await expect(refused).rejects.toMatchObject({ reason });
  });

  it('waits until the quota is reset', async () => {
    server.reset(vendor());
    const reset = { 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': '1792567730' };
    server.failAt(REVOKE, (res) =>
      give(res, { status: 403, headers: reset, json: { message: 'API rate limit exceeded' } }),
    );
    const options = githubEnterprise.options.parse(ofEnterprise(server.url));
    const call = calls.call({ now: () => new Date(1_792_567_700_000) });
    const refused = githubEnterprise.revoke(ACCOUNT, options, call);
    await expect(refused).rejects.toMatchObject({ reason: 'rate_limited', retryAfterMs: 30_000 });
  });

  it('removes the authorizations of the user alone, from all pages', async () => {
    const ofAda = Array.from({ length: 150 }, (_, at) => ({ login: 'ada-l', credential_id: 1_000 + at }));
    const ofOthers = [
      { login: 'ada-l2', credential_id: 1 },
      { login: 'grace', credential_id: 2 },
    ];
    await revoke({ authorizations: [...ofOthers, ...ofAda] }, ofOrganization(server.url));
    expect(removed()).toHaveLength(150);
    expect(removed()).not.toContain('1');
    expect(removed()).not.toContain('2');
    expect(server.violations).toEqual([]);
  });

  it('takes one that is gone already for removed, and a list that is not there for a failure', async () => {
    const options = githubEnterprise.options.parse(ofOrganization(server.url));
    const gone = { status: 404, json: { message: 'Not Found' } };
    server.reset(vendor());
    server.failAt(REMOVE, (res, _request, usual) => {
      usual();
      give(res, gone);
    });
    expect(await githubEnterprise.revoke(ACCOUNT, options, calls.call())).toMatchObject({ state: 'revoked' });
    server.reset(vendor());
    server.failAt(LIST, (res) => give(res, gone));
    const refused = githubEnterprise.revoke(ACCOUNT, options, calls.call());
    await expect(refused).rejects.toMatchObject({ reason: 'refused' });
  });

  it('is no success where one is not removed, but removes the others; nor while they are there again', async () => {
    const authorizations = [71, 72, 73].map((credential_id) => ({ login: 'Ada-L', credential_id }));
    const options = githubEnterprise.options.parse(ofOrganization(server.url));
    server.reset(vendor({ authorizations }));
    server.failAt(REMOVE, (res, { segments }, usual) => give(res, segments[0] === '72' ? { status: 500 } : usual()));
    const failed = githubEnterprise.revoke(ACCOUNT, options, calls.call());
    await expect(failed).rejects.toMatchObject({ reason: 'server' });
    expect(removed()).toEqual(['71', '72', '73']);
    await expect(revoke({ reappear: true }, ofOrganization(server.url))).rejects.toMatchObject({ reason: 'server' });
  });

  it('wants an enterprise or an organization, by its name in the URL', () => {
    const { url, token } = ofEnterprise('https://api.github.com');
    for (const wrong of [
      { url, token },
      { url, token, enterprise: 'acme', organization: 'acme-labs' },
      { url, token, organization: 'acme-labs', credentials: true },
      { url, token, enterprise: '' },
      { url, token, enterprise: '..' },
      { url, token, enterprise: 'acme/credential-authorizations/revoke-all#' },
    ]) {
      expect(githubEnterprise.options.safeParse(wrong).success).toBe(false);
    }
  });
});
