/** Access tokens: of a real authorization server, asked for once for all who wait, and forgotten before they expire. */
import { generateKeyPairSync } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { exportJWK, importSPKI, jwtVerify } from 'jose';
import { Provider } from 'oidc-provider/lib/provider.js';
import { createOktaStorage } from '../../src/commands/demo/okta-storage.js';
import {
  clientSecretGrant,
  type Grant,
  jwtBearerGrant,
  oauth,
  privateKey,
  privateKeyJwtGrant,
} from '../../src/connectors/oauth.js';
import { createCalls } from '../support/call.js';
import { answer, startTargetApp, type TargetApp } from '../support/target-app.js';

const pair = generateKeyPairSync('rsa', { modulusLength: 2048 });
const PEM = pair.privateKey.export({ type: 'pkcs8', format: 'pem' }) as string;
const PKCS1 = pair.privateKey.export({ type: 'pkcs1', format: 'pem' }) as string;
const PUBLIC = pair.publicKey.export({ type: 'spki', format: 'pem' }) as string;

let calls: Awaited<ReturnType<typeof createCalls>>;

beforeAll(async () => {
  calls = await createCalls();
});
afterAll(() => calls.close());

const headersFor = (grant: () => Grant | Promise<Grant>, options: object = {}) =>
  oauth('spec', options, grant)(calls.call());

describe('a real authorization server (oidc-provider)', () => {
  let server: Server;
  let provider: Provider;
  let tokenUrl: string;
  let audience: string;

  beforeAll(async () => {
    server = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const { kty, n, e } = await exportJWK(pair.publicKey);
    const machine = { grant_types: ['client_credentials'], response_types: [] as [], redirect_uris: [] };
    const { adapter } = createOktaStorage();
    const secretive = { ...machine, client_secret: 'a-s3cret' };
    await adapter('Client').upsert('header', { ...secretive, client_id: 'header' });
    await adapter('Client').upsert('form', {
      ...{ ...secretive, client_id: 'form', token_endpoint_auth_method: 'client_secret_post' },
    });
    await adapter('Client').upsert('signs', {
      ...{ ...machine, client_id: 'signs', token_endpoint_auth_method: 'private_key_jwt' },
      jwks: { keys: [{ kty, n, e, kid: 'k1', use: 'sig' }] } as never,
    });
    provider = new Provider(issuer, {
      adapter,
      features: { clientCredentials: { enabled: true }, devInteractions: { enabled: false } },
    });
    server.on('request', provider.callback());
    tokenUrl = `${issuer}/token`;
    audience = issuer;
  });
  afterAll(() => {
    server.close();
    server.closeAllConnections();
  });

  async function expectToken(headers: Record<string, string>, clientId: string): Promise<void> {
    const [scheme, token] = (headers.authorization ?? '').split(' ');
    expect(scheme).toBe('Bearer');
    expect(await provider.ClientCredentials.find(token as string)).toMatchObject({ clientId });
  }

  it.each(['header', 'form'] as const)('gives one for a client secret [in the %s]', async (secretIn) => {
    const grant = (secret: string) => () =>
      clientSecretGrant({ tokenUrl, clientId: secretIn, clientSecret: () => secret, secretIn });
    await expectToken((await headersFor(grant('a-s3cret'))).headers, secretIn);
    await expect(headersFor(grant('another'))).rejects.toMatchObject({ name: 'ConnectorError', reason: 'auth' });
  });

  it('gives one for a signature (private_key_jwt)', async () => {
    const grant = (keyId?: string) => () =>
      privateKeyJwtGrant({ tokenUrl, audience, clientId: 'signs', privateKey: () => PEM, keyId });
    await expectToken((await headersFor(grant('k1'))).headers, 'signs');
    await expectToken((await headersFor(grant())).headers, 'signs');
    const other = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({
      type: 'pkcs8',
      format: 'pem',
    });
    const forged = () =>
      privateKeyJwtGrant({ tokenUrl, audience, clientId: 'signs', privateKey: () => other as string });
    await expect(headersFor(forged)).rejects.toMatchObject({ reason: 'auth' });
  });
});

describe('the JWT of a service account', () => {
  let endpoint: TargetApp;

  beforeAll(async () => {
    endpoint = await startTargetApp(answer(200, {}, '{"access_token":"t","token_type":"Bearer","expires_in":3600}'));
  });
  afterAll(() => endpoint.close());

  it('is sent as the assertion of the JWT bearer grant (RFC 7523), good for five minutes', async () => {
    const now = new Date();
    const of = {
      tokenUrl: endpoint.url,
      issuer: 'robot@example.com',
      subject: 'admin@example.com',
      claims: { scope: 'a b' },
    };
    await headersFor(() => jwtBearerGrant({ ...of, privateKey: () => PKCS1, keyId: 'k1' }, now));
    const form = new URLSearchParams(endpoint.calls[0]?.body);
    expect(new Set(form.keys())).toEqual(new Set(['assertion', 'grant_type']));
    expect(form.get('grant_type')).toBe('urn:ietf:params:oauth:grant-type:jwt-bearer');
    const { payload, protectedHeader } = await jwtVerify(
      form.get('assertion') as string,
      await importSPKI(PUBLIC, 'RS256'),
    );
    const iat = Math.floor(now.getTime() / 1000);
    expect(payload).toEqual({
      ...{ iss: 'robot@example.com', sub: 'admin@example.com', aud: endpoint.url, scope: 'a b', iat, exp: iat + 300 },
      jti: expect.any(String),
    });
    expect(protectedHeader).toEqual({ alg: 'RS256', typ: 'JWT', kid: 'k1' });
    expect(endpoint.calls[0]?.headers.authorization).toBeUndefined();
  });

  it('is refused among the options where it is no private RSA key', () => {
    const accepts = (pem: string) => privateKey().safeParse(pem);
    for (const pem of [PEM, PKCS1, PEM.replaceAll('\n', '\\n')]) expect(accepts(pem).success).toBe(true);
    const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ type: 'pkcs8', format: 'pem' });
    for (const pem of ['', 'x', PUBLIC, ec as string, PEM.slice(0, 200)]) {
      expect(accepts(pem).error?.issues[0]?.message).toBe('is not a private RSA key in PEM');
    }
  });
});

describe('a token', () => {
  let endpoint: TargetApp;
  let given: number;

  beforeEach(async () => {
    given = 0;
    endpoint = await startTargetApp((res) => {
      given += 1;
      res.end(JSON.stringify({ access_token: `t${given}`, token_type: 'bearer', expires_in: 600 }));
    });
  });
  afterEach(() => endpoint.close());

  const grant = () => clientSecretGrant({ tokenUrl: endpoint.url, clientId: 'c', clientSecret: () => 'a-s3cret' });
  const authorize = (options: object, over: object = {}) => oauth('spec', options, grant)(calls.call(over));

  it('is asked for once for all who wait, and then kept', async () => {
    const options = {};
    const all = await Promise.all(Array.from({ length: 50 }, () => authorize(options)));
    expect(new Set(all.map(({ headers }) => headers.authorization))).toEqual(new Set(['Bearer t1']));
    expect((await authorize(options)).headers.authorization).toBe('Bearer t1');
    expect(endpoint.calls).toHaveLength(1);
  });

  it('is each app its own', async () => {
    expect((await authorize({})).headers).not.toEqual((await authorize({})).headers);
  });

  it.each([
    [538, 't1'],
    [541, 't2'],
  ])('is good until a tenth of its life, or a minute, is left [after %s s: %s]', async (seconds, token) => {
    const options = {};
    await authorize(options);
    const now = () => new Date(Date.now() + seconds * 1000);
    expect((await authorize(options, { now })).headers.authorization).toBe(`Bearer ${token}`);
  });

  it('that was kept can be declared stale, and the next one is new; one that is new cannot', async () => {
    const options = {};
    const first = await authorize(options);
    expect(first.stale).toBeUndefined();
    const second = await authorize(options);
    second.stale?.();
    // Once more by another call that held the same one: the new token stays.
    expect((await authorize(options)).headers.authorization).toBe('Bearer t2');
    second.stale?.();
    expect((await authorize(options)).headers.authorization).toBe('Bearer t2');
  });

  it('that is not given is asked for again the next time', async () => {
    const options = {};
    endpoint.answerWith(answer(503, { 'retry-after': '9' }));
    await expect(authorize(options)).rejects.toMatchObject({ reason: 'server', retryAfterMs: 9_000 });
    endpoint.answerWith(answer(200, {}, '{"access_token":"t","token_type":"bearer"}'));
    expect((await authorize(options)).headers.authorization).toBe('Bearer t');
  });

  it.each([
    [400, 'auth'],
    [401, 'auth'],
    [403, 'auth'],
    [404, 'auth'],
    [410, 'auth'],
    [429, 'rate_limited'],
    [500, 'server'],
    [302, 'refused'],
  ])('is refused with %s: %s', async (status, reason) => {
    endpoint.answerWith(answer(status, {}, '{"error":"s3cret"}'));
    const error = await authorize({}).catch((thrown: Error) => thrown);
    // Also a 403 there is about the credential, and about no account.
    expect(error).toMatchObject({ name: 'ConnectorError', reason, forbidden: false });
    expect(String((error as Error).message)).not.toContain('s3cret');
  });

  it.each([
    '',
    '<html>',
    '{}',
    '{"access_token":""}',
    '{"access_token":"t"}',
    '{"access_token":"t","token_type":"s3cret"}',
    '[]',
  ])('is none in an answer without one [%s]', async (text) => {
    endpoint.answerWith(answer(200, {}, text));
    const error = await authorize({}).catch((thrown: Error) => thrown);
    expect(error).toMatchObject({ name: 'ConnectorError', reason: 'server' });
    expect((error as Error).cause).toBeUndefined();
  });

  it('is not waited for beyond the deadline of a call, and arrives for the others all the same', async () => {
    const options = {};
    endpoint.answerWith((res) =>
      setTimeout(() => res.end('{"access_token":"late","token_type":"bearer","expires_in":600}'), 400),
    );
    const hasty = authorize(options, { signal: AbortSignal.timeout(100) });
    const patient = authorize(options);
    await expect(hasty).rejects.toMatchObject({ reason: 'timeout' });
    expect((await patient).headers.authorization).toBe('Bearer late');
    expect(endpoint.calls).toHaveLength(1);
  });
});

describe('a token endpoint that takes JSON', () => {
  let endpoint: TargetApp;

  beforeAll(async () => {
    endpoint = await startTargetApp(answer(201, {}, '{"access_token":"t","token_type":"bearer","expires_in":600}'));
  });
  afterAll(() => endpoint.close());

  const grant = () =>
    clientSecretGrant({
      ...{ tokenUrl: endpoint.url, clientId: 'c&d', clientSecret: () => 'a+s3cret%', secretIn: 'json' },
      parameters: { scope: 'read write' },
    });

  it('is sent all of the grant as JSON, once', async () => {
    const options = {};
    for (let time = 1; time <= 2; time += 1) {
      expect((await headersFor(grant, options)).headers).toEqual({ authorization: 'Bearer t' });
    }
    expect(endpoint.calls).toHaveLength(1);
    const { headers, body } = endpoint.calls[0] as (typeof endpoint.calls)[0];
    expect(headers['content-type']).toBe('application/json');
    expect(headers.accept).toBe('application/json');
    expect(headers.authorization).toBeUndefined();
    expect(JSON.parse(body)).toEqual({
      ...{ client_id: 'c&d', client_secret: 'a+s3cret%' },
      ...{ grant_type: 'client_credentials', scope: 'read write' },
    });
  });

  it('keeps what it says of a refusal to itself', async () => {
    endpoint.answerWith(answer(401, {}, '{"error":"invalid_client","error_description":"a+s3cret%"}'));
    const error = await headersFor(grant).catch((thrown: Error) => thrown);
    expect(error).toMatchObject({ name: 'ConnectorError', reason: 'auth' });
    expect((error as Error).message).not.toContain('s3cret');
    expect((error as Error).cause).toBeUndefined();
  });
});
