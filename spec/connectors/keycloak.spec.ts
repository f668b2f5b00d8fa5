/** Keycloak: an exact look-up, a logout, and consents that are listed until none is left. */
import { keycloak } from '../../src/connectors/keycloak.js';
import { createCalls } from '../support/call.js';
import { keepsContract } from '../support/connector-contract.js';
import { type Route, startVendor } from '../support/vendor.js';

const ACCOUNT = 'ada.s3cret@example.com';
const TOKEN = 'POST /realms/acme/protocol/openid-connect/token';
const FIND = 'GET /admin/realms/acme/users';
const LOGOUT = 'POST /admin/realms/acme/users/{}/logout';
const SESSIONS = 'GET /admin/realms/acme/users/{}/sessions';
const CONSENTS = 'GET /admin/realms/acme/users/{}/consents';
const WITHDRAW = 'DELETE /admin/realms/acme/users/{}/consents/{}';
const headers = { authorization: 'Bearer token-s3cret' };

const ADA = { id: 'u-1', username: 'ada', email: 'Ada.S3cret@example.com' };
const UNKNOWN = { status: 404, json: { error: 'User not found' } };

function vendor(users: unknown[] = [ADA], known = true): Route[] {
  const sessions = [{ id: 's-1' }];
  const consents = [{ clientId: 'wiki' }, { clientId: 'shop' }];
  return [
    {
      call: TOKEN,
      changesNothing: true,
      expects: {
        headers: { authorization: `Basic ${Buffer.from('gateway:a-s3cret_of-keycloak').toString('base64')}` },
        form: { grant_type: 'client_credentials' },
      },
      answer: () => ({ json: { access_token: 'token-s3cret', token_type: 'Bearer', expires_in: 60 } }),
    },
    {
      call: FIND,
      expects: [
        { headers, query: { email: ACCOUNT, exact: 'true' } },
        { headers, query: { max: '1' } }, // The check.
      ],
      answer: () => ({ json: users }),
    },
    {
      call: LOGOUT,
      expects: { headers },
      answer: () => {
        sessions.length = 0;
        return known ? { status: 204 } : UNKNOWN;
      },
    },
    { call: SESSIONS, expects: { headers }, answer: () => ({ json: sessions }) },
    { call: CONSENTS, expects: { headers }, answer: () => (known ? { json: consents } : UNKNOWN) },
    {
      call: WITHDRAW,
      expects: { headers },
      answer: ({ segments }) => {
        const at = consents.findIndex(({ clientId }) => clientId === segments[1]);
        if (at < 0) return { status: 404, json: { error: 'Consent nor offline token not found' } };
        consents.splice(at, 1);
        return { status: 204 };
      },
    },
  ];
}

const optionsAt = (url: string) => ({
  ...{ url, realm: 'acme', clientId: 'gateway', clientSecret: 'a-s3cret_of-keycloak' },
});

keepsContract(keycloak, {
  account: ACCOUNT,
  options: optionsAt,
  vendor: () => vendor(),
  calls: [TOKEN, FIND, LOGOUT, SESSIONS, CONSENTS, WITHDRAW, WITHDRAW, CONSENTS],
  main: LOGOUT,
  outcome: { state: 'revoked', what: ['sessions', 'refresh_tokens'], verified: true },
  reads: [TOKEN],
  exceptions: { [TOKEN]: { 400: 'auth', 404: 'auth', 410: 'auth' } },
  unknown: {
    'nobody is found': () => vendor([]),
    'only others who resemble the account are found': () => vendor([{ id: 'u-2', email: `x${ACCOUNT}` }]),
    'the user has gone since': () => vendor([ADA], false),
  },
  check: {
    ok: true,
    detail: 'users can be read; whether they can be logged out shows at the first revocation',
  },
});

it('has no refresh-only: refresh tokens of an online session would live on, and nothing would say so', async () => {
  const server = await startVendor(vendor());
  const calls = await createCalls();
  const asked = keycloak.revoke(
    ACCOUNT,
    keycloak.options.parse(optionsAt(server.url)),
    calls.call({ mode: 'refresh-only' }),
  );
  await expect(asked).rejects.toMatchObject({ reason: 'refused', retryable: false });
  expect(server.requests).toEqual([]);
  await Promise.all([server.close(), calls.close()]);
});
