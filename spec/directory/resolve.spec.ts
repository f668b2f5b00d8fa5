/** Which user a subject identifier names: every format of RFC 9493, against a real directory. */
import { randomUUID } from 'node:crypto';
import { Redis } from 'ioredis';
import { createDirectory } from '../../src/directory/directory.js';
import { resolve, type SubjectIdentifier, type SubjectPolicy } from '../../src/directory/resolve.js';
import type { UserAttributes } from '../../src/directory/user.js';

const OKTA = 'https://acme.okta.com';
const prefix = `spec-${randomUUID().slice(0, 8)}`;
const redis = new Redis(process.env.TEST_REDIS_URL as string);
let now = Date.now();
const { put, users } = createDirectory(redis, prefix, { graceMs: 86_400_000, now: () => now });
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
const opaque = (id: string) => ({ format: 'opaque', id }) as const;
const account = (name: string) => ({ format: 'account', uri: `acct:${name}` }) as const;
const phone = (phone_number: string) => ({ format: 'phone_number', phone_number }) as const;

/** A tenant of its own with these people in it; whose `gone` is set were deleted, one after the other. */
async function tenantOf<Name extends string>(people: Record<Name, Person>) {
  const tenant = `t-${randomUUID().slice(0, 8)}`;
  const ids = {} as Record<Name, string>;
  for (const [name, { gone: isGone, ...attributes }] of Object.entries<Person>(people)) {
    const { user } = await put(tenant, attributes);
    ids[name as Name] = user.id;
    now += 1_000;
    if (isGone) await users.remove(tenant, user);
  }
  return { ids, whom: (one: SubjectIdentifier, over: Partial<SubjectPolicy> = {}) => whom(one, over, tenant) };
}

type Person = UserAttributes & { gone?: true };

const addresses = (...list: string[]) => list.map((value, index) => ({ value, primary: index === 0 }));
const ambiguous = { refused: 'ambiguous_subject' };

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

describe('an address that a living user has beside another, and that was the first of one who is gone', () => {
  const people = {
    ada: { userName: 'ada', externalId: '00uA', emails: addresses('ada@example.com'), gone: true },
    boss: { userName: 'boss', externalId: '00uB', emails: addresses('boss@example.com', 'ada@example.com') },
  } as const satisfies Record<string, Person>;

  it.each<[string, SubjectIdentifier, Partial<SubjectPolicy>]>([
    ['email', email('ada@example.com'), {}],
    ['email in exactly these letters', email('ada@example.com'), { emailLocalPart: 'exact' }],
    ['account', account('ada@example.com'), {}],
    ['iss_sub where an address may be one', issSub('ada@example.com'), { identifiers: ['externalId', 'email'] }],
    ['opaque where an address may be one', opaque('ada@example.com'), { identifiers: ['email'] }],
    ['aliases that name the gone', aliases(email('ada@example.com'), issSub('00uA')), {}],
  ])('names nobody by %s', async (_what, subjectIdentifier, over) => {
    const { whom: named } = await tenantOf(people);
    expect(await named(subjectIdentifier, over)).toEqual(ambiguous);
  });

  it('names nobody where the first address is the first in the list and nothing says so', async () => {
    const { whom: named } = await tenantOf({
      ada: { userName: 'ada', emails: [{ value: 'ada@example.com' }, { value: 'a@example.com' }], gone: true },
      boss: { userName: 'boss', emails: [{ value: 'boss@example.com' }, { value: 'ADA@example.com' }] },
    });
    expect(await named(email('ada@example.com'))).toEqual(ambiguous);
  });

  it('names nobody where the gone had it as a userName, which is another kind', async () => {
    const { whom: named } = await tenantOf({ ...people, ada: { userName: 'ada@example.com', gone: true } });
    const over: Partial<SubjectPolicy> = { identifiers: ['userName', 'email'] };
    expect(await named(issSub('ada@example.com'), over)).toEqual(ambiguous);
    expect(await named(account('ada@example.com'))).toEqual(ambiguous);
  });

  it('names the living one by every other name, and the gone by theirs', async () => {
    const { ids, whom: named } = await tenantOf(people);
    expect(await named(email('boss@example.com'))).toEqual({ user: ids.boss });
    expect(await named(issSub('00uB'))).toEqual({ user: ids.boss });
    expect(await named(aliases(email('ada@example.com'), issSub('00uB')))).toEqual({ user: ids.boss });
    expect(await named(issSub('00uA'))).toEqual({ user: ids.ada });
  });

  it('names the living one whose first address it has become', async () => {
    const emails = addresses('ada@example.com', 'boss@example.com');
    const { ids, whom: named } = await tenantOf({ ...people, boss: { ...people.boss, emails } });
    expect(await named(email('ada@example.com'))).toEqual({ user: ids.boss });
  });

  it.each([
    ['userName', { userName: 'ADA' }],
    ['externalId', { externalId: '00uA' }],
  ])('names the living one who is the same person, by the %s', async (_what, same) => {
    const { ids, whom: named } = await tenantOf({ ...people, boss: { ...people.boss, ...same } });
    expect(await named(email('ada@example.com'))).toEqual({ user: ids.boss });
  });

  it('names the living one where the gone had it beside another too', async () => {
    const emails = addresses('a@example.com', 'ada@example.com');
    const { ids, whom: named } = await tenantOf({ ...people, ada: { ...people.ada, emails } });
    expect(await named(email('ada@example.com'))).toEqual({ user: ids.boss });
  });

  it('names the living one once the grace is over', async () => {
    const { ids, whom: named } = await tenantOf(people);
    now += 86_400_000;
    expect(await named(email('ada@example.com'))).toEqual({ user: ids.boss });
  });
});

describe('somebody who was deleted more than once', () => {
  const ada = { userName: 'ada', externalId: '00uA', emails: addresses('ada@example.com') };
  const everyName = [email('ada@example.com'), issSub('00uA'), issSub('ada'), phone('+441632960001')];

  it.each(['userName', 'externalId'] as const)('is who went last, where the %s is the same', async (kind) => {
    const lives = ['first', 'second', 'third'].map((name): [string, Person] => {
      const phoneNumbers = [{ value: '+441632960001' }];
      const other = kind === 'userName' ? { externalId: `00u-${name}` } : { userName: `ada-${name}` };
      return [name, { ...ada, phoneNumbers, ...other, gone: true }];
    });
    const { ids, whom: named } = await tenantOf(Object.fromEntries(lives));
    expect(await named(email('ada@example.com'))).toEqual({ user: ids.third });
    expect(await named(phone('+441632960001'))).toEqual({ user: ids.third });
    expect(await named(kind === 'userName' ? issSub('ADA') : issSub('00uA'))).toEqual({ user: ids.third });
    expect(await named(kind === 'userName' ? issSub('00u-first') : issSub('ada-first'))).toEqual({ user: ids.first });
  });

  it('is the living one, after any number of lives', async () => {
    const phoneNumbers = [{ value: '+441632960001' }];
    const gone = { ...ada, phoneNumbers, gone: true as const };
    const { ids, whom: named } = await tenantOf({ one: gone, two: gone, three: { ...ada, phoneNumbers } });
    for (const name of everyName) expect(await named(name)).toEqual({ user: ids.three });
  });

  it('is told from another person who is gone as well', async () => {
    const gone = { ...ada, gone: true as const };
    const other = { ...gone, userName: 'grace', externalId: '00uG' };
    for (const people of [
      { one: gone, two: gone, other },
      { other, one: gone, two: gone },
    ]) {
      const { whom: named } = await tenantOf(people);
      expect(await named(email('ada@example.com'))).toEqual(ambiguous);
      expect(await named(aliases(issSub('00uA'), issSub('00uG')))).toEqual(ambiguous);
    }
  });

  it('is nobody for whom no name is the same, but an externalId that neither has', async () => {
    const { externalId: _, ...without } = { ...ada, gone: true as const };
    const { whom: named } = await tenantOf({ ada: without, grace: { ...without, userName: 'grace' } });
    expect(await named(email('ada@example.com'))).toEqual(ambiguous);
  });
});

describe('a name that the gone had as one kind and the living has as another', () => {
  const people = {
    old: { userName: 'ada', externalId: 'ada@example.com', gone: true },
    young: { userName: 'ada@example.com', externalId: '00u1' },
  } as const satisfies Record<string, Person>;

  it('is the name of the living', async () => {
    const { ids, whom: named } = await tenantOf(people);
    expect(await named(issSub('ada@example.com'))).toEqual({ user: ids.young });
    expect(await named(opaque('ada@example.com'))).toEqual({ user: ids.young });
    expect(await named(aliases(issSub('ada@example.com'), issSub('00u1')))).toEqual({ user: ids.young });
    // The old userName is nobody else's, but the young one is who the others name.
    expect(await named(aliases(issSub('ada'), issSub('00u1')))).toEqual({ user: ids.young });
    expect(await named(issSub('ada'))).toEqual({ user: ids.old });
  });

  it('is the name of the gone where nobody else has it', async () => {
    const { ids, whom: named } = await tenantOf({ ...people, young: { userName: 'grace', externalId: '00u1' } });
    expect(await named(issSub('ada@example.com'))).toEqual({ user: ids.old });
  });

  it('is still the name of two where both live', async () => {
    const { whom: named } = await tenantOf({ ...people, old: { userName: 'ada', externalId: 'ada@example.com' } });
    expect(await named(aliases(issSub('ada'), issSub('00u1')))).toEqual(ambiguous);
  });

  it('does not make a telephone that is shared stronger than the name of the gone', async () => {
    const phoneNumbers = [{ value: '+441632960001' }];
    const { whom: named } = await tenantOf({
      ada: { userName: 'ada', externalId: '00uA', phoneNumbers, gone: true },
      grace: { userName: 'grace', externalId: '00uG', phoneNumbers },
    });
    expect(await named(aliases(issSub('00uA'), phone('+441632960001')))).toEqual(ambiguous);
  });
});

describe('a name that is spelt another way', () => {
  it.each([
    'acct:zo%C3%AB@example.com',
    'acct:ZO%c3%8b@example.com',
    'acct:zoe%CC%88@example.com',
    'acct:zo\u00eb@example.com',
  ])('is the same account [%s]', async (uri) => {
    const { ids, whom: named } = await tenantOf({
      zoe: { userName: 'zoe', emails: addresses('zo\u00eb@example.com') },
    });
    expect(await named({ format: 'account', uri })).toEqual({ user: ids.zoe });
  });

  it('is another account where an @ is encoded, as in the example of RFC 7565', async () => {
    const { ids, whom: named } = await tenantOf({
      one: { userName: 'juliet@capulet.example' },
      two: { userName: 'juliet@capulet.example@shop.example' },
    });
    const uri = 'acct:juliet%40capulet.example@shop.example';
    expect(await named({ format: 'account', uri })).toEqual({ user: ids.two });
    expect(await named({ format: 'account', uri: 'acct:juliet%40capulet.example@other.example' })).toEqual({
      refused: 'unknown_user',
    });
  });

  it('is the same telephone, and the line of nobody else', async () => {
    const numbers = (...list: string[]) => ({ phoneNumbers: list.map((value) => ({ value })) });
    const { ids, whom: named } = await tenantOf({
      ada: { userName: 'ada', ...numbers('+44 (0)20 7946 0000', 'tel:+1-201-555-0123;ext=12') },
      grace: {
        userName: 'grace',
        ...numbers('0044 20 7946 0001', '+1\u2011202\u2011555\u20110123', '+1/203/555/0123'),
      },
      lin: { userName: 'lin', ...numbers('+1 201 555 0123 x12', '00123', '7042;phone-context=+1') },
    });
    for (const number of ['+442079460000', '+12015550123']) {
      expect(await named(phone(number))).toEqual({ user: ids.ada });
    }
    for (const number of ['+442079460001', '+12025550123', '+12035550123']) {
      expect(await named(phone(number))).toEqual({ user: ids.grace });
    }
    for (const number of ['+1201555012312', '+123', '+17042', '+4402079460000', '+442079460002']) {
      expect(await named(phone(number))).toEqual({ refused: 'unknown_user' });
    }
  });

  it('is the same address in capital letters', async () => {
    const address = '\u03c4\u03b1\u0390\u03b6\u03c9@example.com';
    const { ids, whom: named } = await tenantOf({
      one: { userName: address },
      two: { userName: '\u03c4\u03b1\u03b9\u03b6\u03c9@example.com' },
    });
    expect(await named(email(address.toUpperCase()))).toEqual({ user: ids.one });
    expect(await named(issSub(address.toUpperCase()))).toEqual({ user: ids.one });
  });
});

describe('mailboxes that differ by case', () => {
  const exact = { emailLocalPart: 'exact' } as const;
  const spellings = ['Ada@example.com', 'aDa@example.com', 'adA@example.com', 'ADA@example.com'];
  const one = (address: string) => ({
    userName: `user of ${Buffer.from(address).toString('hex')}`,
    emails: addresses(address),
  });
  const all = Object.fromEntries(spellings.map((address) => [address, one(address)]));

  it.each(spellings)('are found however many there are [%s]', async (address) => {
    const { ids, whom: named } = await tenantOf(all);
    expect(await named(email(address), exact)).toEqual({ user: ids[address] });
    expect(await named(email(address))).toEqual(ambiguous);
  });

  it.each<[string, (address: string) => SubjectIdentifier, Partial<SubjectPolicy>]>([
    ['email', email, {}],
    ['account', account, {}],
    ['iss_sub', (address) => issSub(address), { identifiers: ['externalId', 'email'] }],
    ['opaque', opaque, { identifiers: ['email'] }],
    ['aliases', (address) => aliases(email(address)), {}],
  ])('are told apart by %s', async (_what, identifier, over) => {
    const { ids, whom: named } = await tenantOf(all);
    expect(await named(identifier('adA@example.com'), { ...exact, ...over })).toEqual({ user: ids['adA@example.com'] });
    expect(await named(identifier('ada@example.com'), { ...exact, ...over })).toEqual({ refused: 'unknown_user' });
  });

  it('are ambiguous where two have exactly one, behind others', async () => {
    const two = { ...one('Ada@example.com'), userName: 'another' };
    const { whom: named } = await tenantOf({ ...all, two });
    expect(await named(email('Ada@example.com'), exact)).toEqual(ambiguous);
  });

  it('of the gone do not stand behind those of others', async () => {
    const gone = { ...one('ada@example.com'), gone: true as const };
    const { ids, whom: named } = await tenantOf({ gone, ...all });
    expect(await named(email('ada@example.com'), exact)).toEqual({ user: ids.gone });
  });
});

function aliases(...identifiers: Extract<SubjectIdentifier, { format: 'aliases' }>['identifiers']): SubjectIdentifier {
  return { format: 'aliases', identifiers };
}
