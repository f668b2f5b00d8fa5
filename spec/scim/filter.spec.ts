/** Filters (RFC 7644 §3.4.2.2): what they match by the case rules of the schema, and what is no filter. */
import { groupAttributes, userAttributes } from '../../src/scim/attributes.js';
import { matches, parseFilter } from '../../src/scim/filter.js';
import { groupLookupsFor, lookupsFor } from '../../src/scim/lookup.js';
import { ScimError } from '../../src/scim/scim-error.js';
import { ENTERPRISE, USER } from '../support/scim.js';

const ada = {
  schemas: [USER, ENTERPRISE],
  id: '123456789012345',
  externalId: '00u1Ada',
  userName: 'Ada@Example.com',
  name: { givenName: 'Zoë', familyName: 'King' },
  title: 'Countess',
  active: true,
  emails: [
    { value: 'Ada@work.example', type: 'work', primary: true },
    { value: 'ada@home.example', type: 'home' },
  ],
  addresses: [{ country: 'GB', locality: 'London' }],
  [ENTERPRISE]: { department: 'Engineering', manager: { value: '42' } },
  meta: {
    resourceType: 'User',
    created: '2026-01-02T03:04:05.000Z',
    lastModified: '2026-01-02T03:04:05.006Z',
    version: 'W/"7"',
  },
};

const isMatch = (filter: string) => matches(ada, parseFilter(filter, userAttributes), userAttributes);

const matching = [
  'userName eq "ada@example.com"',
  'userName eq "ADA@EXAMPLE.COM"',
  'userName Eq " ada@example.com "',
  'USERNAME eq "ada@example.com"',
  'userName ne "grace@example.com"',
  'userName co "@EXAMPLE"',
  'userName sw "ada"',
  'userName ew ".COM"',
  'userName pr',
  'userName gt "aaa"',
  'userName ge "ada@example.com"',
  'userName le "ADA@example.com"',
  'userName lt "b"',
  `${USER}:userName eq "ada@example.com"`,
  `${USER.toUpperCase()}:USERNAME eq "ada@example.com"`,
  'externalId eq "00u1Ada"',
  'externalId ne "00U1ADA"',
  'id eq "123456789012345"',
  'name.givenName eq "zoe\u0308"',
  'name.givenName eq "ZO\\u00cb"',
  'name.familyName co "in"',
  'emails eq "ada@work.example"',
  'emails.value eq "ADA@home.example"',
  'emails.type eq "HOME"',
  'emails[type eq "work"]',
  'emails[type eq "work" and value co "@work."]',
  'emails[not (type eq "work")]',
  'emails[type eq "home" and not (primary eq true)]',
  'emails[primary eq "True"]',
  'emails.value ne "nobody@example.com"',
  'active eq true',
  'active eq "TRUE"',
  'active ne false',
  'active pr',
  'nickName eq null',
  'not (nickName pr)',
  'nickName ne "x"',
  'title ne null',
  'emails pr',
  'addresses[country eq "gb"]',
  'addresses.locality eq "london"',
  'name pr',
  `${ENTERPRISE}:department eq "engineering"`,
  `${ENTERPRISE}:manager.value eq "42"`,
  `${ENTERPRISE} pr`,
  `schemas eq "${ENTERPRISE}"`,
  'meta.resourceType eq "User"',
  'meta.created eq "2026-01-02T03:04:05Z"',
  'meta.created eq "2026-01-02T04:04:05+01:00"',
  'meta.lastModified gt "2026-01-02T03:04:05Z"',
  'meta.created lt "2026-01-02T03:04:05.001Z"',
  'meta.created le "2026-01-02T03:04:05Z"',
  'meta.version eq "W/\\"7\\""',
  'title eq "Countess" and active eq true',
  'title eq "Nobody" or active eq true',
  // and binds tighter than or.
  'active eq true or title eq "Nobody" and title eq "Nobody"',
  'not (title eq "Nobody") and userName pr',
  '(title eq "Nobody" or active eq true) and (userName sw "ada")',
  'TITLE EQ "countess" AND NOT (ACTIVE EQ false)',
];

const notMatching = [
  'userName eq "ada"',
  'userName ne "ADA@example.com"',
  'userName gt "ada@example.com"',
  'userName lt "ada@example.com"',
  'userName eq null',
  'userName eq 5',
  'userName gt 5',
  'externalId eq "00u1ada"',
  'externalId sw "00U"',
  'id eq "12345678901234"',
  'id ne "123456789012345"',
  'meta.version eq "w/\\"7\\""',
  'meta.resourceType eq "user"',
  'emails[type eq "work" and value co "@home."]',
  'emails[type eq "other"]',
  'emails.value ne "ada@home.example"',
  'active eq false',
  'active ne true',
  'active eq "yes"',
  'active eq "constructor"',
  'active eq 1',
  'nickName pr',
  'nickName ne null',
  'nickName eq "x"',
  'nickName gt "a"',
  'unknown pr',
  'unknown eq "x"',
  '__proto__ pr',
  'constructor pr',
  'constructor.name eq "Object"',
  'name.constructor pr',
  'emails.length pr',
  `${ENTERPRISE}:department eq "sales"`,
  'department eq "Engineering"',
  'meta.created gt "2026-01-02T03:04:05Z"',
  'meta.created gt "yesterday"',
  'title eq "Nobody" and active eq true',
  'not (active eq true)',
  '(active eq true or title eq "Nobody") and title eq "Nobody"',
];

describe('a filter', () => {
  it.each(matching)('matches: %s', (filter) => expect(isMatch(filter)).toBe(true));
  it.each(notMatching)('does not match: %s', (filter) => expect(isMatch(filter)).toBe(false));

  it.each([
    ['a backslash that is escaped', 'userName eq "EXAMPLE\\\\ada"', 'EXAMPLE\\ada'],
    ['a backslash that is not', 'userName eq "EXAMPLE\\ada"', 'EXAMPLE\\ada'],
    ['a backslash at the end', 'userName eq "ada\\\\"', 'ada\\'],
    ['a quotation mark', 'userName eq "a\\"da"', 'a"da'],
    ['an escape of JSON', 'userName eq "\\u0061da"', 'ada'],
    ['words of the grammar', 'userName eq "a and (b or [c]) pr"', 'a and (b or [c]) pr'],
    ['a number', 'userName eq "7"', '7'],
    ['nothing', 'userName eq ""', ''],
  ])('reads a string with %s', (_, filter, compValue) => {
    expect(parseFilter(filter, userAttributes)).toEqual({ op: 'eq', attrPath: 'userName', compValue });
  });
});

const noFilters: [string, string][] = [
  ['nothing', ''],
  ['white space', '   '],
  ['no operator', 'userName'],
  ['no value', 'userName eq'],
  ['no attribute', 'eq "x"'],
  ['an unknown operator', 'userName like "x"'],
  ['a name of Object for an operator', 'userName pr constructor userName pr'],
  ['__proto__ for an operator', 'userName pr __proto__ userName pr'],
  ['a string without its end', 'userName eq "x'],
  ['a string without its end, and line breaks', `userName eq "${'\n'.repeat(60)}`],
  ['a string too many', 'userName eq "x" "y"'],
  ['a value without quotes', 'userName eq x'],
  ['an object', 'userName eq {"x":1}'],
  ['an open parenthesis', '(userName pr'],
  ['a closed parenthesis', 'userName pr)'],
  ['an open bracket', 'emails[type eq "work"'],
  ['an empty bracket', 'emails[]'],
  ['an and with one side', 'userName pr and'],
  ['an or with one side', 'or userName pr'],
  ['a not with nothing', 'not'],
  ['a pr with a value', 'userName pr "x"'],
  ['a part after a bracket', 'emails[type eq "work"].value eq "x"'],
  ['an order of booleans', 'active gt true'],
  ['an order of booleans as strings', 'active gt "false"'],
  ['an order of booleans in a bracket', 'emails[primary lt true]'],
  ['a part of a boolean', 'active co "r"'],
  ['an order of binary values', 'x509Certificates.value gt "x"'],
  ['an order with null', 'userName ge null'],
  ['a part of a number', 'userName co 5'],
  ['more than 2,000 characters', `userName eq "${'x'.repeat(2_000)}"`],
  ['parentheses without end', '('.repeat(1_999)],
  ['more than 50 terms', Array(51).fill('userName pr').join(' or ')],
];

describe('what is no filter', () => {
  it.each(noFilters)('is refused within a moment: %s', (_, filter) => {
    const begun = performance.now();
    expect(() => parseFilter(filter, userAttributes)).toThrow(ScimError);
    expect(performance.now() - begun).toBeLessThan(500);
    try {
      parseFilter(filter, userAttributes);
    } catch (error) {
      expect(error).toMatchObject({ status: 400, scimType: 'invalidFilter' });
    }
  });
});

describe('an index', () => {
  const looked = (filter: string) => lookupsFor(parseFilter(filter, userAttributes));
  const name = { kind: 'userName', value: 'ada' };
  const email = { kind: 'email', value: 'a@b' };

  it.each([
    ['userName eq "ada"', [name]],
    [`${USER}:UserName eq "ada"`, [name]],
    ['active eq true and userName eq "ada"', [name]],
    ['userName eq "ada" or emails.value eq "a@b"', [name, email]],
    ['emails eq "a@b"', [email]],
    ['emails[value eq "a@b"]', [email]],
    ['emails[type eq "work" and value eq "a@b"]', [email]],
    ['id eq "1"', [{ kind: 'id', value: '1' }]],
    ['externalId eq "1"', [{ kind: 'externalId', value: '1' }]],
    ['phoneNumbers[value eq "1"]', [{ kind: 'phone', value: '1' }]],
  ])('answers %s', (filter, lookups) => expect(looked(filter)).toEqual(lookups));

  it.each([
    'userName sw "ada"',
    'userName ne "ada"',
    'not (userName eq "ada")',
    'userName eq "ada" or title eq "x"',
    'emails[type eq "work"]',
    'emails[value eq "a@b" or type eq "work"]',
    'userName eq true',
    'constructor eq "x"',
    'userName pr',
  ])('does not answer %s', (filter) => expect(looked(filter)).toBeUndefined());

  it('of groups answers the name and a member', () => {
    const of = (filter: string) => groupLookupsFor(parseFilter(filter, groupAttributes));
    expect(of('displayName eq "X"')).toEqual([{ kind: 'displayName', value: 'X' }]);
    expect(of('displayName eq "X" or members[value eq "1"]')).toEqual([
      { kind: 'displayName', value: 'X' },
      { kind: 'member', value: '1' },
    ]);
    expect(of('displayName co "X"')).toBeUndefined();
  });
});
