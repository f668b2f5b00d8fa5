/** Cognito: every call is a signed POST to one path, and nearly every error is a 400. */
import { createHash, createHmac } from 'node:crypto';
import { cognito } from '../../src/connectors/cognito.js';
import { createCalls } from '../support/call.js';
import { keepsContract } from '../support/connector-contract.js';
import { type Route, startVendor, type Vendor, type VendorAnswer, type VendorRequest } from '../support/vendor.js';

const ACCOUNT = 'ada.s3cret@example.com';
const CALL = 'POST /';
const POOL = 'eu-central-1_AbCdEf123';
const SECRET = 'a-s3cret/of+aws';

const ADA = { Username: '6a1f-sub', Attributes: [{ Name: 'sub' }, { Name: 'email', Value: 'Ada.S3cret@example.com' }] };
const error = (__type: string, status = 400) => ({ status, json: { __type, message: 'No.' } });

/** Signature version 4 as AWS describes it, once more: of what has arrived, not of what was meant. */
function signatureOf({ headers, body }: VendorRequest): string {
  const [, date = '', signed = ''] =
    /Credential=AKIA1\/(\d{8})\/.*SignedHeaders=([\w;-]+)/.exec(headers.authorization ?? '') ?? [];
  const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');
  const hmac = (key: Buffer | string, text: string) => createHmac('sha256', key).update(text).digest();
  const canonicalHeaders = signed.split(';').map((name) => `${name}:${headers[name]}\n`);
  const canonical = ['POST', '/', '', canonicalHeaders.join(''), signed, sha256(body)].join('\n');
  const scope = `${date}/eu-central-1/cognito-idp/aws4_request`;
  const key = ['eu-central-1', 'cognito-idp', 'aws4_request'].reduce(hmac, hmac(`AWS4${SECRET}`, date));
  const text = ['AWS4-HMAC-SHA256', headers['x-amz-date'], scope, sha256(canonical)].join('\n');
  return hmac(key, text).toString('hex');
}

type State = { pages?: object[][]; signOut?: VendorAnswer; endless?: boolean; temporary?: boolean };

function vendor({ pages = [[ADA]], signOut, endless, temporary }: State = {}): Route[] {
  const expected = (action: string, json: object) => ({
    headers: {
      'content-type': 'application/x-amz-json-1.1',
      'x-amz-target': `AWSCognitoIdentityProviderService.${action}`,
      'x-amz-date': expect.stringMatching(/^\d{8}T\d{6}Z$/),
      authorization: expect.stringMatching(
        /^AWS4-HMAC-SHA256 Credential=AKIA1\/\d{8}\/eu-central-1\/cognito-idp\/aws4_request, SignedHeaders=host;x-amz-date;(x-amz-security-token;)?x-amz-target, Signature=[0-9a-f]{64}$/,
      ),
      ...(temporary && { 'x-amz-security-token': 'temporary-s3cret' }),
    },
    json,
  });
  const list = { UserPoolId: POOL, Filter: `email = "${ACCOUNT}"` };
  return [
    {
      call: CALL,
      changesNothing: true,
      expects: [
        expected('ListUsers', list),
        expected('ListUsers', { ...list, PaginationToken: expect.stringMatching(/^\d+$/) }),
        expected('ListUsers', { UserPoolId: POOL, Filter: 'email = "a\\"b@x"' }),
        expected('ListUsers', { UserPoolId: POOL, Limit: 1 }), // The check.
        expected('AdminUserGlobalSignOut', { UserPoolId: POOL, Username: expect.stringMatching(/^(6a1f-sub|ada)$/) }),
      ],
      answer: (request) => {
        if (!request.headers.authorization?.endsWith(`=${signatureOf(request)}`))
          return error('InvalidSignatureException');
        if (request.headers['x-amz-target']?.endsWith('.AdminUserGlobalSignOut')) return signOut ?? { json: {} };
        const page = Number((request.json as { PaginationToken?: string }).PaginationToken ?? 0);
        const next = endless || page + 1 < pages.length ? { PaginationToken: String(page + 1) } : {};
        return { json: { Users: pages[page] ?? [], ...next } };
      },
    },
  ];
}

const optionsAt = (url: string) => ({ userPoolId: POOL, accessKeyId: 'AKIA1', secretAccessKey: SECRET, url });
const OUTCOME = {
  state: 'revoked' as const,
  what: ['refresh_tokens' as const],
  partial: 'the cookie of managed login lives on for up to an hour, and tokens that apps check by themselves',
};

keepsContract(cognito, {
  account: ACCOUNT,
  options: optionsAt,
  secrets: [SECRET],
  vendor: () => vendor(),
  calls: [CALL, CALL],
  outcome: OUTCOME,
  reads: [CALL],
  unknown: {
    'nobody is found': () => vendor({ pages: [[]] }),
    'only others who resemble the account are found': () =>
      vendor({
        pages: [
          [
            { Username: 'x', Attributes: [{ Name: 'email', Value: `x${ACCOUNT}` }] },
            { Username: 'y', Attributes: [{ Name: 'custom:email', Value: ACCOUNT }] },
            { Username: ACCOUNT },
          ],
        ],
      }),
    'the user has gone since': () => vendor({ signOut: error('UserNotFoundException') }),
  },
  check: { ok: true, detail: 'users can be listed; whether they can be signed out shows at the first revocation' },
});

describe('cognito', () => {
  let app: Vendor;
  let calls: Awaited<ReturnType<typeof createCalls>>;
  beforeAll(async () => {
    app = await startVendor();
    calls = await createCalls();
  });
  afterAll(() => Promise.all([app.close(), calls.close()]));

  const revoke = (account = ACCOUNT, more = {}) =>
    cognito.revoke(account, cognito.options.parse({ ...optionsAt(app.url), ...more }), calls.call());
  const actions = () => app.requests.map(({ headers }) => headers['x-amz-target']?.split('.')[1]);

  it('looks nobody up where the account is the user name', async () => {
    app.reset(vendor());
    expect(await revoke('ada', { accountIs: 'username' })).toEqual(OUTCOME);
    expect(actions()).toEqual(['AdminUserGlobalSignOut']);
    expect(app.violations).toEqual([]);
  });

  it('looks on every page, and calls for nobody where several match', async () => {
    app.reset(vendor({ pages: [[], [ADA]] }));
    expect(await revoke()).toEqual(OUTCOME);
    app.reset(vendor({ pages: [[ADA], [{ ...ADA, Username: 'okta_ada' }]] }));
    await expect(revoke()).rejects.toMatchObject({ reason: 'refused' });
    expect(actions()).toEqual(['ListUsers', 'ListUsers']);
    app.reset(vendor({ endless: true, pages: [] }));
    await expect(revoke()).rejects.toMatchObject({ reason: 'refused', message: expect.stringContaining('20 pages') });
  });

  it('lets no account out of its quotes in the filter', async () => {
    app.reset(vendor({ pages: [[]] }));
    // A backslash is refused before, by the form of accounts.
    expect(await revoke('a"b@x')).toMatchObject({ state: 'none' });
    expect(app.violations).toEqual([]);
  });

  it('sends the token of a temporary key, signed', async () => {
    app.reset(vendor({ temporary: true }));
    expect(await revoke(ACCOUNT, { sessionToken: 'temporary-s3cret' })).toEqual(OUTCOME);
    expect(app.violations).toEqual([]);
  });

  it('calls the endpoint of the pool’s region', async () => {
    const { url: _, ...options } = optionsAt(app.url);
    const urls: string[] = [];
    const send = async (url: string) => {
      urls.push(url);
      return { status: 200, headers: {}, body: '{"Users":[]}' };
    };
    await cognito.revoke(ACCOUNT, cognito.options.parse(options), calls.call({ send }));
    expect(urls).toEqual(['https://cognito-idp.eu-central-1.amazonaws.com/']);
  });

  it.each(['', 'eu-central-1', 'evil.example.com/_x', 'eu-central-1_a/b', 'EU_1'])(
    'takes no pool id that is none [%j]',
    (id) => {
      expect(cognito.options.safeParse({ ...optionsAt(app.url), userPoolId: id }).success).toBe(false);
    },
  );

  it.each([
    ['TooManyRequestsException', 'rate_limited'],
    ['ThrottlingException', 'rate_limited'],
    ['com.amazonaws.cognito#TooManyRequestsException', 'rate_limited'],
    ['AccessDeniedException', 'auth'],
    ['UnrecognizedClientException', 'auth'],
    ['InvalidSignatureException', 'auth'],
    ['ExpiredTokenException', 'auth'],
    ['NotAuthorizedException', 'auth'],
    ['ResourceNotFoundException', 'refused'],
    ['InvalidParameterException', 'refused'],
    ['NotUserNotFoundException', 'refused'],
  ])('takes a 400 for what its word says [%s]', async (word, reason) => {
    app.reset(vendor({ signOut: error(word) }));
    await expect(revoke()).rejects.toMatchObject({ reason, message: 'cognito: AdminUserGlobalSignOut answered 400' });
  });

  it('takes a 404 for a wrong URL, not for an unknown user', async () => {
    app.reset(vendor({ signOut: error('UserNotFoundException', 404) }));
    await expect(revoke()).rejects.toMatchObject({ reason: 'refused' });
  });
});
