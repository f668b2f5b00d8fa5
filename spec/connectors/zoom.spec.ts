/** Zoom: one call, and a token of a grant type of its own. */
import { zoom } from '../../src/connectors/zoom.js';
import { keepsContract } from '../support/connector-contract.js';
import type { Route } from '../support/vendor.js';

const ACCOUNT = 'ada.s3cret@example.com';
const BASIC = `Basic ${Buffer.from('client-1:a-s3cret-of-zoom').toString('base64')}`;
const TOKEN = 'POST /oauth/token';
const REVOKE = 'DELETE /v2/users/{}/token';

const UNKNOWN = { status: 404, json: { code: 1001, message: 'User does not exist' } };

const vendor = (): Route[] => [
  {
    call: TOKEN,
    changesNothing: true,
    expects: {
      headers: { authorization: BASIC },
      form: { grant_type: 'account_credentials', account_id: 'account-1' },
    },
    answer: () => ({ json: { access_token: 'token-s3cret', token_type: 'bearer', expires_in: 3599 } }),
  },
  {
    call: REVOKE,
    expects: { headers: { authorization: 'Bearer token-s3cret' } },
    answer: ({ segments }) => (segments[0] === ACCOUNT ? { status: 204 } : UNKNOWN),
  },
];

keepsContract(zoom, {
  account: ACCOUNT,
  options: (url) => ({
    accountId: 'account-1',
    clientId: 'client-1',
    clientSecret: 'a-s3cret-of-zoom',
    url,
    tokenUrl: `${url}/oauth/token`,
  }),
  vendor,
  calls: [TOKEN, REVOKE],
  outcome: { state: 'revoked', what: ['sessions'], partial: 'sessions without SSO and tokens of OAuth apps live on' },
  reads: [TOKEN],
  exceptions: { [TOKEN]: { 400: 'auth', 404: 'auth', 410: 'auth' } },
  unknown: {
    'no such user': () =>
      vendor().map((route) => (route.call === REVOKE ? { ...route, answer: () => UNKNOWN } : route)),
  },
  check: { ok: true, detail: 'Zoom gave a token; whether its scope suffices shows at the first revocation' },
});
