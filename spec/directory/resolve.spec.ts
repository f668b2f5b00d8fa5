/** Which user a subject identifier names: every format of RFC 9493, against a real directory. */
import { randomUUID } from 'node:crypto';
import { Redis } from 'ioredis';
import { createDirectory } from '../../src/directory/directory.js';
import { resolve, type SubjectIdentifier, type SubjectPolicy } from '../../src/directory/resolve.js';
import type { UserAttributes } from '../../src/directory/user.js';

const OKTA = 'https://acme.okta.com';
const prefix = `spec-${randomUUID().slice(0, 8)}`;
const redis = new Redis(process.env.TEST_REDIS_URL as string);
const { put, users } = createDirectory(redis, prefix, { graceMs: 86_400_000, now: Date.now });
const policy: SubjectPolicy = {
  subjectIssuers: [OKTA],
  identifiers: ['externalId', 'userName'],
  emailLocalPart: 'any-case',
};

let ada: string;
let grace: string;
let lin: string;
let gone: string;

beforeAll(async () => {
  const add = async (tenant: string, user: UserAttributes) => (await put(tenant, user, [])).user;
  const values = (...list: string[]) => list.map((value) => ({ value }));
  ({ id: ada } = await add('default', {
    userName: 'ada',
    externalId: '00u1ada',
    emails: values('Ada@example.com', 'desk@example.com'),
    phoneNumbers: values('+44 1632 960001'),
  }));
  // Each of these two is called by a name that is the other's of another kind.
  ({ id: grace } = await add('default', {
    userName: '00u3lin',
    externalId: 'https://id.example.com/grace',
    emails: values('grace@example.com', 'desk@example.com'),
  }));
  ({ id: lin } = await add('default', {
    userName: 'did:example:lin',
    externalId: '00u3lin',
    emails: values('lin@example.com'),
  }));
  const deleted = await add('default', { userName: 'gone', emails: values('gone@example.com', 'lin@example.com') });
  await users.remove('default', deleted);
  gone = deleted.id;
  await add('other', {
    userName: 'eve',
    externalId: '00u4eve',
    emails: values('eve@example.com'),
    phoneNumbers: values('+1'),
  });
});

afterAll(async () => {
  const keys = await redis.keys(`${prefix}:*`);
  if (keys.length > 0) await redis.del(keys);
  redis.disconnect();
});

async function whom(subjectIdentifier: SubjectIdentifier, over: Partial<SubjectPolicy> = {}, tenant = 'default') {
  const resolution = await resolve(users, tenant, { ...policy, ...over }, subjectIdentifier);
  return 'user' in resolution ? { user: resolution.user.resource.id } : resolution;
}

const issSub = (sub: string, iss = OKTA) => ({ format: 'iss_sub', iss, sub }) as const;
const email = (address: string) => ({ format: 'email', email: address }) as const;

describe('one user is named', () => {
  it.each<[string, SubjectIdentifier, () => string]>([
    ['email', email('ada@example.com'), () => ada],
    ['email in other letters', email('ADA@Example.com'), () => ada],
    ['iss_sub by externalId', issSub('00u1ada'), () => ada],
    ['iss_sub by userName', issSub('ada'), () => ada],
    ['opaque', { format: 'opaque', id: '00u1ada' }, () => ada],
    ['phone_number', { format: 'phone_number', phone_number: '+441632960001' }, () => ada],
    ['account', { format: 'account', uri: 'acct:ada@example.com' }, () => ada],
    ['account in other letters', { format: 'account', uri: 'ACCT:Ada@example.com' }, () => ada],
    ['uri', { format: 'uri', uri: 'https://id.example.com/grace' }, () => grace],
    ['did', { format: 'did', url: 'did:example:lin' }, () => lin],
    ['aliases of one user', aliases(email('ada@example.com'), issSub('00u1ada')), () => ada],
    ['aliases, one of them unknown', aliases(email('nobody@example.com'), issSub('00u1ada')), () => ada],
    [
      'aliases, one of another issuer',
      aliases(issSub('00u3lin', 'https://evil.example'), issSub('00u1ada')),
      () => ada,
    ],
    ['aliases, one alone', aliases(email('lin@example.com')), () => lin],
    ['an email that a deleted user had too', email('lin@example.com'), () => lin],
    ['email, after the user was deleted', email('gone@example.com'), () => gone],
    ['iss_sub, after the user was deleted', issSub('gone'), () => gone],
  ])('by %s', async (_what, subjectIdentifier, user) => {
    expect(await whom(subjectIdentifier)).toEqual({ user: user() });
  });

  it('by the first kind of identifier that names anybody, in the order of the trust', async () => {
    expect(await whom(issSub('00u3lin'))).toEqual({ user: lin });
    expect(await whom(issSub('00u3lin'), { identifiers: ['userName', 'externalId'] })).toEqual({ user: grace });
    expect(await whom({ format: 'opaque', id: '00u3lin' }, { identifiers: ['userName'] })).toEqual({ user: grace });
  });

  it("by the directory's own id where the trust allows that", async () => {
    expect(await whom(issSub(ada), { identifiers: ['id'] })).toEqual({ user: ada });
    expect(await whom(issSub(ada))).toEqual({ refused: 'unknown_user' });
  });

  it('by an e-mail address as iss_sub where the trust allows that', async () => {
    expect(await whom(issSub('Ada@example.com'), { identifiers: ['externalId', 'email'] })).toEqual({ user: ada });
    expect(await whom(issSub('Ada@example.com'))).toEqual({ refused: 'unknown_user' });
  });

  it('by an e-mail address in exactly its letters, where the tenant has mailboxes that differ by case', async () => {
    const exact = { emailLocalPart: 'exact' } as const;
    expect(await whom(email('Ada@example.com'), exact)).toEqual({ user: ada });
    expect(await whom(email('Ada@EXAMPLE.com'), exact)).toEqual({ user: ada });
    expect(await whom(email('ada@example.com'), exact)).toEqual({ refused: 'unknown_user' });
    expect(await whom(email('ADA@example.com'), exact)).toEqual({ refused: 'unknown_user' });
  });

  it('by any issuer of the set', async () => {
    const subjectIssuers = ['https://login.acme.com', OKTA];
    expect(await whom(issSub('00u1ada', 'https://login.acme.com'), { subjectIssuers })).toEqual({ user: ada });
  });
});

describe('nobody is named', () => {
  it.each<[string, SubjectIdentifier]>([
    ['an unknown email', email('nobody@example.com')],
    ['an unknown iss_sub', issSub('00u9nobody')],
    ['an externalId in other letters', issSub('00U1ADA')],
    ['an unknown opaque id', { format: 'opaque', id: 'nobody' }],
    ['an unknown phone number', { format: 'phone_number', phone_number: '+19' }],
    ['an unknown account', { format: 'account', uri: 'acct:nobody@example.com' }],
    ['an unknown uri', { format: 'uri', uri: 'https://id.example.com/nobody' }],
    ['an unknown did', { format: 'did', url: 'did:example:nobody' }],
    ['aliases that are all unknown', aliases(email('nobody@example.com'), issSub('00u9nobody'))],
    ['a userName as email', email('00u3lin')],
    ["another tenant's email", email('eve@example.com')],
    ["another tenant's externalId", issSub('00u4eve')],
    ["another tenant's phone number", { format: 'phone_number', phone_number: '+1' }],
    ["another tenant's account", { format: 'account', uri: 'acct:eve@example.com' }],
  ])('by %s', async (_what, subjectIdentifier) => {
    expect(await whom(subjectIdentifier)).toEqual({ refused: 'unknown_user' });
  });

  it.each([
    ['another host', 'https://evil.example'],
    ['a slash at the end', `${OKTA}/`],
    ['other letters', 'https://ACME.okta.com'],
    ['plain http', 'http://acme.okta.com'],
    ['a path', `${OKTA}/oauth2/default`],
    ['empty', ''],
  ])('by a subject of an issuer that is not listed, letter by letter [%s]', async (_what, iss) => {
    expect(await whom(issSub('00u1ada', iss))).toEqual({ refused: 'unknown_subject_issuer' });
    expect(await whom(aliases(issSub('00u1ada', iss)))).toEqual({ refused: 'unknown_subject_issuer' });
  });

  it('in a tenant that does not exist', async () => {
    expect(await whom(email('ada@example.com'), {}, 'nowhere')).toEqual({ refused: 'unknown_user' });
  });
});

describe('more than one user is named', () => {
  it.each<[string, SubjectIdentifier]>([
    ['a shared email', email('desk@example.com')],
    ['a shared email as account', { format: 'account', uri: 'acct:desk@example.com' }],
    ['aliases of two users', aliases(email('ada@example.com'), issSub('00u3lin'))],
    ['aliases, one of them shared', aliases(issSub('00u1ada'), email('desk@example.com'))],
  ])('by %s, which is ambiguous', async (_what, subjectIdentifier) => {
    expect(await whom(subjectIdentifier)).toEqual({ refused: 'ambiguous_subject' });
  });
});

function aliases(...identifiers: Extract<SubjectIdentifier, { format: 'aliases' }>['identifiers']): SubjectIdentifier {
  return { format: 'aliases', identifiers };
}
