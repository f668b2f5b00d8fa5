/** PATCH of a user (RFC 7644 §3.5.2), as Okta, Entra and the RFC's examples send it. */
import type { UserResource } from '../../src/directory/user.js';
import { patchUser } from '../../src/scim/patch-user.js';
import { ENTERPRISE, PATCH_OP, USER } from '../support/scim.js';

const work = { value: 'ada@work.example', type: 'work', primary: true };
const home = { value: 'ada@home.example', type: 'home' };

const ada: UserResource = {
  id: '123456789012345',
  userName: 'ada',
  externalId: '00u1',
  name: { familyName: 'King', givenName: 'Ada' },
  title: 'Countess',
  active: true,
  emails: [work, home],
  phoneNumbers: [{ value: '+1', type: 'mobile' }],
  [ENTERPRISE]: { department: 'Engineering', manager: { value: '42' } },
  meta: { resourceType: 'User', created: '2026-01-01', lastModified: '2026-01-01', version: 'W/"1"' },
};

const { id: _id, meta: _meta, ...attributes } = ada;

const patch = (...Operations: object[]) => patchUser(ada, { schemas: [PATCH_OP], Operations });

type Row = [title: string, operations: object[], changed: object];

const replacements: Row[] = [
  ['of one attribute', [{ op: 'replace', path: 'title', value: 'Lady' }], { title: 'Lady' }],
  ['of one that was not there', [{ op: 'replace', path: 'nickName', value: 'Al' }], { nickName: 'Al' }],
  [
    'of several without a path [Okta]',
    [{ op: 'replace', value: { active: false, title: 'Lady' } }],
    { active: false, title: 'Lady' },
  ],
  ['of active as a string [Entra]', [{ op: 'Replace', path: 'active', value: 'False' }], { active: false }],
  ['of active as a string without a path', [{ op: 'replace', value: { active: 'false' } }], { active: false }],
  ['of Active, whatever its letters', [{ op: 'replace', path: 'ACTIVE', value: false }], { active: false }],
  ['of a path with the URN', [{ op: 'replace', path: `${USER}:userName`, value: 'al' }], { userName: 'al' }],
  [
    'of a part',
    [{ op: 'replace', path: 'name.familyName', value: 'Lovelace' }],
    { name: { familyName: 'Lovelace', givenName: 'Ada' } },
  ],
  [
    'of a complex attribute leaves parts that are not named',
    [{ op: 'replace', path: 'name', value: { familyName: 'Lovelace' } }],
    { name: { familyName: 'Lovelace', givenName: 'Ada' } },
  ],
  [
    'of a complex attribute without a path does too',
    [{ op: 'replace', value: { name: { familyName: 'Lovelace' } } }],
    { name: { familyName: 'Lovelace', givenName: 'Ada' } },
  ],
  [
    'of a part by null removes it',
    [{ op: 'replace', value: { name: { familyName: null } } }],
    { name: { givenName: 'Ada' } },
  ],
  [
    'of all e-mail addresses [Okta]',
    [{ op: 'replace', value: { emails: [{ value: 'al@work.example', type: 'work', primary: true }] } }],
    { emails: [{ value: 'al@work.example', type: 'work', primary: true }] },
  ],
  ['of all values by a path', [{ op: 'replace', path: 'emails', value: [home] }], { emails: [home] }],
  [
    'of all values by one that is not in an array',
    [{ op: 'replace', path: 'emails', value: home }],
    { emails: [home] },
  ],
  [
    'of the value of one',
    [{ op: 'replace', path: 'emails[type eq "work"].value', value: 'al@work.example' }],
    { emails: [{ ...work, value: 'al@work.example' }, home] },
  ],
  [
    'of the whole of one',
    [{ op: 'replace', path: 'emails[type eq "work"]', value: { value: 'al@x.example' } }],
    { emails: [{ value: 'al@x.example' }, home] },
  ],
  [
    'of one named by its value',
    [{ op: 'replace', path: 'emails[value eq "ADA@home.example"].type', value: 'other' }],
    { emails: [work, { ...home, type: 'other' }] },
  ],
  [
    'of a part of every one',
    [{ op: 'replace', path: 'emails.type', value: 'other' }],
    {
      emails: [
        { ...work, type: 'other' },
        { ...home, type: 'other' },
      ],
    },
  ],
  [
    'of what is primary',
    [{ op: 'replace', path: 'emails[type eq "home"].primary', value: 'True' }],
    {
      emails: [
        { ...work, primary: false },
        { ...home, primary: true },
      ],
    },
  ],
  [
    'of the extension',
    [{ op: 'replace', path: `${ENTERPRISE}:department`, value: 'Sales' }],
    { [ENTERPRISE]: { department: 'Sales', manager: { value: '42' } } },
  ],
  [
    'of the extension by its URN',
    [{ op: 'replace', path: ENTERPRISE, value: { department: 'Sales' } }],
    { [ENTERPRISE]: { department: 'Sales', manager: { value: '42' } } },
  ],
  [
    'of the extension without a path',
    [{ op: 'replace', value: { [ENTERPRISE]: { department: 'Sales' } } }],
    { [ENTERPRISE]: { department: 'Sales', manager: { value: '42' } } },
  ],
  [
    'of the manager by the id alone [Entra]',
    [{ op: 'replace', path: `${ENTERPRISE}:manager`, value: '43' }],
    { [ENTERPRISE]: { department: 'Engineering', manager: { value: '43' } } },
  ],
  [
    'of the manager by a part',
    [{ op: 'replace', path: `${ENTERPRISE}:manager.value`, value: '43' }],
    { [ENTERPRISE]: { department: 'Engineering', manager: { value: '43' } } },
  ],
  [
    'of paths for names [Entra]',
    [
      {
        op: 'replace',
        value: {
          'name.givenName': 'Al',
          'emails[type eq "work"].value': 'al@work.example',
          [`${ENTERPRISE}:department`]: 'Sales',
        },
      },
    ],
    {
      name: { familyName: 'King', givenName: 'Al' },
      emails: [{ ...work, value: 'al@work.example' }, home],
      [ENTERPRISE]: { department: 'Sales', manager: { value: '42' } },
    },
  ],
  [
    'of the whole resource, its read-only parts among it [Okta]',
    [{ op: 'replace', value: { ...ada, schemas: [USER], groups: [{ value: '1' }], password: 'x', title: 'Lady' } }],
    { title: 'Lady' },
  ],
  [
    'of what nobody knows, without a path',
    [{ op: 'replace', value: { shoeSize: 42, 'a.b[c]': 1, title: 'Lady' } }],
    { title: 'Lady' },
  ],
  ['by what is there', [{ op: 'replace', path: 'title', value: 'Countess' }], {}],
  ['of the password keeps nothing', [{ op: 'replace', path: 'password', value: 'x' }], {}],
];

const additions: Row[] = [
  ['of one attribute', [{ op: 'add', path: 'nickName', value: 'Al' }], { nickName: 'Al' }],
  [
    'of several without a path',
    [{ op: 'add', value: { nickName: 'Al', title: 'Lady' } }],
    { nickName: 'Al', title: 'Lady' },
  ],
  [
    'of a part',
    [{ op: 'Add', path: 'name.middleName', value: 'X' }],
    { name: { familyName: 'King', givenName: 'Ada', middleName: 'X' } },
  ],
  [
    'of a value',
    [{ op: 'add', path: 'emails', value: [{ value: 'a@b' }] }],
    { emails: [work, home, { value: 'a@b' }] },
  ],
  [
    'of a value without a path',
    [{ op: 'add', value: { emails: [{ value: 'a@b' }] } }],
    { emails: [work, home, { value: 'a@b' }] },
  ],
  [
    'of a value that is there already',
    [{ op: 'add', path: 'emails', value: [{ type: 'home', value: 'ada@home.example' }] }],
    {},
  ],
  [
    'of a primary value',
    [{ op: 'add', path: 'emails', value: [{ value: 'a@b', primary: true }] }],
    { emails: [{ ...work, primary: false }, home, { value: 'a@b', primary: true }] },
  ],
  [
    'of a part of one',
    [{ op: 'add', path: 'emails[type eq "home"].display', value: 'H' }],
    { emails: [work, { ...home, display: 'H' }] },
  ],
  [
    'of parts of one',
    [{ op: 'add', path: 'emails[type eq "home"]', value: { display: 'H' } }],
    { emails: [work, { ...home, display: 'H' }] },
  ],
  [
    'of the value of one that is not there [Entra]',
    [{ op: 'Add', path: 'emails[type eq "other"].value', value: 'a@b' }],
    { emails: [work, home, { type: 'other', value: 'a@b' }] },
  ],
  [
    'of the extension',
    [{ op: 'add', path: `${ENTERPRISE}:costCenter`, value: '7' }],
    { [ENTERPRISE]: { department: 'Engineering', manager: { value: '42' }, costCenter: '7' } },
  ],
  ['of nothing', [{ op: 'add', path: 'emails', value: [] }], {}],
  ['of a part that is empty', [{ op: 'add', path: 'name', value: {} }], {}],
];

const removals: Row[] = [
  ['of one attribute', [{ op: 'remove', path: 'title' }], { title: undefined }],
  ['of one that is not there', [{ op: 'remove', path: 'nickName' }], {}],
  ['of a part', [{ op: 'remove', path: 'name.givenName' }], { name: { familyName: 'King' } }],
  [
    'of every part',
    [
      { op: 'remove', path: 'name.givenName' },
      { op: 'remove', path: 'name.familyName' },
    ],
    { name: undefined },
  ],
  ['of all values', [{ op: 'remove', path: 'emails' }], { emails: undefined }],
  ['of one value', [{ op: 'Remove', path: 'emails[type eq "WORK"]' }], { emails: [home] }],
  ['of the last value', [{ op: 'remove', path: 'phoneNumbers[type eq "mobile"]' }], { phoneNumbers: undefined }],
  ['of a value that is not there', [{ op: 'remove', path: 'emails[type eq "other"]' }], {}],
  [
    'of one value by the values [Entra]',
    [{ op: 'Remove', path: 'emails', value: [{ value: 'ada@work.example' }] }],
    { emails: [home] },
  ],
  [
    'of a part of one',
    [{ op: 'remove', path: 'emails[type eq "work"].primary' }],
    { emails: [{ value: 'ada@work.example', type: 'work' }, home] },
  ],
  [
    'of the value of one, which then is none',
    [{ op: 'remove', path: 'emails[type eq "work"].value' }],
    { emails: [home] },
  ],
  [
    'of a value by an empty one [Entra]',
    [{ op: 'Replace', path: 'emails[type eq "work"].value', value: '' }],
    { emails: [home] },
  ],
  ['of an attribute by null', [{ op: 'replace', path: 'title', value: null }], { title: undefined }],
  ['of all values by null', [{ op: 'replace', path: 'emails', value: null }], { emails: undefined }],
  ['of the externalId by nothing', [{ op: 'replace', path: 'externalId', value: '' }], { externalId: undefined }],
  [
    'of one attribute of the extension',
    [{ op: 'remove', path: `${ENTERPRISE}:department` }],
    { [ENTERPRISE]: { manager: { value: '42' } } },
  ],
  ['of the extension', [{ op: 'remove', path: ENTERPRISE }], { [ENTERPRISE]: undefined }],
];

describe.each([
  ['a replacement', replacements],
  ['an addition', additions],
  ['a removal', removals],
])('%s', (_, rows) => {
  it.each(rows)('%s', (_title, operations, changed) => {
    const before = structuredClone(ada);
    const expected = Object.entries({ ...attributes, ...changed }).filter(([, value]) => value !== undefined);
    expect(patch(...operations)).toEqual(Object.fromEntries(expected));
    expect(ada).toEqual(before);
  });
});

describe('several operations', () => {
  it('take effect one after the other', () => {
    expect(
      patch(
        { op: 'remove', path: 'emails' },
        { op: 'add', path: 'emails', value: [home] },
        { op: 'replace', path: 'emails[type eq "home"].primary', value: true },
        { op: 'add', path: 'emails', value: [work] },
      ),
    ).toEqual({ ...attributes, emails: [{ ...home, primary: false }, work] });
  });

  it('change nothing when the last is refused', () => {
    const before = structuredClone(ada);
    expect(() => patch({ op: 'remove', path: 'emails' }, { op: 'remove', path: 'userName' })).toThrow();
    expect(ada).toEqual(before);
  });
});
