/** Which bodies name somebody, and which do not: subject identifiers of RFC 9493 (GTR-05, GTR-06, GTR-13, OKTA-11 to OKTA-14, OKTA-18). */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { ADA, type Endpoint, PATH, startEndpoint } from '../support/endpoint.js';
import { expectRefusedBody } from '../support/refusal.js';

const STRICT_CLIENT = '0oa4nolegacy';
const EMAIL = ADA.sub_id;

let endpoint: Endpoint;

beforeAll(async () => {
  endpoint = await startEndpoint({
    moreTrusts: (issuer) => [
      {
        id: 'strict',
        issuers: [issuer],
        client: STRICT_CLIENT,
        keys: { jwksUri: `${issuer}/oauth2/v1/keys` },
        acceptLegacySubject: false,
      },
    ],
  });
});

afterAll(() => endpoint.close());

async function refuses(body: unknown, code = 'malformed_request'): Promise<void> {
  const jwt = await endpoint.sign();
  await expectRefusedBody(endpoint, () => endpoint.post(jwt, body), code);
}

const refusesIdentifier = (identifier: unknown, code?: string) => refuses({ sub_id: identifier }, code);

/** Of a format that is known and supported, but not as RFC 9493 describes it. */
const table = (format: string, rows: Record<string, unknown>[]): [string, Record<string, unknown>][] =>
  rows.map((members) => [`${format} ${JSON.stringify(members).slice(0, 60)}`, { format, ...members }]);

describe('the body', () => {
  it.each([{ sub_id: EMAIL }, { subject: EMAIL }])('may be %j (OKTA-11)', async (body) => {
    expect((await endpoint.post(await endpoint.sign(), body)).status).toBe(204);
  });

  it('may not use the older member where the trust says so', async () => {
    const sign = () => endpoint.sign({ claims: { sub: STRICT_CLIENT } });
    const jwt = await sign();
    await expectRefusedBody(endpoint, () => endpoint.post(jwt, { subject: EMAIL }), 'malformed_request', 'strict');
    expect((await endpoint.post(await sign(), { sub_id: EMAIL })).status).toBe(204);
  });

  it.each<[string, string | Buffer]>([
    ['nothing', ''],
    ['white space', ' \n'],
    ['null', 'null'],
    ['a list', '[]'],
    ['a list of the right body', JSON.stringify([ADA])],
    ['text', '"sub_id"'],
    ['a number', '1'],
    ['cut short', JSON.stringify(ADA).slice(0, -1)],
    ['followed by something', `${JSON.stringify(ADA)}x`],
    ['followed by another', JSON.stringify(ADA).repeat(2)],
    ['in single quotes', JSON.stringify(ADA).replaceAll('"', "'")],
    ['with a trailing comma', '{"sub_id":{"format":"email","email":"ada@example.com"},}'],
    ['with a comment', `${JSON.stringify(ADA)}/**/`],
    ['a form', 'sub_id=ada%40example.com'],
    ['after a byte order mark', `\ufeff${JSON.stringify(ADA)}`],
    ['in UTF-16', Buffer.from(JSON.stringify(ADA), 'utf16le')],
    ['in Latin-1', Buffer.from('{"sub_id":{"format":"opaque","id":"ad\u00e9"}}', 'latin1')],
    ['with sub_id twice', `{"sub_id":${JSON.stringify(EMAIL)},"sub_id":${JSON.stringify(EMAIL)}}`],
    ['with sub_id twice, once with an escape', `{"sub_id":${JSON.stringify(EMAIL)},"sub\\u005fid":{}}`],
    ['with format twice', '{"sub_id":{"format":"opaque","format":"email","email":"ada@example.com"}}'],
    ['with email twice', '{"sub_id":{"format":"email","email":"x@example.com","email":"ada@example.com"}}'],
    ['with an email of Infinity', '{"sub_id":{"format":"email","email":Infinity}}'],
    ['lists nested 5,000 deep', `{"sub_id":${'['.repeat(5000)}${']'.repeat(5000)}}`],
    ['objects nested 2,000 deep', `{"sub_id":${'{"a":'.repeat(2000)}1${'}'.repeat(2000)}}`],
    ['nested 5,000 deep and cut short', `{"sub_id":${'['.repeat(5000)}`],
  ])('is refused: %s', (_, body) => refuses(body));

  it.each<[string, object]>([
    ['no member', {}],
    ['the member in capitals', { SUB_ID: EMAIL }],
    ['another member', { subject_identifier: EMAIL }],
    ['both members', { sub_id: EMAIL, subject: EMAIL }],
    ['both members, one of null', { sub_id: EMAIL, subject: null }],
    ['one member too many', { sub_id: EMAIL, reason: 'x' }],
    ['the subject identifier itself', EMAIL],
    ['a member of every object', { sub_id: EMAIL, constructor: {} }],
    ['a prototype', { sub_id: EMAIL, ['__proto__']: { sub_id: EMAIL } }],
    ['nothing but a prototype', { ['__proto__']: { sub_id: EMAIL } }],
  ])('is refused with %s (OKTA-18)', (_, body) => refuses(body));

  it('is refused whatever calls itself JSON, unless it says so itself', async () => {
    const jwt = await endpoint.sign();
    const response = await endpoint.post(jwt).set('content-type', 'text/plain');
    expect(response.status).toBe(415);
    expect((await endpoint.post(jwt)).status).toBe(204);
  });
});

describe('a subject identifier', () => {
  it.each([null, 'ada@example.com', 1, true, [], [EMAIL], {}])('is not %j (GTR-05)', (identifier) =>
    refusesIdentifier(identifier),
  );

  it.each([undefined, null, '', 1, ['email'], {}])('has a format that is text, not %j (GTR-06)', (format) =>
    refusesIdentifier({ ...EMAIL, format }, format === '' ? 'unsupported_subject_format' : undefined),
  );

  it.each([
    'EMAIL',
    'Email',
    ' email',
    'phone',
    'complex',
    'jwt_id',
    'saml_assertion_id',
    'ip-addresses',
    'mail',
    '__proto__',
    'constructor',
    'toString',
  ])('has a format that is known, not %s (GTR-13)', (format) =>
    refusesIdentifier({ ...EMAIL, format }, 'unsupported_subject_format'),
  );

  const nothing = [null, '', ' ', '\t\n', '\u00a0', 1, true, [], {}];

  it.each([
    ...table('email', [{}, ...nothing.map((email) => ({ email }))]),
    ...table('email', [
      { email: ['ada@example.com'] },
      { email: 'ada' },
      { email: 'ada@' },
      { email: '@example.com' },
      { email: 'ada@example.com ' },
      { email: ' ada@example.com' },
      { email: 'ada@example.com\n' },
      { email: 'ada@example.com, bob@example.com' },
      { email: 'ada@x@example.com' },
      { email: `${'a'.repeat(1024)}@example.com` },
      { Email: 'ada@example.com' },
      { email: 'ada@example.com', id: 'x' },
      { email: 'ada@example.com', iss: null },
      { email: 'ada@example.com', constructor: 'x' },
      { email: 'ada@example.com', ['__proto__']: { email: 'eve@example.com' } },
      { ['__proto__']: { email: 'ada@example.com' } },
      { id: 'ada@example.com' },
    ]),
    ...table('iss_sub', [
      {},
      { iss: 'https://acme.okta.com' },
      { sub: '00u1ada' },
      ...nothing.map((sub) => ({ iss: 'https://acme.okta.com', sub })),
      ...nothing.map((iss) => ({ iss, sub: '00u1ada' })),
      { iss: 'https://acme.okta.com', sub: '00u1ada', email: 'ada@example.com' },
      { iss: 'https://acme.okta.com', sub: '1:2' },
      { iss: ':acme', sub: '00u1ada' },
      { iss: 'https://acme.okta.com', sub: '00u1ada ' },
    ]),
    ...table('opaque', [
      {},
      ...nothing.map((id) => ({ id })),
      { id: 'x'.repeat(1025) },
      { id: 'x', sub: 'x' },
      { sub: 'x' },
    ]),
    ...table('account', [
      {},
      { uri: '' },
      { uri: 'ada@example.com' },
      { uri: 'acct:ada' },
      { uri: 'mailto:ada@example.com' },
      { uri: 'acct:ada@example.com', url: 'x' },
      { uri: 'acct:ada%@example.com' },
      { uri: 'acct:ada%4@example.com' },
      { uri: 'acct:ada%zz@example.com' },
      { uri: 'acct:ad%E9@example.com' },
      { uri: 'acct:ad%C3@example.com' },
      { uri: 'acct:ad%C0%A1@example.com' },
      { uri: 'acct:ad%ED%A0%80@example.com' },
      { uri: 'acct:ada%40example.com' },
      { uri: 'acct:%20ada@example.com' },
      { uri: 'acct:ada@example.com%0A' },
    ]),
    ...table('phone_number', [
      {},
      { phone_number: '' },
      { phone_number: 441632960001 },
      { phone_number: '441632960001' },
      { phone_number: '+44 1632 960001' },
      { phone_number: '+0441632960001' },
      { phone_number: `+${'1'.repeat(16)}` },
      { phone_number: 'tel:+441632960001' },
      { phone: '+441632960001' },
    ]),
    ...table('did', [
      {},
      { url: '' },
      { url: 'example:123' },
      { url: 'did:' },
      { url: 'did:example:' },
      { uri: 'did:example:1' },
    ]),
    ...table('uri', [{}, { uri: '' }, { uri: 'ada' }, { uri: 'urn:a b' }, { uri: ':x' }, { url: 'urn:a:b' }]),
  ])('is as its format describes it, not %s (RFC 9493 §3)', (_, identifier) => refusesIdentifier(identifier));
});

describe('aliases (RFC 9493 §3.2.8)', () => {
  const aliases = (identifiers: unknown, more: object = {}) => ({ format: 'aliases', identifiers, ...more });

  it.each<[string, unknown]>([
    ['no list', { format: 'aliases' }],
    ['null for a list', aliases(null)],
    ['an object for a list', aliases({ 0: EMAIL, length: 1 })],
    ['an empty list', aliases([])],
    ['eleven entries', aliases(Array.from({ length: 11 }, () => EMAIL))],
    ['one member too many', aliases([EMAIL], { email: 'ada@example.com' })],
    ['an entry of null', aliases([EMAIL, null])],
    ['an entry of text', aliases(['ada@example.com'])],
    ['an entry that is a list', aliases([[EMAIL]])],
    ['an entry without a format', aliases([{ email: 'ada@example.com' }])],
    ['an entry that is not as its format says', aliases([EMAIL, { ...EMAIL, id: 'x' }])],
  ])('are refused with %s', (_, identifier) => refusesIdentifier(identifier));

  it.each<[string, unknown]>([
    ['aliases within', aliases([aliases([EMAIL])])],
    ['an entry of a format that nobody knows', aliases([EMAIL, { format: 'complex', user: EMAIL }])],
  ])('are refused with %s (GTR-13)', (_, identifier) => refusesIdentifier(identifier, 'unsupported_subject_format'));
});

it.each<[unknown, string]>([
  ['', 'The body is not JSON.'],
  [[], 'The body is not a JSON object with the member sub_id.'],
  [{}, 'The body has no sub_id.'],
  [{ SUB_ID: 1 }, 'The body has a member other than sub_id.'],
  [{ sub_id: EMAIL, subject: EMAIL }, 'The body has both sub_id and subject: send sub_id alone.'],
  [{ sub_id: 'x' }, 'sub_id is not an object.'],
  [{ sub_id: { format: 'email' } }, 'sub_id.email is missing, empty or not what its format asks for'],
  [{ sub_id: { ...EMAIL, id: 'x' } }, 'sub_id has a member that its format does not describe: it has format, email.'],
  [{ sub_id: { format: 'aliases', identifiers: [EMAIL, 1] } }, 'sub_id.identifiers[1] is not an object.'],
])('is refused with a hint at what would be right: %j', async (body, hint) => {
  const response = await endpoint.post(await endpoint.sign(), body);
  expect(response.body).toMatchObject({ status: 400, detail: expect.stringContaining(hint) });
});

it('is refused in words that repeat nothing of it', async () => {
  const secret = 'eve-7f3a';
  for (const body of [
    `{"${secret}":1}`,
    `"${secret}"`,
    `${secret}`,
    { sub_id: secret },
    { sub_id: { format: secret } },
    { sub_id: { format: 'email', email: secret } },
    { sub_id: { format: 'email', email: 'a@example.com', [secret]: secret } },
    { sub_id: { format: 'aliases', identifiers: [{ format: secret }] } },
  ]) {
    const response = await endpoint.post(await endpoint.sign(), body, PATH);
    expect(response.status).toBe(400);
    expect(response.text).not.toContain(secret);
  }
});
