/** OpenID Connect Back-Channel Logout, with each logout token checked as §2.6 asks of a relying party. */
import { createLocalJWKSet, decodeProtectedHeader, jwtVerify } from 'jose';
import { type Call, ConnectorError } from '../../src/connectors/connector.js';
import { oidcBackchannelLogout } from '../../src/connectors/oidc-backchannel-logout.js';
import { createCalls } from '../support/call.js';
import { keepsContract } from '../support/connector-contract.js';
import { PUBLIC_URL } from '../support/gateway.js';
import { answer, startTargetApp, type TargetApp } from '../support/target-app.js';

const EVENT = 'http://schemas.openid.net/event/backchannel-logout';

keepsContract(oidcBackchannelLogout, {
  account: '00us3cret',
  options: (url) => ({ url: `${url}/backchannel-logout`, clientId: 'intranet' }),
  vendor: () => [
    {
      call: 'POST /backchannel-logout',
      expects: { form: { logout_token: expect.stringMatching(/^eyJ[\w-]+\.[\w-]+\.[\w-]+$/) } },
      answer: () => ({ status: 200 }),
    },
  ],
  calls: ['POST /backchannel-logout'],
  outcome: { state: 'revoked', what: ['sessions'], partial: 'refresh tokens with offline_access live on' },
  exceptions: {
    'POST /backchannel-logout': {
      // The relying party may not have fetched our key yet (§2.8).
      400: 'server',
      404: 'not_found',
      410: 'not_found',
    },
  },
  check: { ok: true, unasked: true, detail: 'nothing to ask: the specification has no call that changes nothing' },
  checksNothing: true,
});

let rp: TargetApp;
let calls: Awaited<ReturnType<typeof createCalls>>;

beforeAll(async () => {
  rp = await startTargetApp();
  calls = await createCalls();
});
beforeEach(() => {
  rp.calls.length = 0;
  rp.answerWith(answer(200));
});
afterAll(() => Promise.all([rp.close(), calls.close()]));

const revoke = (over: Partial<Call> = {}, options: object = {}) =>
  oidcBackchannelLogout.revoke('00u1ada', { url: rp.url, clientId: 'intranet', ...options }, calls.call(over));

const lastToken = () => new URLSearchParams(rp.calls.at(-1)?.body).get('logout_token') as string;

async function verifyLast(issuer = PUBLIC_URL) {
  const { payload } = await jwtVerify(lastToken(), createLocalJWKSet(calls.signingKeys.jwks), {
    typ: 'logout+jwt',
    algorithms: ['RS256'],
    issuer,
    audience: 'intranet',
    maxTokenAge: 120,
    requiredClaims: ['iss', 'aud', 'iat', 'exp', 'jti', 'events'],
  });
  return payload;
}

describe('the logout token', () => {
  it('verifies with our published keys, and has exactly the claims of §2.4', async () => {
    await revoke();
    const claims = await verifyLast();
    expect(claims).toEqual({
      iss: PUBLIC_URL,
      aud: 'intranet',
      sub: '00u1ada',
      iat: expect.any(Number),
      exp: expect.any(Number),
      jti: expect.stringMatching(/^[0-9a-f-]{36}$/),
      events: { [EVENT]: {} },
    });
    expect(decodeProtectedHeader(lastToken())).toEqual({
      alg: 'RS256',
      typ: 'logout+jwt',
      kid: calls.signingKeys.jwks.keys[0]?.kid,
    });
  });

  it('has no nonce, so that it can never pass for an ID token, and no sid, so that it ends every session', async () => {
    await revoke();
    expect(await verifyLast()).not.toHaveProperty('nonce');
    expect(await verifyLast()).not.toHaveProperty('sid');
  });

  it('lives two minutes at most, from the time of the call', async () => {
    const now = Date.now();
    await revoke({ now: () => new Date(now) });
    const { iat, exp } = (await verifyLast()) as { iat: number; exp: number };
    expect(iat).toBe(Math.floor(now / 1000));
    expect(exp - iat).toBeGreaterThan(0);
    expect(exp - iat).toBeLessThanOrEqual(120);
  });

  it('is a new one on every attempt', async () => {
    await revoke();
    const { jti } = await verifyLast();
    await revoke();
    expect((await verifyLast()).jti).not.toBe(jti);
  });

  it('names the issuer that the relying party expects, where that is not our own', async () => {
    await revoke({}, { issuer: 'https://acme.okta.com' });
    expect((await verifyLast('https://acme.okta.com')).iss).toBe('https://acme.okta.com');
    await expect(verifyLast()).rejects.toThrow('iss');
  });
});

describe('the request', () => {
  it('is a form with the logout token alone (§2.5)', async () => {
    await revoke();
    const [call] = rp.calls;
    expect(call).toMatchObject({ method: 'POST', path: '/logout' });
    expect(call?.headers['content-type']).toBe('application/x-www-form-urlencoded');
    expect(call?.headers.authorization).toBeUndefined();
    expect([...new URLSearchParams(call?.body).keys()]).toEqual(['logout_token']);
  });
});

describe('the outcome', () => {
  it.each([200, 204])('is that sessions have ended and offline tokens have not (§2.7) [%s]', async (status) => {
    rp.answerWith(answer(status));
    expect(await revoke()).toEqual({
      state: 'revoked',
      what: ['sessions'],
      partial: expect.stringContaining('offline_access'),
    });
  });

  it('of a 400 may be another one later, when the relying party has fetched our key (§2.8)', async () => {
    rp.answerWith((res, _call, count) => res.writeHead(count === 1 ? 400 : 200).end());
    await expect(revoke()).rejects.toMatchObject({ reason: 'server', retryable: true });
    await expect(revoke()).resolves.toMatchObject({ state: 'revoked' });
  });

  it('of refresh-only is a refusal, since the protocol can only end sessions, and nothing is sent', async () => {
    const error = await revoke({ mode: 'refresh-only' }).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(ConnectorError);
    expect(error).toMatchObject({ reason: 'refused', retryable: false });
    expect(rp.calls).toEqual([]);
  });
});
