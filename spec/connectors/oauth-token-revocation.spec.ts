/** RFC 7009: tokens from a vault are revoked one by one; and for real at `oidc-provider`. */
import { generateKeyPairSync } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { decodeJwt } from 'jose';
import { Provider } from 'oidc-provider/lib/provider.js';
import { createOktaStorage } from '../../src/commands/demo/okta-storage.js';
import type { Call } from '../../src/connectors/connector.js';
import { clientSecretGrant, oauth, privateKeyJwtGrant } from '../../src/connectors/oauth.js';
import { oauthTokenRevocation } from '../../src/connectors/oauth-token-revocation.js';
import { createCalls } from '../support/call.js';
import { keepsContract } from '../support/connector-contract.js';
import { give, type Route, startVendor, type Vendor } from '../support/vendor.js';

const ACCOUNT = 'ada.s3cret@example.com';
const VAULT = 'GET /v1/secret/data/tokens/{}';
const REVOKE = 'POST /oauth2/revoke';
const CHECK = {
  ok: true,
  detail: 'the vault can be read, and the server took the revocation of a token that never was',
} as const;
const LIVES_ON = 'sessions live on, tokens that the vault does not hold';
const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
const PEM = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();

const TOKENS = [
  { token: 'refresh-s3cret', token_type_hint: 'refresh_token', note: 'more than is asked for' },
  { token: 'access-s3cret', token_type_hint: 'access_token' },
];

/** What HashiCorp Vault answers where nothing is kept. */
const NOTHING = { status: 404, json: { errors: [] } };

function vendor(tokens: unknown = TOKENS): Route[] {
  const token = expect.stringMatching(/^(refresh|access)-s3cret$|^[\w-]{36}$/);
  const headers = {
    authorization: `Basic ${Buffer.from('client-1:a-s3cret-of-it').toString('base64')}`,
    accept: 'application/json',
  };
  return [
    {
      call: VAULT,
      expects: { headers: { 'x-vault-token': 'vault-s3cret', accept: 'application/json' } },
      answer: ({ segments }) =>
        segments[0] === ACCOUNT ? { json: { data: { data: { tokens }, metadata: {} } } } : NOTHING,
    },
    {
      call: REVOKE,
      changesNothing: true,
      expects: [
        { headers, form: { token } }, // The check.
        { headers, form: { token, token_type_hint: expect.stringMatching(/^(refresh|access)_token$/) } },
      ],
      answer: () => ({ status: 200 }),
    },
  ];
}

const vaultAt = (url: string) => ({
  url: `${url}/v1/secret/data/tokens/{account}`,
  headers: { 'x-vault-token': 'vault-s3cret' },
  tokensAt: '/data/data/tokens',
});
const optionsAt = (url: string) => ({
  url: `${url}/oauth2/revoke`,
  clientId: 'client-1',
  clientSecret: 'a-s3cret-of-it',
  vault: vaultAt(url),
});

keepsContract(oauthTokenRevocation, {
  account: ACCOUNT,
  options: optionsAt,
  vendor: () => vendor(),
  calls: [VAULT, REVOKE, REVOKE],
  outcome: { state: 'revoked', what: ['refresh_tokens', 'access_tokens'], partial: LIVES_ON },
  unknown: {
    'the vault holds nothing': () => [{ ...(vendor()[0] as Route), answer: () => NOTHING }],
    'the vault holds nothing any more': () => [
      { ...(vendor()[0] as Route), answer: () => ({ status: 404, json: { data: { data: null, metadata: {} } } }) },
    ],
    'the vault holds an empty list': () => vendor([]),
  },
  check: CHECK,
});

describe('oauth-token-revocation', () => {
  let server: Vendor;
  let calls: Awaited<ReturnType<typeof createCalls>>;

  beforeAll(async () => {
    server = await startVendor();
    calls = await createCalls();
  });
  beforeEach(() => server.reset(vendor()));
  afterAll(() => Promise.all([server.close(), calls.close()]));

  const optionsOf = (over: object = {}) => oauthTokenRevocation.options.parse({ ...optionsAt(server.url), ...over });
  const revoke = (over: object = {}, call: Partial<Call> = {}) =>
    oauthTokenRevocation.revoke(ACCOUNT, optionsOf(over), calls.call(call));
  const forms = () => server.requests.filter(({ call }) => call === REVOKE).map(({ form }) => form);

  it('leaves access tokens alone where only refresh tokens are asked for', async () => {
    expect(await revoke({}, { mode: 'refresh-only' })).toMatchObject({ what: ['refresh_tokens'] });
    expect(forms()).toEqual([{ token: 'refresh-s3cret', token_type_hint: 'refresh_token' }]);
  });

  it('proves the client in the form, by a key, or not at all', async () => {
    const seen: (typeof server.requests)[number][] = [];
    server.failAt(REVOKE, (res, request, usual) => {
      seen.push(request);
      give(res, usual());
    });
    await revoke({ authIn: 'form' });
    await revoke({ clientSecret: undefined, privateKey: PEM, keyId: 'key-1', audience: 'https://as.example.com' });
    await revoke({ clientSecret: undefined });
    expect(seen.every(({ headers }) => headers.authorization === undefined)).toBe(true);
    const [inForm, , signed, , none] = seen.map(({ form }) => form);
    expect(inForm).toMatchObject({ client_id: 'client-1', client_secret: 'a-s3cret-of-it' });
    expect(signed).toMatchObject({ client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer' });
    expect(decodeJwt(signed?.client_assertion as string)).toMatchObject({
      aud: 'https://as.example.com',
      sub: 'client-1',
    });
    expect(none).toEqual({ token: 'refresh-s3cret', token_type_hint: 'refresh_token', client_id: 'client-1' });
  });

  it('tells a type that the server does not revoke, and revokes the others', async () => {
    const unsupported = { status: 400, json: { error: 'unsupported_token_type' } };
    server.failAt(REVOKE, (res, { form }, usual) =>
      give(res, form.token_type_hint === 'access_token' ? unsupported : usual()),
    );
    expect(await revoke()).toEqual({
      state: 'revoked',
      what: ['refresh_tokens'],
      partial: `${LIVES_ON}, and 1 of a type that the server does not revoke`,
    });
    server.failAt(REVOKE, (res) => give(res, unsupported));
    await expect(revoke()).rejects.toMatchObject({
      reason: 'refused',
      message: expect.stringContaining('these types'),
    });
  });

  it.each([
    ['invalid_client', 'auth', 1],
    ['unauthorized_client', 'auth', 1],
    ['invalid_request', 'refused', 2],
  ])(
    'tells what a 400 is about; one token that fails is no success, and the others are revoked all the same [%s]',
    async (error, reason, count) => {
      server.failAt(REVOKE, (res, { form }, usual) =>
        give(res, form.token === 'refresh-s3cret' ? { status: 400, json: { error } } : usual()),
      );
      await expect(revoke()).rejects.toMatchObject({ reason });
      expect(forms()).toHaveLength(count);
    },
  );

  it('takes no wrong mount and no wrong pointer for a person without tokens', async () => {
    server.failAt(VAULT, (res) =>
      give(res, { status: 404, json: { errors: ['no handler for route "secrets/data"'] } }),
    );
    await expect(revoke()).rejects.toMatchObject({ reason: 'refused' });
    server.reset(vendor());
    for (const tokensAt of ['/tokens', '/data', '']) {
      await expect(revoke({ vault: { ...vaultAt(server.url), tokensAt } })).rejects.toMatchObject({
        reason: 'refused',
      });
    }
    server.reset(vendor([{ token: '' }]));
    await expect(revoke()).rejects.toMatchObject({ reason: 'refused' });
    expect(forms()).toEqual([]);
  });

  it.each([
    ['vault.url', { vault: { url: 'https://vault.example.com/tokens' } }],
    ['vault.url', { vault: { url: 'https://{account}.example.com/tokens' } }],
    ['vault.url', { vault: { url: 'https://vault.example.com/tokens/x{account}' } }],
    ['vault.url', { vault: { url: 'https://vault.example.com/{account}/{account}' } }],
    ['vault.url', { vault: { url: 'https://vault.example.com/../{account}' } }],
    ['vault.url', { vault: { url: 'https://vault.example.com/tokens?of={account}' } }],
    ['vault.url', { vault: { url: 'ftp://vault.example.com/{account}' } }],
    ['vault.tokensAt', { vault: { ...vaultAt('https://vault.example.com'), tokensAt: 'tokens' } }],
    ['vault.headers.Host', { vault: { ...vaultAt('https://vault.example.com'), headers: { Host: 'x' } } }],
    ['vault.headers.x-token', { vault: { ...vaultAt('https://vault.example.com'), headers: { 'x-token': 'a\r\nb' } } }],
    ['privateKey', { privateKey: PEM }],
    ['privateKey', { clientSecret: undefined, privateKey: 'a-s3cret' }],
  ])('has its mistakes named at the start [%s] [%j]', (place, over) => {
    const { error } = oauthTokenRevocation.options.safeParse({ ...optionsAt('https://as.example.com'), ...over });
    expect(error?.issues.map(({ path }) => path.join('.'))).toContain(place);
    expect(JSON.stringify(error?.issues.map(({ message }) => message))).not.toContain('s3cret');
  });
});

describe('at oidc-provider', () => {
  let provider: Provider;
  let issuer: string;
  let close: () => unknown;
  let discovered: { token_endpoint: string; revocation_endpoint: string };
  let vault: Vendor;
  let calls: Awaited<ReturnType<typeof createCalls>>;
  const { n, e } = privateKey.export({ format: 'jwk' });
  const clients = {
    header: {
      client_id: 'by-header',
      client_secret: 'a-s3cret-of-it',
      token_endpoint_auth_method: 'client_secret_basic',
    },
    form: { client_id: 'by-form', client_secret: 'a-s3cret-of-it', token_endpoint_auth_method: 'client_secret_post' },
    key: {
      client_id: 'by-key',
      token_endpoint_auth_method: 'private_key_jwt',
      jwks: { keys: [{ kty: 'RSA', n, e, kid: 'key-1', use: 'sig' }] },
    },
    none: { client_id: 'public', token_endpoint_auth_method: 'none' },
  } as const;

  beforeAll(async () => {
    const server = createServer((req, res) => provider.callback()(req, res));
    await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
    issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    close = () => server.close().closeAllConnections();
    const { adapter } = createOktaStorage();
    provider = new Provider(issuer, {
      adapter,
      features: {
        revocation: { enabled: true, allowedPolicy: async (_ctx, client, token) => token.clientId === client.clientId },
        clientCredentials: { enabled: true },
        devInteractions: { enabled: false },
      },
      ttl: { AccessToken: 60, ClientCredentials: 60, Grant: 60, IdToken: 60, RefreshToken: 60 },
      findAccount: (_ctx, accountId) => ({ accountId, claims: () => ({ sub: accountId }) }),
      jwks: { keys: [{ ...privateKey.export({ format: 'jwk' }), kid: 'key-of-the-provider', use: 'sig' }] } as never,
      cookies: { keys: ['a key of the spec'] },
    });
    for (const [method, client] of Object.entries(clients)) {
      await adapter('Client').upsert(client.client_id, {
        ...client,
        grant_types: ['authorization_code', 'refresh_token', ...(method === 'none' ? [] : ['client_credentials'])],
        redirect_uris: ['https://app.example.com/callback'],
      });
    }
    discovered = (await (await fetch(`${issuer}/.well-known/openid-configuration`)).json()) as typeof discovered;
    vault = await startVendor();
    calls = await createCalls();
  });
  afterAll(() => Promise.all([close(), vault.close(), calls.close()]));

  async function issue(clientId: string): Promise<string> {
    const client = await provider.Client.find(clientId);
    const grant = new provider.Grant({ clientId, accountId: '00u1ada' });
    grant.addOIDCScope('openid offline_access');
    const grantId = await grant.save();
    const token = new provider.RefreshToken({
      client,
      accountId: '00u1ada',
      grantId,
      scope: 'openid offline_access',
      gty: 'authorization_code',
      expiresWithSession: false,
    } as never);
    return token.save();
  }

  const isGood = async (token: string) => (await provider.RefreshToken.find(token)) !== undefined;

  it.each([
    ['header', { clientSecret: 'a-s3cret-of-it' }],
    ['form', { clientSecret: 'a-s3cret-of-it', authIn: 'form' }],
    ['key', { privateKey: PEM, keyId: 'key-1' }],
    ['none', {}],
  ] as const)('a refresh token is good no more [%s]', async (method, proof) => {
    const { client_id: clientId } = clients[method];
    const [hers, others] = [await issue(clientId), await issue(clientId)];
    vault.reset([
      {
        call: 'GET /tokens/{}',
        expects: { headers: { accept: 'application/json' } },
        answer: ({ segments }) =>
          segments[0] === ACCOUNT ? { json: { tokens: [{ token: 'unknown to it' }, { token: hers }] } } : NOTHING,
      },
    ]);
    const options = oauthTokenRevocation.options.parse({
      ...proof,
      url: discovered.revocation_endpoint,
      clientId,
      audience: issuer,
      vault: { url: `${vault.url}/tokens/{account}` },
    });
    expect(await oauthTokenRevocation.check(options, calls.call())).toEqual(CHECK);
    expect([await isGood(hers), await isGood(others)]).toEqual([true, true]);
    expect(await oauthTokenRevocation.revoke(ACCOUNT, options, calls.call())).toMatchObject({ state: 'revoked' });
    expect([await isGood(hers), await isGood(others)]).toEqual([false, true]);
    if (method !== 'none') return;
    const refresh = async (refresh_token: string) => {
      const body = new URLSearchParams({ grant_type: 'refresh_token', client_id: clientId, refresh_token });
      return (await fetch(discovered.token_endpoint, { method: 'POST', body })).status;
    };
    expect([await refresh(hers), await refresh(others)]).toEqual([400, 200]);
  });

  it('a wrong secret is found by the check', async () => {
    const options = oauthTokenRevocation.options.parse({
      url: discovered.revocation_endpoint,
      clientId: 'by-header',
      clientSecret: 'another-s3cret',
      vault: { url: `${vault.url}/tokens/{account}` },
    });
    expect(await oauthTokenRevocation.check(options, calls.call())).toEqual({
      ok: false,
      problem: 'oauth-token-revocation: POST of a token answered 401',
    });
  });

  it.each([
    [
      'a secret in the header',
      () =>
        clientSecretGrant({
          tokenUrl: discovered.token_endpoint,
          clientId: 'by-header',
          clientSecret: () => 'a-s3cret-of-it',
        }),
    ],
    [
      'a secret in the form',
      () =>
        clientSecretGrant({
          tokenUrl: discovered.token_endpoint,
          clientId: 'by-form',
          clientSecret: () => 'a-s3cret-of-it',
          secretIn: 'form',
        }),
    ],
    [
      'a key',
      () =>
        privateKeyJwtGrant({
          tokenUrl: discovered.token_endpoint,
          clientId: 'by-key',
          privateKey: () => PEM,
          keyId: 'key-1',
        }),
    ],
  ] as const)('client credentials give a token, by %s', async (_what, grant) => {
    const { headers } = await oauth('spec', {}, grant)(calls.call());
    const [, token] = (headers.authorization as string).split(' ');
    expect(await provider.ClientCredentials.find(token as string)).toMatchObject({ kind: 'ClientCredentials' });
  });
});
