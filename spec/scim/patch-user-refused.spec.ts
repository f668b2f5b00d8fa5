/** What is no PATCH of a user (RFC 7644 §3.5.2): each with its scimType, and nothing changed. */
import type { UserResource } from '../../src/directory/user.js';
import { patchUser } from '../../src/scim/patch-user.js';
import { ENTERPRISE, PATCH_OP, USER } from '../support/scim.js';

const home = { value: 'ada@home.example', type: 'home' };

const ada: UserResource = {
  id: '123456789012345',
  userName: 'ada',
  title: 'Countess',
  emails: [{ value: 'ada@work.example', type: 'work', primary: true }, home],
  meta: { resourceType: 'User', created: '2026-01-01', lastModified: '2026-01-01', version: 'W/"1"' },
};

const op = (more: object) => ({ op: 'replace', path: 'title', value: 'x', ...more });

const terms = (count: number) => Array.from({ length: count }, (_, n) => `value ew "${n}x"`).join(' or ');

const refused: [title: string, body: unknown, scimType: string][] = [
  ['no body', undefined, 'invalidSyntax'],
  ['an array', [], 'invalidSyntax'],
  ['the schema of a user', { schemas: [USER], Operations: [op({})] }, 'invalidSyntax'],
  ['no schema in its list', { schemas: [], Operations: [op({})] }, 'invalidSyntax'],
  ['no operations', { schemas: [PATCH_OP] }, 'invalidSyntax'],
  ['an empty list of them', { Operations: [] }, 'invalidSyntax'],
  ['operations that are no list', { Operations: op({}) }, 'invalidSyntax'],
  ['an operation that is none', { Operations: ['replace'] }, 'invalidSyntax'],
  ['an operation that is null', { Operations: [null] }, 'invalidSyntax'],
  ['101 operations', { Operations: Array(101).fill(op({})) }, 'tooMany'],
  ['no op', { Operations: [op({ op: undefined })] }, 'invalidSyntax'],
  ['an op of RFC 6902', { Operations: [op({ op: 'move' })] }, 'invalidSyntax'],
  ['an op that is a number', { Operations: [op({ op: 1 })] }, 'invalidSyntax'],
  ['a path that is a number', { Operations: [op({ path: 1 })] }, 'invalidPath'],
  ['an empty path', { Operations: [op({ path: ' ' })] }, 'invalidPath'],
  ['an unknown attribute', { Operations: [op({ path: 'shoeSize' })] }, 'invalidPath'],
  ['an unknown part', { Operations: [op({ path: 'name.nick' })] }, 'invalidPath'],
  ['a part of what has none', { Operations: [op({ path: 'title.x' })] }, 'invalidPath'],
  ['an unknown attribute of the extension', { Operations: [op({ path: `${ENTERPRISE}:shoeSize` })] }, 'invalidPath'],
  ['the URN of an unknown extension', { Operations: [op({ path: 'urn:example:User:title' })] }, 'invalidPath'],
  ['the URN of users alone', { Operations: [op({ path: USER, value: {} })] }, 'invalidPath'],
  ['a filter on one value', { Operations: [op({ path: 'title[value eq "x"]' })] }, 'invalidPath'],
  ['a path of RFC 6901', { Operations: [op({ path: '/title' })] }, 'invalidPath'],
  [
    'more than 200 terms in all its paths',
    { Operations: Array(6).fill({ op: 'remove', path: `emails[${terms(40)}]` }) },
    'tooMany',
  ],
  [
    'more than 200 terms in names without a path',
    {
      Operations: Array.from({ length: 6 }, (_, n) => ({
        op: 'replace',
        value: { [`emails[value eq "ada@work.example" or ${terms(40)}].display`]: `${n}` },
      })),
    },
    'tooMany',
  ],
  ['an index', { Operations: [op({ path: 'emails[0].value' })] }, 'invalidFilter'],
  ['an open bracket', { Operations: [op({ path: 'emails[type eq "work"' })] }, 'invalidPath'],
  ['a filter that is none', { Operations: [op({ path: 'emails[type]' })] }, 'invalidFilter'],
  ['an empty filter', { Operations: [op({ path: 'emails[].value' })] }, 'invalidFilter'],
  [
    'a path longer than 2,000 characters',
    { Operations: [op({ path: `emails[type eq "${'x'.repeat(2_000)}"]` })] },
    'invalidPath',
  ],
  ['__proto__', { Operations: [op({ path: '__proto__.polluted' })] }, 'invalidPath'],
  ['constructor.prototype', { Operations: [op({ path: 'constructor.prototype' })] }, 'invalidPath'],
  ['emails.__proto__', { Operations: [op({ path: 'emails[type eq "work"].__proto__', value: {} })] }, 'invalidPath'],
  ['a replacement without a value', { Operations: [op({ value: undefined })] }, 'invalidValue'],
  ['an addition without a value', { Operations: [op({ op: 'add', value: undefined })] }, 'invalidValue'],
  ['no path and a value that is no object', { Operations: [op({ path: undefined, value: 'x' })] }, 'invalidValue'],
  ['no path and a list', { Operations: [op({ path: undefined, value: [] })] }, 'invalidValue'],
  ['a removal without a path', { Operations: [{ op: 'remove' }] }, 'noTarget'],
  ['a replacement that selects nothing', { Operations: [op({ path: 'emails[type eq "other"].value' })] }, 'noTarget'],
  ['a replacement of a part of no value', { Operations: [op({ path: 'ims.type' })] }, 'noTarget'],
  [
    'an addition to what no filter of equalities describes',
    { Operations: [op({ op: 'add', path: 'emails[type ne "work" and type ne "home"].value' })] },
    'noTarget',
  ],
  [
    'an addition to what contradicts itself',
    { Operations: [op({ op: 'add', path: 'emails[type eq "x" and type eq "y"].value' })] },
    'noTarget',
  ],
  ['the id', { Operations: [op({ path: 'id', value: '1' })] }, 'mutability'],
  ['another id without a path', { Operations: [op({ path: undefined, value: { id: '1' } })] }, 'mutability'],
  ['meta', { Operations: [op({ path: 'meta.version', value: 'W/"9"' })] }, 'mutability'],
  ['schemas', { Operations: [op({ path: 'schemas', value: [] })] }, 'mutability'],
  ['groups', { Operations: [op({ op: 'add', path: 'groups', value: [{ value: '1' }] })] }, 'mutability'],
  ["the manager's name", { Operations: [op({ path: `${ENTERPRISE}:manager.displayName` })] }, 'mutability'],
  ['the removal of userName', { Operations: [{ op: 'remove', path: 'userName' }] }, 'mutability'],
  ['userName null', { Operations: [op({ path: 'userName', value: null })] }, 'mutability'],
  ['userName empty', { Operations: [op({ path: 'userName', value: ' ' })] }, 'invalidValue'],
  ['userName a number', { Operations: [op({ path: 'userName', value: 7 })] }, 'invalidValue'],
  [
    'userName of 1,025 characters',
    { Operations: [op({ path: 'userName', value: 'x'.repeat(1_025) })] },
    'invalidValue',
  ],
  ['active neither true nor false', { Operations: [op({ path: 'active', value: 'yes' })] }, 'invalidValue'],
  ['active a number', { Operations: [op({ path: 'active', value: 0 })] }, 'invalidValue'],
  ['a name that is a string', { Operations: [op({ path: 'name', value: 'Ada' })] }, 'invalidValue'],
  ['addresses that are strings', { Operations: [op({ path: 'emails', value: ['a@b'] })] }, 'invalidValue'],
  ['an address that is null', { Operations: [op({ path: 'emails', value: [null] })] }, 'invalidValue'],
  ['an address in a list in a list', { Operations: [op({ path: 'emails', value: [[home]] })] }, 'invalidValue'],
  [
    'two primary addresses',
    {
      Operations: [
        op({
          path: 'emails',
          value: [
            { value: 'a', primary: true },
            { value: 'b', primary: true },
          ],
        }),
      ],
    },
    'invalidValue',
  ],
  ['every address primary', { Operations: [op({ path: 'emails.primary', value: true })] }, 'invalidValue'],
  [
    '101 addresses',
    {
      Operations: [op({ path: 'emails', value: Array.from({ length: 101 }, (_, index) => ({ value: `a${index}` })) })],
    },
    'invalidValue',
  ],
  ['32 kB', { Operations: [op({ value: 'x'.repeat(32_768) })] }, 'invalidValue'],
];

describe('a patch with', () => {
  it.each(refused)('%s is refused', (_, body, scimType) => {
    const before = structuredClone(ada);
    let refusal: unknown;
    try {
      patchUser(ada, body);
    } catch (error) {
      refusal = error;
    }
    expect(refusal).toMatchObject({ name: 'ScimError', status: 400, scimType });
    expect(ada).toEqual(before);
    expect(({} as Record<string, unknown>).polluted).toBeUndefined();
  });

  it('200 terms in all its paths is none of them', () => {
    const operations = Array(5).fill({ op: 'remove', path: `emails[${terms(40)}]` });
    expect(patchUser(ada, { Operations: operations }).emails).toEqual(ada.emails);
  });

  it('more than 100 addresses, a few at a time, is refused', () => {
    const some = (n: number) => Array.from({ length: 3 }, (_, index) => ({ value: `a${n}-${index}` }));
    const operations = Array.from({ length: 34 }, (_, n) => ({ op: 'add', path: 'emails', value: some(n) }));
    expect(() => patchUser(ada, { Operations: operations })).toThrow('emails has more than 100 values.');
  });
});
