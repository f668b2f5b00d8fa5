/** What becomes of a caller who was let in: 204, 403, 404 or 422 (GTR-11, GTR-15 to GTR-17, GTR-22, GTR-23, JWT-21). */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { ADA, comparable, type Endpoint, PATH, person, startEndpoint } from '../support/endpoint.js';
import { eventually } from '../support/eventually.js';
import { PUBLIC_URL } from '../support/gateway.js';
import { createKey } from '../support/okta.js';
import { expectUnauthenticated } from '../support/refusal.js';

const GLOBEX_PATH = '/tenants/globex/global-token-revocation';
const CLIENTS = { disabled: '0oa5disabled', partial: '0oa6partial', globex: '0oa2globex' };

let endpoint: Endpoint;
let issuer: string;

beforeAll(async () => {
  const trust = (id: keyof typeof CLIENTS, of: string, more: object) => ({
    id,
    issuers: [of],
    client: CLIENTS[id],
    keys: { jwksUri: `${of}/oauth2/v1/keys` },
    ...more,
  });
  endpoint = await startEndpoint({
    moreTrusts: (of) => [trust('disabled', of, { enabled: false }), trust('partial', of, { mode: 'refresh-only' })],
    moreTenants: (of) => [{ id: 'globex', trusts: [trust('globex', of, {})] }],
  });
  ({ issuer } = endpoint.okta);
  const { directory } = endpoint.gateway;
  await directory.put('default', person('barbara', { active: false }));
  await directory.put('default', person('alan', { emails: ['team@example.com', 'alan@example.com'] }));
  await directory.put('default', person('alonzo', { emails: ['alonzo@example.com', 'team@example.com'] }));
  await directory.put('globex', person('grace', { externalId: '00u2grace' }));
});

afterAll(() => endpoint.close());

const email = (name: string) => ({ format: 'email', email: `${name}@example.com` });
const aliases = (...identifiers: object[]) => ({ sub_id: { format: 'aliases', identifiers } });
const globexJwt = () => endpoint.sign({ claims: { sub: CLIENTS.globex, aud: PUBLIC_URL + GLOBEX_PATH } });

/** What the app was told of a revocation that is accepted with 204. */
async function told(body: object, jwt?: string): Promise<Record<string, unknown>> {
  const { app } = endpoint;
  await endpoint.rest();
  const before = app.calls.length;
  const response = await endpoint.post(jwt ?? (await endpoint.sign()), body);
  expect(response.status).toBe(204);
  const [call] = (
    await eventually(
      () => app.calls,
      ({ length }) => length > before,
    )
  ).slice(before);
  return JSON.parse(call?.body ?? '').data;
}

describe('204', () => {
  it('says nothing more (GTR-11, GTR-12)', async () => {
    const { status, text, headers } = await endpoint.post(await endpoint.sign());
    expect({ status, text, type: headers['content-type'] }).toEqual({ status: 204, text: '', type: undefined });
  });

  it.each<[string, () => object]>([
    ['by e-mail address', () => ADA],
    ['by e-mail address, in capitals', () => ({ sub_id: { format: 'email', email: 'ADA@Example.COM' } })],
    ['by issuer and subject', () => ({ sub_id: { format: 'iss_sub', iss: issuer, sub: '00u1ada' } })],
    ['by issuer and user name', () => ({ sub_id: { format: 'iss_sub', iss: issuer, sub: 'ada@example.com' } })],
    ["by the id of the directory's source", () => ({ sub_id: { format: 'opaque', id: '00u1ada' } })],
    ['by account', () => ({ sub_id: { format: 'account', uri: 'acct:ada@example.com' } })],
    ['by two aliases', () => aliases(email('ada'), { format: 'opaque', id: '00u1ada' })],
    ['by aliases of which one is nobody', () => aliases(email('nobody'), email('ada'))],
    [
      "by aliases of which one is another issuer's",
      () => aliases({ format: 'iss_sub', iss: 'https://evil.example.com', sub: '00u1ada' }, email('ada')),
    ],
  ])('for somebody known %s', async (_, body) => {
    expect(await told(body())).toMatchObject({ account: 'ada@example.com', mode: 'full' });
  });

  it('for somebody inactive, whose sessions may live on', async () => {
    expect(await told({ sub_id: email('barbara') })).toMatchObject({ account: 'barbara@example.com' });
  });

  it('for somebody with nothing to revoke', async () => {
    const { app, gateway } = endpoint;
    await endpoint.rest();
    const calls = app.calls.length;
    const response = await endpoint.post(await globexJwt(), { sub_id: email('grace') }, GLOBEX_PATH);
    expect(response.status).toBe(204);
    await eventually(gateway.audit, (trail) =>
      trail.some(({ event, tenant }) => event === 'revocation.completed' && tenant === 'globex'),
    );
    await endpoint.rest();
    expect(app.calls).toHaveLength(calls);
  });

  it('with the mode of the trust, which the app is told (OKTA-21)', async () => {
    const jwt = await endpoint.sign({ claims: { sub: CLIENTS.partial } });
    expect(await told(ADA, jwt)).toMatchObject({ account: 'ada@example.com', mode: 'refresh-only' });
  });
});

describe('403 (GTR-15, JWT-21)', () => {
  const sign = (deviation: object = {}) => endpoint.sign({ claims: { sub: CLIENTS.disabled }, ...deviation });

  it.each<[string, unknown]>([
    ['somebody known', ADA],
    ['nobody', { sub_id: email('nobody') }],
    ['several', { sub_id: email('team') }],
    ['a body that is none', '{'],
  ])('for a trust that is disabled, whoever is meant: %s', async (_, body) => {
    const jwt = await sign();
    const { response, audited, changed, calls } = await endpoint.observe(() => endpoint.post(jwt, body));
    expect(response.status).toBe(403);
    expect(response.body.code).toBe('trust_disabled');
    expect(audited).toEqual([
      { event: 'revocation.refused', tenant: 'default', trust: 'disabled', status: '403', reason: 'trust_disabled' },
    ]);
    expect(changed).toEqual(['accepted:default.disabled', 'replay:*']);
    expect(calls).toBe(0);
  });

  it('only under a good signature and good claims: a stranger does not learn of it', async () => {
    const forged = await sign({ key: await createKey('okta-1') });
    await expectUnauthenticated(endpoint, () => endpoint.post(forged), { reason: 'signature_invalid' });
    const elsewhere = await sign({ claims: { sub: CLIENTS.disabled, aud: 'https://elsewhere.example.com' } });
    await expectUnauthenticated(endpoint, () => endpoint.post(elsewhere), { reason: 'aud_check_failed' });
  });
});

describe('404 (GTR-16, GTR-22, GTR-23)', () => {
  const nobodies: [string, string, () => object][] = [
    ['an address of nobody', 'unknown_user', () => email('nobody')],
    ['an address that only begins alike', 'unknown_user', () => ({ format: 'email', email: 'ada@example.co' })],
    ['an id of nobody', 'unknown_user', () => ({ format: 'iss_sub', iss: issuer, sub: '00u9nobody' })],
    ['an id in other letters', 'unknown_user', () => ({ format: 'iss_sub', iss: issuer, sub: '00U1ADA' })],
    ['the app itself', 'unknown_user', () => ({ format: 'iss_sub', iss: issuer, sub: CLIENTS.globex })],
    ['a telephone of nobody', 'unknown_user', () => ({ format: 'phone_number', phone_number: '+12065550100' })],
    ["another tenant's user", 'unknown_user', () => email('grace')],
    ["another tenant's user by id", 'unknown_user', () => ({ format: 'iss_sub', iss: issuer, sub: '00u2grace' })],
    [
      "another issuer's subject",
      'unknown_subject_issuer',
      () => ({ format: 'iss_sub', iss: 'https://evil.example.com', sub: '00u1ada' }),
    ],
    [
      'an issuer with a slash',
      'unknown_subject_issuer',
      () => ({ format: 'iss_sub', iss: `${issuer}/`, sub: '00u1ada' }),
    ],
    ['aliases of nobody', 'unknown_user', () => aliases(email('nobody'), email('grace')).sub_id],
    ['a pattern', 'unknown_user', () => ({ format: 'email', email: '*@example.com' })],
    ['a member of every object', 'unknown_user', () => ({ format: 'opaque', id: '__proto__' })],
  ];

  it.each(nobodies)('for %s: %s', async (_, reason, identifier) => {
    const jwt = await endpoint.sign();
    const { response, audited, changed, calls } = await endpoint.observe(() =>
      endpoint.post(jwt, { sub_id: identifier() }),
    );
    expect(response.status).toBe(404);
    expect(audited).toEqual([{ event: 'revocation.refused', tenant: 'default', trust: 'okta', status: '404', reason }]);
    expect(changed).toEqual(['accepted:default.okta', 'replay:*']);
    expect(calls).toBe(0);
  });

  it('is the same answer for all of them, to the last header', async () => {
    const answers: unknown[] = [];
    for (const [, , identifier] of nobodies) {
      answers.push(comparable(await endpoint.post(await endpoint.sign(), { sub_id: identifier() })));
    }
    expect(answers[0]).toMatchObject({
      status: 404,
      headers: { 'content-type': 'application/problem+json; charset=utf-8' },
    });
    for (const answer of answers) expect(answer).toEqual(answers[0]);
  });

  it('names nobody', async () => {
    const { text } = await endpoint.post(await endpoint.sign(), { sub_id: email('grace') });
    expect(text).not.toMatch(/grace|globex|default|okta/);
  });
});

describe('422 (GTR-17)', () => {
  it.each<[string, object]>([
    ['an address that two share', { sub_id: email('team') }],
    ['aliases of two', aliases(email('ada'), email('alan'))],
    ['aliases of two, one named twice', aliases(email('ada'), { format: 'opaque', id: '00u1ada' }, email('alan'))],
    ['aliases of one and of an address that two share', aliases(email('alan'), email('team'))],
  ])('for %s, of whom nobody is logged out', async (_, body) => {
    const jwt = await endpoint.sign();
    const { response, audited, changed, calls } = await endpoint.observe(() => endpoint.post(jwt, body, PATH));
    expect(response.status).toBe(422);
    expect(response.body.code).toBe('ambiguous_subject');
    expect(audited).toEqual([
      { event: 'revocation.refused', tenant: 'default', trust: 'okta', status: '422', reason: 'ambiguous_subject' },
    ]);
    expect(changed).toEqual(['accepted:default.okta', 'replay:*']);
    expect(calls).toBe(0);
  });
});
