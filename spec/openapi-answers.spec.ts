/** What a running gateway answers is what openapi.yaml says: status, headers, content type and body. */
import fc from 'fast-check';
import { Webhook } from 'standardwebhooks';
import request, { type Response } from 'supertest';
import { createRevocationRecords } from '../src/fanout/record.js';
import { listen, openGateway } from '../src/gateway.js';
import { expectDocumented } from './support/documented.js';
import { eventually } from './support/eventually.js';
import { ADMIN_TOKEN, configOf, PUBLIC_URL, startGateway } from './support/gateway.js';
import { CLIENT, type Okta, signRevocation, startOkta } from './support/okta.js';
import { examples, mismatches, operations } from './support/openapi.js';
import { createOutcomes } from './support/outcome.js';
import { answer, startTargetApp, type TargetApp } from './support/target-app.js';

const PATH = '/global-token-revocation';
const SECRET = `whsec_${Buffer.alloc(24, 'openapi').toString('base64')}`;
const SCIM_TOKEN = 'a-scim-token-of-the-specs';
const SCIM = 'urn:ietf:params:scim:schemas:core:2.0';

let okta: Okta;
let app: TargetApp;
let operators: TargetApp;
let gateway: Awaited<ReturnType<typeof startGateway>>;

beforeAll(async () => {
  [okta, app, operators] = await Promise.all([startOkta(), startTargetApp(), startTargetApp()]);
  const keys = { jwksUri: okta.jwksUri };
  const trust = { id: 'okta', issuers: [okta.issuer], client: CLIENT, keys };
  gateway = await startGateway({
    limits: { refusedPerMinute: 100_000 },
    alerts: { webhook: { url: operators.url, secret: SECRET } },
    tenants: [
      {
        id: 'default',
        trusts: [
          // So that the examples, which name Okta, find somebody.
          { ...trust, subjectIssuers: ['https://acme.okta.com'] },
          { ...trust, id: 'disabled', client: 'disabled', enabled: false },
          { ...trust, id: 'dead', client: 'dead', keys: { jwksUri: 'http://127.0.0.1:1/keys' } },
        ],
        scim: { tokens: [SCIM_TOKEN] },
        apps: [{ id: 'intranet', connector: 'webhook', options: { url: app.url, secret: SECRET } }],
      },
      { id: 'acme', trusts: [trust] },
    ],
  });
  for (const tenant of ['default', 'acme']) {
    await gateway.directory.put(tenant, {
      userName: 'ada',
      externalId: '00u1example',
      emails: ['ada@example.com', 'desk@example.com'],
      phoneNumbers: ['+441632960001'],
    });
  }
  await gateway.directory.put('default', { userName: 'https://id.example.com/ada', emails: ['desk@example.com'] });
  await gateway.directory.put('default', { userName: 'did:example:ada' });
});

afterAll(async () => {
  await gateway.close();
  await Promise.all([okta.close(), app.close(), operators.close()]);
});

type Deviation = Parameters<typeof signRevocation>[2];

async function sign(path = PATH, deviation: Deviation = {}, client = CLIENT): Promise<string> {
  return signRevocation(okta.key, { issuer: okta.issuer, audience: PUBLIC_URL + path, client }, deviation);
}

const byEmail = (email: string) => ({ sub_id: { format: 'email', email } });

async function post(body: string | object, { path = PATH, jwt = '' } = {}): Promise<Response> {
  return request(gateway.url)
    .post(path)
    .set('authorization', `Bearer ${jwt === '' ? await sign(path) : jwt}`)
    .set('content-type', 'application/json')
    .send(typeof body === 'string' ? body : JSON.stringify(body));
}

describe('POST /global-token-revocation answers', () => {
  it.each(
    examples()
      .filter(({ pointer }) => pointer.includes('/requestBodies/'))
      .map(({ pointer, value }) => [pointer.split('/').at(-1) as string, value as object] as const),
  )('204 to the example %s', async (_name, body) => {
    expectDocumented('revoke', 204, await post(body));
  });

  it('204 in a tenant of its own', async () => {
    const path = `/tenants/acme${PATH}`;
    expectDocumented('revokeInTenant', 204, await post(byEmail('ada@example.com'), { path }));
  });

  it.each<[string, string | object, string]>([
    ['nothing', '', 'malformed_request'],
    ['no JSON', '{', 'malformed_request'],
    ['no sub_id', {}, 'malformed_request'],
    ['a member too many', { ...byEmail('ada@example.com'), x: 1 }, 'malformed_request'],
    ['an unknown format', { sub_id: { format: 'name', name: 'Ada' } }, 'unsupported_subject_format'],
  ])('400 to %s', async (_what, body, code) => {
    expectDocumented('revoke', 400, await post(body), code);
  });

  it('400 to a token in two places', async () => {
    const jwt = await sign();
    const response = await post(byEmail('ada@example.com'), { path: `${PATH}?access_token=${jwt}`, jwt });
    expectDocumented('revoke', 400, response, 'several_credentials');
  });

  it.each<[string, Deviation]>([
    ['an expired JWT', { claims: { exp: 1 } }],
    ['another audience', { claims: { aud: 'https://elsewhere.example.com' } }],
    ['an unknown app', { claims: { sub: 'unknown' } }],
  ])('401 to %s', async (_what, deviation) => {
    const response = await post(byEmail('ada@example.com'), { jwt: await sign(PATH, deviation) });
    expectDocumented('revoke', 401, response, 'invalid_jwt');
  });

  it('401 to no JWT at all', async () => {
    const response = await request(gateway.url).post(PATH).send(byEmail('ada@example.com'));
    expectDocumented('revoke', 401, response, 'invalid_jwt');
  });

  it('403 to a trust that is disabled', async () => {
    const response = await post(byEmail('ada@example.com'), { jwt: await sign(PATH, {}, 'disabled') });
    expectDocumented('revoke', 403, response, 'trust_disabled');
  });

  it('404 for an unknown user', async () => {
    expectDocumented('revoke', 404, await post(byEmail('nobody@example.com')), 'user_not_found');
  });

  it.each(['get', 'put', 'delete', 'patch'] as const)('405 to %s', async (method) => {
    expectDocumented('revoke', 405, await request(gateway.url)[method](PATH), 'method_not_allowed');
  });

  it('413 to a body that is too large', async () => {
    expectDocumented('revoke', 413, await post(' '.repeat(17 * 1024)), 'body_too_large');
  });

  it.each([
    ['content-type', 'text/plain'],
    ['content-encoding', 'gzip'],
  ])('415 to another %s', async (name, value) => {
    const response = await request(gateway.url)
      .post(PATH)
      .set('authorization', `Bearer ${await sign()}`)
      .set('content-type', 'application/json')
      .set(name, value)
      .send(JSON.stringify(byEmail('ada@example.com')));
    expectDocumented('revoke', 415, response, 'unsupported_media_type');
  });

  it('422 to an address that two users share', async () => {
    expectDocumented('revoke', 422, await post(byEmail('desk@example.com')), 'ambiguous_subject');
  });

  it('429 beyond the limit of the trust', async () => {
    const trust = { id: 'okta', issuers: [okta.issuer], client: CLIENT, keys: { jwksUri: okta.jwksUri } };
    const tenants = [{ id: 'acme', trusts: [trust] }];
    const busy = await startGateway({ limits: { acceptedPerMinute: 1 }, tenants }, { roles: ['api'] });
    const path = `/tenants/acme${PATH}`;
    const again = async () =>
      request(busy.url)
        .post(path)
        .set('authorization', `Bearer ${await sign(path)}`)
        .send(byEmail('nobody@example.com'));
    expectDocumented('revokeInTenant', 404, await again(), 'user_not_found');
    expectDocumented('revokeInTenant', 429, await again(), 'too_many_requests');
    await busy.close();
  });

  it("503 while the issuer's keys are out of reach", async () => {
    const response = await post(byEmail('ada@example.com'), { jwt: await sign(PATH, {}, 'dead') });
    expectDocumented('revoke', 503, response, 'keys_unavailable');
  });
});

describe('POST /tenants/{tenant}/apps/{app}/events answers', () => {
  const events = (path: string, method: 'get' | 'post' = 'post') => request(gateway.url)[method](path);

  it.each([
    ['an app that sends none', '/tenants/default/apps/intranet/events'],
    ['no app', '/tenants/default/apps/nothing/events'],
    ['no tenant', '/tenants/nobody/apps/intranet/events'],
  ])('401 to events of %s', async (_what, path) => {
    expectDocumented('receiveEvent', 401, await events(path).send({}), 'invalid_signature');
  });

  it('405 to another method, and 413 to a body that is too large', async () => {
    const path = '/tenants/default/apps/intranet/events';
    expectDocumented('receiveEvent', 405, await events(path, 'get'), 'method_not_allowed');
    expectDocumented('receiveEvent', 413, await events(path).send(' '.repeat(17 * 1024)), 'body_too_large');
  });
});

describe('without Redis', () => {
  it('everything that needs it answers 503, and probes tell', async () => {
    const trust = { id: 'okta', issuers: [okta.issuer], client: CLIENT, keys: { jwksUri: okta.jwksUri } };
    const settings = { tenants: [{ id: 'default', trusts: [trust], scim: { tokens: [SCIM_TOKEN] } }] };
    const config = configOf(settings, { redisUrl: 'redis://127.0.0.1:1' });
    const stranded = await openGateway(config, { roles: ['api'] });
    const server = await listen(stranded.app, config);
    const url = `http://127.0.0.1:${server.port}`;
    const revocation = request(url)
      .post(PATH)
      .set('authorization', `Bearer ${await sign()}`);
    expectDocumented('revoke', 503, await revocation.send(byEmail('ada@example.com')), 'redis_unavailable');
    const api = (path: string) => request(url).get(path).set('authorization', `Bearer ${ADMIN_TOKEN}`);
    expectDocumented('listRevocations', 503, await api('/api/revocations'), 'redis_unavailable');
    expectDocumented('readRevocation', 503, await api('/api/revocations/rev_1'), 'redis_unavailable');
    expectDocumented('readValidAfter', 503, await api('/api/sessions/valid-after?id=1'), 'redis_unavailable');
    expectDocumented('isReady', 503, await request(url).get('/readyz'));
    expectDocumented('isAlive', 200, await request(url).get('/livez'));
    const users = request(url).get('/scim/v2/Users').set('authorization', `Bearer ${SCIM_TOKEN}`);
    expectDocumented('listUsers', 503, await users);
    await server.close();
    await stranded.close();
  });
});

describe('what the schema of the request takes and what the endpoint takes is the same', () => {
  const members: Record<string, string[]> = {
    email: ['email'],
    iss_sub: ['iss', 'sub'],
    opaque: ['id'],
    phone_number: ['phone_number'],
    account: ['uri'],
    uri: ['uri'],
    did: ['url'],
  };
  const good = ['ada@example.com', '00u1example', '+441632960001', 'acct:ada@example.com', 'did:example:ada', 'a:b'];
  const odd = [
    '',
    ' ',
    ' x',
    'x ',
    'a b',
    '@',
    'a@',
    '@b',
    'a@b@c',
    'acct:',
    'acct:a',
    'ACCT:a@b',
    'acct:a@b@c',
    'a\nb',
  ];
  const close = [
    'did:',
    'did:x',
    'did:x:',
    'did:X:y',
    '+0',
    '+1',
    '+12',
    '12',
    '+1234567890123456',
    ':',
    'x:',
    '1:y',
    'x: y',
  ];
  const others = [null, 7, true, [], {}, ['x']];

  async function expectAgreement(body: object): Promise<boolean> {
    const valid = mismatches('/components/schemas/RevocationRequest', body).length === 0;
    const { status } = await post(body, { path: `/tenants/acme${PATH}` });
    expect([body, valid]).toEqual([body, status !== 400]);
    return valid;
  }

  it.each(Object.entries(members))('for every value of a subject identifier [%s]', async (format, names) => {
    const counts = { taken: 0, refused: 0 };
    for (const name of names) {
      for (const value of [...good, ...odd, ...close, ...others]) {
        const rest = Object.fromEntries(names.map((one) => [one, one === name ? value : 'https://acme.okta.com']));
        counts[(await expectAgreement({ sub_id: { format, ...rest } })) ? 'taken' : 'refused'] += 1;
      }
    }
    expect(counts.taken).toBeGreaterThan(0);
    expect(counts.refused).toBeGreaterThan(others.length);
  });

  it('for bodies of every shape', async () => {
    const format = fc.constantFrom(...Object.keys(members), 'aliases', 'x');
    const value = fc.constantFrom<unknown>(...good, ...good, ...odd, ...others);
    const likely = fc
      .tuple(format, value, value)
      .map(([one, ...values]) =>
        Object.fromEntries([['format', one], ...(members[one] ?? []).map((name, index) => [name, values[index]])]),
      );
    const name = fc.constantFrom('email', 'iss', 'sub', 'id', 'uri', 'identifiers', 'format', 'x');
    const unlikely = fc.dictionary(name, value, { maxKeys: 3 });
    const simple = fc.oneof({ weight: 4, arbitrary: likely }, { weight: 1, arbitrary: unlikely });
    const aliases = fc.array(simple, { maxLength: 3 }).map((identifiers) => ({ format: 'aliases', identifiers }));
    const body = fc.oneof(
      { weight: 4, arbitrary: fc.oneof(simple, aliases).map((sub_id) => ({ sub_id })) },
      { weight: 1, arbitrary: simple.map((subject) => ({ subject })) },
      { weight: 1, arbitrary: fc.dictionary(fc.constantFrom('sub_id', 'subject', 'x'), simple, { maxKeys: 2 }) },
    );
    await fc.assert(
      fc.asyncProperty(body, async (one) => void (await expectAgreement(one))),
      { numRuns: 150 },
    );
  });
});

describe('the other routes answer', () => {
  const get = (path: string) => request(gateway.url).get(path);
  const asAdmin = (path: string) => get(path).set('authorization', `Bearer ${ADMIN_TOKEN}`);

  it('metadata, keys and probes', async () => {
    const metadata = '/.well-known/oauth-authorization-server';
    expectDocumented('readMetadata', 200, await get(metadata));
    expectDocumented('readMetadataOfTenant', 200, await get(`${metadata}/tenants/acme`));
    expectDocumented('readMetadataOfTenant', 404, await get(`${metadata}/tenants/nowhere`), 'not_found');
    expectDocumented('readKeys', 200, await get('/.well-known/jwks.json'));
    expectDocumented('isAlive', 200, await get('/livez'));
    expectDocumented('isReady', 200, await get('/readyz'));
    expectDocumented('readMetrics', 200, await get('/metrics'));
  });

  it('metadata of no tenant `default` where there is none', async () => {
    const without = await startGateway({ tenants: [{ id: 'acme' }] }, { roles: ['api'] });
    const response = await request(without.url).get('/.well-known/oauth-authorization-server');
    expectDocumented('readMetadata', 404, response, 'not_found');
    await without.close();
  });

  it('operators, whatever has become of a revocation', async () => {
    const records = createRevocationRecords(gateway.redis, { prefix: gateway.prefix, retentionMs: 60_000 });
    const outcome = createOutcomes(gateway.redis, gateway.prefix);
    const revocation = {
      revocationId: 'rev_openapi',
      tenant: 'default',
      trust: 'okta',
      user: '482915736280147',
      mode: 'refresh-only' as const,
      via: ['https://first.example.com', PUBLIC_URL],
      acceptedAt: Date.now(),
    };
    const path = `/api/revocations/${revocation.revocationId}`;
    const account = 'ada@example.com';
    const apps = ['done', 'later', 'refused', 'waiting'];
    await records.open({ ...revocation, accounts: apps.map((one) => ({ app: one, account })) });
    const at = Date.now();
    await outcome(revocation, 'done', { state: 'revoked', attempts: 1, at, what: ['sessions'], partial: 'x' });
    const retrying = { state: 'retrying', attempts: 1, at, reason: 'timeout', nextAttemptAt: at + 1 } as const;
    await outcome(revocation, 'later', retrying);
    await outcome(revocation, 'refused', { state: 'failed', attempts: 1, at, reason: 'auth' });
    expectDocumented('readRevocation', 200, await asAdmin(path));
    for (const one of ['later', 'waiting']) await outcome(revocation, one, { state: 'none', attempts: 1, at });
    const failed = await asAdmin(path);
    expect(failed.body.status).toBe('failed');
    expectDocumented('readRevocation', 200, failed);
    expectDocumented('followRevocation', 200, await asAdmin(`${path}/events`));
    expectDocumented('readRevocation', 404, await asAdmin('/api/revocations/rev_none'), 'not_found');
    expectDocumented('readRevocation', 401, await get(path), 'invalid_token');
    expectDocumented('listRevocations', 200, await asAdmin('/api/revocations'));
    expectDocumented('listRevocations', 400, await asAdmin('/api/revocations?status=x'), 'malformed_request');
    expectDocumented('listRevocations', 401, await get('/api/revocations'), 'invalid_token');
    const people = await asAdmin('/api/users?email=desk@example.com');
    expectDocumented('listPeople', 200, people);
    expectDocumented('readPerson', 200, await asAdmin(`/api/users/${people.body.users[0].id}`));
    expectDocumented('listAuditEntries', 200, await asAdmin('/api/audit'));
  });

  it('provisioning', async () => {
    const scim = (method: 'get' | 'post' | 'put' | 'patch' | 'delete', path: string, body?: object) => {
      const one = request(gateway.url)[method](`/scim/v2${path}`).set('authorization', `Bearer ${SCIM_TOKEN}`);
      return body ? one.set('content-type', 'application/scim+json').send(JSON.stringify(body)) : one;
    };
    const grace = { schemas: [`${SCIM}:User`], userName: 'grace' };
    const created = await scim('post', '/Users', grace);
    expectDocumented('createUser', 201, created);
    const { id } = JSON.parse(created.text);
    expectDocumented('createUser', 409, await scim('post', '/Users', grace));
    expectDocumented('createUser', 400, await scim('post', '/Users', { userName: 7 }));
    expectDocumented('readUser', 200, await scim('get', `/Users/${id}`));
    expectDocumented('readUser', 404, await scim('get', '/Users/none'));
    expectDocumented('replaceUser', 200, await scim('put', `/Users/${id}`, { ...grace, title: 'Admiral' }));
    const deactivate = { Operations: [{ op: 'replace', value: { active: false } }] };
    const patch = { schemas: ['urn:ietf:params:scim:api:messages:2.0:PatchOp'], ...deactivate };
    expectDocumented('patchUser', 200, await scim('patch', `/Users/${id}`, patch));
    expectDocumented('patchUser', 412, await scim('patch', `/Users/${id}`, patch).set('if-match', 'W/"1"'));
    expectDocumented('listUsers', 200, await scim('get', '/Users?filter=userName eq "grace"'));
    expectDocumented('listUsers', 400, await scim('get', '/Users?filter=x'));
    expectDocumented('listUsers', 401, await get('/scim/v2/Users'));
    const group = { schemas: [`${SCIM}:Group`], displayName: 'Navy', members: [{ value: id }] };
    const made = await scim('post', '/Groups', group);
    expectDocumented('createGroup', 201, made);
    const groupPath = `/Groups/${JSON.parse(made.text).id}`;
    expectDocumented('createGroup', 409, await scim('post', '/Groups', group));
    expectDocumented('readGroup', 200, await scim('get', groupPath));
    const rename = { ...patch, Operations: [{ op: 'replace', value: { displayName: 'Fleet' } }] };
    expectDocumented('patchGroup', 204, await scim('patch', groupPath, rename));
    expectDocumented('replaceGroup', 200, await scim('put', groupPath, group));
    expectDocumented('listGroups', 200, await scim('get', '/Groups'));
    expectDocumented('deleteGroup', 204, await scim('delete', groupPath));
    expectDocumented('deleteGroup', 404, await scim('delete', groupPath));
    expectDocumented('deleteUser', 204, await scim('delete', `/Users/${id}`));
    expectDocumented('readServiceProviderConfig', 200, await scim('get', '/ServiceProviderConfig'));
    for (const [path, list, one] of [
      ['/Schemas', 'listSchemas', 'readSchema'],
      ['/ResourceTypes', 'listResourceTypes', 'readResourceType'],
    ] as const) {
      const all = await scim('get', path);
      expectDocumented(list, 200, all);
      const [first] = JSON.parse(all.text).Resources;
      expectDocumented(one, 200, await scim('get', `${path}/${first.id}`));
      expectDocumented(one, 404, await scim('get', `${path}/none`));
    }
  });
});

describe('provisioning answers', () => {
  const scim = (
    method: 'get' | 'post' | 'put' | 'patch' | 'delete',
    path: string,
    body: object,
    headers: Record<string, string> = {},
  ) => {
    const one = request(gateway.url)
      [method](`/scim/v2${path}`)
      .set('authorization', `Bearer ${SCIM_TOKEN}`)
      .set(headers);
    return method === 'get' || method === 'delete'
      ? one
      : one.set('content-type', 'application/scim+json').send(JSON.stringify(body));
  };
  const kinds = [
    ['User', { userName: 'lin' }, { userName: 'lin', title: 'x' }, { title: 'y' }],
    ['Group', { displayName: 'Lin' }, { displayName: 'Lin 2' }, { displayName: 'Lin 3' }],
  ] as const;

  it.each(kinds)('all of which the document has, of a %s', async (kind, fresh, replacement, value) => {
    const patch = { Operations: [{ op: 'replace', value }] };
    const created = await scim('post', `/${kind}s?attributes=id`, fresh);
    expectDocumented(`create${kind}`, 201, created);
    const { id } = JSON.parse(created.text);
    const path = `/${kind}s/${id}`;
    const both = '?attributes=id&excludedAttributes=id';
    const packed = { 'content-encoding': 'gzip' };
    expectDocumented(`read${kind}`, 200, await scim('get', `${path}?attributes=id`, {}));
    expectDocumented(`read${kind}`, 400, await scim('get', `${path}${both}`, {}));
    const { headers } = await scim('get', path, {});
    expectDocumented(`read${kind}`, 304, await scim('get', path, {}, { 'if-none-match': headers.etag ?? '' }));
    for (const [operation, method, at, body] of [
      [`create${kind}`, 'post', `/${kind}s`, fresh],
      [`replace${kind}`, 'put', path, replacement],
      [`patch${kind}`, 'patch', path, patch],
    ] as const) {
      expectDocumented(operation, 400, await scim(method, at + both, body));
      expectDocumented(operation, 415, await scim(method, at, body, packed));
      expectDocumented(operation, 413, await scim(method, at, { x: ' '.repeat(16 * 1024 * 1024) }));
    }
    expectDocumented(`replace${kind}`, 200, await scim('put', `${path}?excludedAttributes=meta`, replacement));
    expectDocumented(`patch${kind}`, 200, await scim('patch', `${path}?attributes=id,meta`, patch));
    const stale = { 'if-match': 'W/"999"' };
    expectDocumented(`delete${kind}`, 412, await scim('delete', path, {}, stale));
    expectDocumented(`delete${kind}`, 400, await scim('delete', `/${kind}s/%ZZ`, {}));
    expectDocumented(`delete${kind}`, 204, await scim('delete', path, {}));
  });

  it.each(kinds.flatMap(([kind]) => ['list', 'create', 'read', 'replace', 'patch'].map((act) => [act, kind])))(
    'with what is asked of it, which the document says: %s %s',
    (act, kind) => {
      const id = act === 'list' ? `list${kind}s` : `${act}${kind}`;
      const documented = operations().find(({ operation }) => operation.operationId === id)?.operation;
      const { parameters = [] } = (documented ?? {}) as { parameters?: { name: string; in: string }[] };
      const names = parameters.map((one) => `${one.in} ${one.name}`);
      expect(names).toEqual(expect.arrayContaining(['query attributes', 'query excludedAttributes']));
      if (act === 'read') expect(names).toContain('header If-None-Match');
    },
  );
});

describe('the messages that are sent are those of the document', () => {
  const sent = (name: string) => `/webhooks/${name}/post/requestBody/content/application~1json/schema`;

  it.each([
    ['job.failed', 400],
    ['breaker.opened', 401],
  ])('revocation.requested and %s', async (alert, status) => {
    app.calls.length = 0;
    operators.calls.length = 0;
    app.answerWith(answer(status));
    expect((await post(byEmail('ada@example.com'))).status).toBe(204);
    for (const [receiver, name] of [
      [app, 'revocation.requested'],
      [operators, alert],
    ] as const) {
      const [call] = await eventually(
        () => receiver.calls,
        (calls) => calls.length > 0,
      );
      const message = new Webhook(SECRET).verify(call?.body ?? '', call?.headers as never);
      expect(mismatches(sent(name), message)).toEqual([]);
      ['webhook-id', 'webhook-timestamp', 'webhook-signature'].forEach((header, index) => {
        const pointer = `/webhooks/${name}/post/parameters/${index}/schema`;
        expect(mismatches(pointer, call?.headers[header])).toEqual([]);
      });
    }
  });
});
