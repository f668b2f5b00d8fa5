/** CAEP: each event is checked as SSF 1.0 and RFC 8417 ask of a receiver, by jose, with our published keys. */
import { createLocalJWKSet, decodeProtectedHeader, jwtVerify } from 'jose';
import { caep } from '../../src/connectors/caep.js';
import type { Call } from '../../src/connectors/connector.js';
import { createCalls } from '../support/call.js';
import { keepsContract } from '../support/connector-contract.js';
import { PUBLIC_URL } from '../support/gateway.js';
import { answer, startTargetApp, type TargetApp } from '../support/target-app.js';

const ACCOUNT = 'ada.s3cret@example.com';
const PUSH = 'POST /ssf/events';
const SESSION_REVOKED = 'https://schemas.openid.net/secevent/caep/event-type/session-revoked';
const VERIFICATION = 'https://schemas.openid.net/secevent/ssf/event-type/verification';

const vendor = () => [
  {
    call: PUSH,
    changesNothing: true as const,
    expects: {
      headers: {
        authorization: 'Bearer a-s3cret-of-the-receiver',
        'content-type': 'application/secevent+jwt',
        accept: 'application/json',
      },
      text: expect.stringMatching(/^eyJ[\w-]+\.[\w-]+\.[\w-]+$/),
    },
    answer: () => ({ status: 202 }),
  },
];

keepsContract(caep, {
  account: ACCOUNT,
  options: (url) => ({
    url: `${url}/ssf/events`,
    audience: 'https://receiver.example.com',
    bearer: 'a-s3cret-of-the-receiver',
    streamId: 'stream-1',
  }),
  vendor,
  calls: [PUSH],
  outcome: { state: 'accepted', what: ['sessions'] },
  check: { ok: true, detail: 'the receiver took a verification event; what it does about others is up to it' },
});

describe('caep', () => {
  let receiver: TargetApp;
  let calls: Awaited<ReturnType<typeof createCalls>>;

  beforeAll(async () => {
    receiver = await startTargetApp();
    calls = await createCalls();
  });
  beforeEach(() => {
    receiver.calls.length = 0;
    receiver.answerWith(answer(202));
  });
  afterAll(() => Promise.all([receiver.close(), calls.close()]));

  const optionsOf = (over: object) =>
    caep.options.parse({ url: receiver.url, audience: 'https://receiver.example.com', ...over });
  const revoke = (over: object = {}, account = ACCOUNT, call: Partial<Call> = {}) =>
    caep.revoke(account, optionsOf(over), calls.call(call));

  async function verifyLast(issuer = PUBLIC_URL) {
    const body = receiver.calls.at(-1)?.body as string;
    const { payload } = await jwtVerify(body, createLocalJWKSet(calls.signingKeys.jwks), {
      typ: 'secevent+jwt',
      algorithms: ['RS256'],
      issuer,
      audience: 'https://receiver.example.com',
      requiredClaims: ['iss', 'aud', 'iat', 'jti', 'sub_id', 'events'],
    });
    return payload;
  }

  it('sends the claims of SSF 1.0 and no others: neither sub nor exp, one event, a reason', async () => {
    const now = Date.now();
    await revoke({}, ACCOUNT, { now: () => new Date(now), acceptedAt: now - 5_000 });
    expect(await verifyLast()).toEqual({
      iss: PUBLIC_URL,
      aud: 'https://receiver.example.com',
      iat: Math.floor(now / 1000),
      jti: 'rev_0123456789abcdef_intranet',
      txn: 'rev_0123456789abcdef',
      sub_id: { format: 'email', email: ACCOUNT },
      events: {
        [SESSION_REVOKED]: {
          event_timestamp: Math.floor((now - 5_000) / 1000),
          reason_admin: { en: 'A universal logout was requested.' },
        },
      },
    });
    expect(decodeProtectedHeader(receiver.calls[0]?.body as string)).toEqual({
      alg: 'RS256',
      typ: 'secevent+jwt',
      kid: calls.signingKeys.jwks.keys[0]?.kid,
    });
    expect(receiver.calls[0]?.headers).not.toHaveProperty('authorization');
  });

  it('sends a repeat under the same jti, signed anew', async () => {
    await revoke({}, ACCOUNT, { now: () => new Date(Date.now() - 60_000) });
    const first = await verifyLast();
    await revoke();
    const second = await verifyLast();
    expect(second.jti).toBe(first.jti);
    expect(second.iat).not.toBe(first.iat);
  });

  it('names the account as the receiver knows it', async () => {
    await revoke({ subject: 'opaque' }, '00u1ada');
    expect((await verifyLast()).sub_id).toEqual({ format: 'opaque', id: '00u1ada' });
    const issuer = 'https://acme.okta.com';
    await revoke({ subject: 'iss_sub', subjectIssuer: issuer, issuer, reasonAdmin: 'Lost laptop.' }, '00u1ada');
    const { sub_id, events } = await verifyLast(issuer);
    expect(sub_id).toEqual({ format: 'iss_sub', iss: issuer, sub: '00u1ada' });
    expect(events).toMatchObject({ [SESSION_REVOKED]: { reason_admin: { en: 'Lost laptop.' } } });
  });

  it('calls nobody where the account is to be an address and is none', async () => {
    await expect(revoke({}, '00u1ada')).rejects.toMatchObject({ reason: 'refused', retryable: false });
    expect(receiver.calls).toEqual([]);
  });

  it('wants an issuer of the subject where that has one, and nowhere else', () => {
    const problem = (over: object) => {
      const result = caep.options.safeParse({ url: 'https://a.example.com', audience: 'a', ...over });
      return result.error?.issues.map(({ path }) => path.join('.'));
    };
    expect(problem({ subject: 'iss_sub' })).toEqual(['subjectIssuer']);
    expect(problem({ subjectIssuer: 'https://acme.okta.com' })).toEqual(['subjectIssuer']);
    expect(problem({ subject: 'saml' })).toEqual(['subject']);
    expect(problem({})).toBeUndefined();
  });

  it.each([
    ['invalid_request', 'refused'],
    ['invalid_key', 'server'],
    ['invalid_issuer', 'auth'],
    ['invalid_audience', 'auth'],
    ['authentication_failed', 'auth'],
    ['access_denied', 'auth'],
    ['constructor', 'refused'],
    ['something_else', 'refused'],
  ])('tells what a 400 is about by its code (RFC 8935 §2.4) [%s]', async (err, reason) => {
    receiver.answerWith(answer(400, {}, JSON.stringify({ err, description: 's3cret' })));
    const error = await revoke().catch((thrown: Error) => thrown);
    expect(error).toMatchObject({ reason, message: 'caep: POST of the event answered 400' });
  });

  it('is checked by a verification event about the stream, without state (SSF 1.0 §8.1.4.2)', async () => {
    const check = (over: object) => caep.check(optionsOf(over), calls.call());
    expect(await check({})).toMatchObject({
      ok: true,
      unasked: true,
      detail: expect.stringContaining('nothing asked'),
    });
    expect(receiver.calls).toEqual([]);
    await check({ streamId: 'stream-1' });
    const { sub_id, events } = await verifyLast();
    expect(sub_id).toEqual({ format: 'opaque', id: 'stream-1' });
    expect(events).toEqual({ [VERIFICATION]: {} });
  });
});
