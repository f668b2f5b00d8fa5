/** Gateways in a chain: what one accepts, the next one is told, and a ring of them comes to an end. */
import { createLocalJWKSet, jwtVerify } from 'jose';
import request from 'supertest';
import type { Call } from '../../src/connectors/connector.js';
import { globalTokenRevocation } from '../../src/connectors/global-token-revocation.js';
import { createCalls } from '../support/call.js';
import { keepsContract } from '../support/connector-contract.js';
import { eventually } from '../support/eventually.js';
import { ADMIN_TOKEN, PUBLIC_URL, startGateway } from '../support/gateway.js';
import { CLIENT, type Okta, signRevocation, startOkta } from '../support/okta.js';
import { freePort } from '../support/redis-server.js';
import { answer, type ReceivedCall, startTargetApp, type TargetApp } from '../support/target-app.js';

const PATH = '/global-token-revocation';
const SECRET = `whsec_${Buffer.alloc(24, 'chain').toString('base64')}`;

const route = (status: number, json?: object) => ({
  call: 'POST /global-token-revocation',
  expects: {
    headers: { authorization: expect.stringMatching(/^Bearer eyJ[\w-]+\.[\w-]+\.[\w-]+$/) },
    json: { sub_id: { format: 'email', email: 'ada.s3cret@example.com' } },
  },
  answer: () => ({ status, json }),
});

keepsContract(globalTokenRevocation, {
  account: 'ada.s3cret@example.com',
  options: (url) => ({ url: url + PATH, client: 'gateway-1' }),
  vendor: () => [route(204)],
  calls: ['POST /global-token-revocation'],
  outcome: { state: 'accepted', what: ['sessions', 'refresh_tokens'] },
  // The draft's word for an unknown user (§3.4.2); with a text of another kind the URL is wrong.
  unknown: { 'GTR-16': () => [route(404)], 'GTR-16, with a problem': () => [route(404, { status: 404 })] },
  check: { ok: true, unasked: true, detail: 'nothing to ask: the draft has no call that changes nothing' },
  checksNothing: true,
});

describe('what is sent', () => {
  let receiver: TargetApp;
  let calls: Awaited<ReturnType<typeof createCalls>>;

  beforeAll(async () => {
    receiver = await startTargetApp();
    calls = await createCalls();
  });
  beforeEach(() => {
    receiver.calls.length = 0;
    receiver.answerWith(answer(204));
  });
  afterAll(() => Promise.all([receiver.close(), calls.close()]));

  const revoke = (over: Partial<Call> = {}, options: object = {}, account = 'ada@example.com') =>
    globalTokenRevocation.revoke(account, { url: receiver.url, client: 'gateway-1', ...options }, calls.call(over));

  const last = () => receiver.calls.at(-1) as ReceivedCall;

  async function verifyLast() {
    const [scheme, jwt] = (last().headers.authorization ?? '').split(' ');
    expect(scheme).toBe('Bearer');
    return jwtVerify(jwt as string, createLocalJWKSet(calls.signingKeys.jwks), { typ: 'global-token-revocation+jwt' });
  }

  it("is a JWT in Okta's profile, and a via claim (OKTA-03 to OKTA-09)", async () => {
    const now = Date.now();
    await revoke({ now: () => new Date(now), via: ['https://first.example.com', PUBLIC_URL] });
    const { payload, protectedHeader } = await verifyLast();
    const iat = Math.floor(now / 1000);
    expect(payload).toEqual({
      iss: PUBLIC_URL,
      sub: 'gateway-1',
      aud: receiver.url,
      jti: expect.stringMatching(/^[0-9a-f-]{36}$/),
      iat,
      nbf: iat - 300,
      exp: iat + 300,
      via: ['https://first.example.com', PUBLIC_URL],
    });
    expect(protectedHeader).toEqual({
      alg: 'RS256',
      typ: 'global-token-revocation+jwt',
      kid: calls.signingKeys.jwks.keys[0]?.kid,
    });
  });

  it('of refresh-only is a refusal, since the request can only end everything, and nothing is sent', async () => {
    const before = receiver.calls.length;
    await expect(revoke({ mode: 'refresh-only' })).rejects.toMatchObject({ reason: 'refused', retryable: false });
    expect(receiver.calls).toHaveLength(before);
  });

  it('is posted as JSON with sub_id and nothing else (OKTA-01, OKTA-11)', async () => {
    await revoke();
    expect(last()).toMatchObject({ method: 'POST', headers: { 'content-type': 'application/json' } });
    expect(JSON.parse(last().body)).toEqual({ sub_id: { format: 'email', email: 'ada@example.com' } });
  });

  it('names the subject under an issuer where the receiver knows users so', async () => {
    await revoke({}, { subjectIssuer: 'https://acme.okta.com' });
    expect(JSON.parse(last().body)).toEqual({
      sub_id: { format: 'iss_sub', iss: 'https://acme.okta.com', sub: 'ada@example.com' },
    });
  });

  it('has the URL without its query for an audience, and another issuer where one is given (OKTA-08)', async () => {
    await revoke({}, { url: `${receiver.url}?tenant=1`, issuer: 'https://elsewhere.example.com' });
    expect(last().path).toBe('/logout?tenant=1');
    expect((await verifyLast()).payload).toMatchObject({ aud: receiver.url, iss: 'https://elsewhere.example.com' });
  });

  it('has a fresh jti on every attempt, so that a receiver never takes it for a replay', async () => {
    receiver.answerWith((res, _call, count) => res.writeHead(count === 1 ? 503 : 204).end());
    await expect(revoke()).rejects.toMatchObject({ reason: 'server', retryable: true });
    const first = (await verifyLast()).payload.jti;
    await revoke();
    expect((await verifyLast()).payload.jti).not.toBe(first);
  });

  it('comes to nothing at a receiver that knows no such user (GTR-16)', async () => {
    receiver.answerWith(answer(404));
    expect(await revoke()).toEqual({ state: 'none', what: [] });
  });

  it('is refused where a web page says 404: that is a wrong URL', async () => {
    receiver.answerWith(answer(404, { 'content-type': 'text/html' }, '<html>Not Found</html>'));
    await expect(revoke()).rejects.toMatchObject({ reason: 'refused', retryable: false });
    receiver.answerWith(answer(404, { 'content-type': 'application/problem+json' }, '{"status":404}'));
    expect(await revoke()).toEqual({ state: 'none', what: [] });
  });

  it('is nothing where the account is no address, unless it goes under an issuer', async () => {
    await expect(revoke({}, {}, '00u1ada')).rejects.toMatchObject({ reason: 'refused', retryable: false });
    expect(receiver.calls).toEqual([]);
    await revoke({}, { subjectIssuer: 'https://acme.okta.com' }, '00u1ada');
    expect(JSON.parse(last().body)).toMatchObject({ sub_id: { format: 'iss_sub', sub: '00u1ada' } });
  });

  it('counts as accepted, since 204 means that the receiver has begun (GTR-11)', async () => {
    expect(await revoke()).toEqual({ state: 'accepted', what: ['sessions', 'refresh_tokens'] });
  });
});

describe('two gateways, each of which hands on to the other', () => {
  let okta: Okta;
  let appA: TargetApp;
  let appB: TargetApp;
  let a: Awaited<ReturnType<typeof startGateway>>;
  let b: Awaited<ReturnType<typeof startGateway>>;

  beforeAll(async () => {
    [okta, appA, appB] = await Promise.all([startOkta(), startTargetApp(), startTargetApp()]);
    const [portA, portB] = [await freePort(), await freePort()];
    const [urlA, urlB] = [`http://127.0.0.1:${portA}`, `http://127.0.0.1:${portB}`];
    const trustIn = (url: string, client: string) => ({
      id: 'gateway',
      issuers: [url],
      client,
      keys: { jwksUri: `${url}/.well-known/jwks.json` },
    });
    const handOn = (url: string, client: string) => ({
      id: 'gateway',
      connector: 'global-token-revocation',
      options: { url: url + PATH, client },
    });
    const trustInOkta = { id: 'okta', issuers: [okta.issuer], client: CLIENT, keys: { jwksUri: okta.jwksUri } };
    const ownApp = (url: string) => ({ id: 'intranet', connector: 'webhook', options: { url, secret: SECRET } });
    [a, b] = await Promise.all([
      startGateway(
        {
          publicUrl: urlA,
          tenants: [
            { id: 'default', trusts: [trustInOkta, trustIn(urlB, 'b')], apps: [ownApp(appA.url), handOn(urlB, 'a')] },
          ],
        },
        { config: { port: portA } },
      ),
      startGateway(
        {
          publicUrl: urlB,
          tenants: [{ id: 'default', trusts: [trustIn(urlA, 'a')], apps: [ownApp(appB.url), handOn(urlA, 'b')] }],
        },
        { config: { port: portB } },
      ),
    ]);
    const person = (userName: string) => ({ userName, active: true, emails: [userName], phoneNumbers: [], groups: [] });
    for (const gateway of [a, b]) await gateway.directory.put('default', person('ada@example.com'));
    await a.directory.put('default', person('grace@example.com'));
  });

  beforeEach(() => {
    appA.calls.length = 0;
    appB.calls.length = 0;
  });

  afterAll(async () => {
    await Promise.all([a.close(), b.close()]);
    await Promise.all([okta.close(), appA.close(), appB.close()]);
  });

  async function newest(gateway: typeof a) {
    const { body } = await request(gateway.url).get('/api/revocations').set('authorization', `Bearer ${ADMIN_TOKEN}`);
    return body.revocations[0];
  }

  const finished = (gateway: typeof a) =>
    eventually(
      () => newest(gateway),
      (record) => record !== undefined && record.status !== 'pending',
    );

  const stateOf = (record: { apps: { app: string }[] }, app: string) => record.apps.find((one) => one.app === app);

  async function revokeAtA(email: string) {
    const jwt = await signRevocation(okta.key, { issuer: okta.issuer, audience: a.config.settings.publicUrl + PATH });
    const response = await request(a.url)
      .post(PATH)
      .set('authorization', `Bearer ${jwt}`)
      .send({ sub_id: { format: 'email', email } });
    expect(response.status).toBe(204);
  }

  it('revoke in both, once each, though B hands the revocation back to A', async () => {
    await revokeAtA('ada@example.com');
    const [atA, atB] = await Promise.all([finished(a), finished(b)]);
    expect(atA).toMatchObject({ status: 'completed', trust: 'okta' });
    expect(stateOf(atA, 'gateway')).toMatchObject({ state: 'accepted', attempts: 1 });
    expect(atB).toMatchObject({ status: 'completed', trust: 'gateway', via: [a.config.settings.publicUrl] });
    expect(stateOf(atB, 'gateway')).toMatchObject({ state: 'accepted', attempts: 1 });

    const looped = await eventually(
      () => a.audit(),
      (entries) => entries.some(({ event }) => event === 'revocation.looped'),
    );
    expect(looped.filter(({ event }) => event === 'revocation.looped')).toHaveLength(1);
    expect(looped.filter(({ event }) => event === 'revocation.accepted')).toHaveLength(1);
    expect(appA.calls).toHaveLength(1);
    expect(appB.calls).toHaveLength(1);
  });

  it('leave it at nothing where the second knows no such user', async () => {
    await revokeAtA('grace@example.com');
    const record = await eventually(
      () => newest(a),
      ({ status, apps }) =>
        status !== 'pending' && stateOf({ apps }, 'gateway') !== undefined && appA.calls.length === 1,
    );
    expect(record.status).toBe('completed');
    expect(stateOf(record, 'gateway')).toMatchObject({ state: 'none', attempts: 1 });
    expect(appB.calls).toEqual([]);
  });
});
