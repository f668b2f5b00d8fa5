/** PATCH of a group (RFC 7644 §3.5.2), as Okta's Group Push, Entra and the RFC's examples send it; and what is refused. */
import type { GroupResource } from '../../src/directory/groups.js';
import { patchGroup } from '../../src/scim/patch-group.js';
import { GROUP, PATCH_OP, USER } from '../support/scim.js';

const before: GroupResource = {
  id: '900',
  displayName: 'Engineering',
  externalId: 'e1',
  meta: { resourceType: 'Group', created: '2026-01-01', lastModified: '2026-01-01', version: 'W/"1"' },
};
const same = { displayName: 'Engineering', externalId: 'e1' };

const patch = (...Operations: object[]) => patchGroup(before, { schemas: [PATCH_OP], Operations });
const refs = (...ids: string[]) => ids.map((value) => ({ value }));

describe('the name', () => {
  it.each([
    ['by a path', [{ op: 'replace', path: 'displayName', value: 'Makers' }]],
    ['without a path [Okta]', [{ op: 'replace', value: { id: '900', displayName: 'Makers' } }]],
    ['with a capital [Entra]', [{ op: 'Replace', path: 'displayName', value: 'Makers' }]],
    ['with the URN', [{ op: 'replace', path: `${GROUP}:displayname`, value: 'Makers' }]],
    [
      'with more than can be set',
      [{ op: 'add', value: { schemas: [GROUP], meta: {}, description: 'x', displayName: 'Makers' } }],
    ],
  ])('is changed %s', (_, operations) => {
    expect(patch(...operations)).toEqual({
      attributes: { ...same, displayName: 'Makers' },
      members: { add: [], remove: [] },
    });
  });

  it('stays where the externalId goes', () => {
    expect(patch({ op: 'remove', path: 'externalId' }).attributes).toEqual({ displayName: 'Engineering' });
    expect(patch({ op: 'replace', value: { externalId: null } }).attributes).toEqual({ displayName: 'Engineering' });
  });
});

describe('members', () => {
  it.each<[string, object[], object]>([
    ['are added [Okta]', [{ op: 'add', path: 'members', value: refs('1', '2', '1') }], { add: ['1', '2'], remove: [] }],
    ['are added without a path', [{ op: 'add', value: { members: refs('1') } }], { add: ['1'], remove: [] }],
    [
      'are added by one object',
      [{ op: 'Add', path: 'members', value: { value: '1', display: 'Ada' } }],
      { add: ['1'], remove: [] },
    ],
    ['are removed by a filter [Okta]', [{ op: 'remove', path: 'members[value eq "1"]' }], { add: [], remove: ['1'] }],
    [
      'are removed by filters joined by or',
      [{ op: 'remove', path: 'members[value eq "1" or Value EQ "2"]' }],
      { add: [], remove: ['1', '2'] },
    ],
    [
      'are removed by values [Entra]',
      [{ op: 'Remove', path: 'members', value: refs('1', '2') }],
      { add: [], remove: ['1', '2'] },
    ],
    ['are all removed', [{ op: 'remove', path: 'members' }], { add: [], remove: [], replace: [] }],
    [
      'are replaced',
      [{ op: 'replace', path: 'members', value: refs('1', '2') }],
      { add: [], remove: [], replace: ['1', '2'] },
    ],
    ['are replaced by none', [{ op: 'replace', path: 'members', value: [] }], { add: [], remove: [], replace: [] }],
    [
      'are replaced without a path',
      [{ op: 'replace', value: { members: refs('1') } }],
      { add: [], remove: [], replace: ['1'] },
    ],
    [
      'are added and then removed',
      [
        { op: 'add', path: 'members', value: refs('1', '2') },
        { op: 'remove', path: 'members[value eq "1"]' },
      ],
      { add: ['2'], remove: ['1'] },
    ],
    [
      'are removed and then added',
      [
        { op: 'remove', path: 'members[value eq "1"]' },
        { op: 'add', path: 'members', value: refs('1') },
      ],
      { add: ['1'], remove: [] },
    ],
    [
      'are added, and then replaced',
      [
        { op: 'add', path: 'members', value: refs('1') },
        { op: 'replace', path: 'members', value: refs('2') },
      ],
      { add: [], remove: [], replace: ['2'] },
    ],
    [
      'are replaced, and then added',
      [
        { op: 'replace', path: 'members', value: refs('2') },
        { op: 'add', path: 'members', value: refs('1') },
      ],
      { add: ['1'], remove: [], replace: ['2'] },
    ],
  ])('%s', (_, operations, members) => {
    expect(patch(...operations)).toEqual({ attributes: same, members });
  });
});

const refused: [title: string, operation: object, scimType: string][] = [
  ['a name that is empty', { op: 'replace', path: 'displayName', value: ' ' }, 'invalidValue'],
  ['a name that is a number', { op: 'replace', path: 'displayName', value: 7 }, 'invalidValue'],
  ['a name of 1,025 characters', { op: 'replace', path: 'displayName', value: 'x'.repeat(1_025) }, 'invalidValue'],
  ['no name', { op: 'remove', path: 'displayName' }, 'mutability'],
  ['a name that is null', { op: 'replace', value: { displayName: null } }, 'mutability'],
  ['another id', { op: 'replace', value: { id: '901', displayName: 'Makers' } }, 'mutability'],
  ['the id', { op: 'replace', path: 'id', value: '900' }, 'mutability'],
  ['meta', { op: 'replace', path: 'meta', value: {} }, 'mutability'],
  ["a member's part", { op: 'replace', path: 'members[value eq "1"].display', value: 'Ada' }, 'mutability'],
  ['a member by a filter', { op: 'add', path: 'members[value eq "1"]', value: refs('2') }, 'invalidPath'],
  ['members by what nobody knows of them', { op: 'remove', path: 'members[display eq "Ada"]' }, 'invalidFilter'],
  ['members by and', { op: 'remove', path: 'members[value eq "1" and value eq "2"]' }, 'invalidFilter'],
  ['members by sw', { op: 'remove', path: 'members[value sw "1"]' }, 'invalidFilter'],
  ['members by a number', { op: 'remove', path: 'members[value eq 1]' }, 'invalidFilter'],
  ['members by an index', { op: 'remove', path: 'members[0]' }, 'invalidFilter'],
  ['an attribute of users', { op: 'replace', path: 'userName', value: 'x' }, 'invalidPath'],
  ['the URN of users', { op: 'replace', path: `${USER}:userName`, value: 'x' }, 'invalidPath'],
  ['__proto__', { op: 'replace', path: '__proto__', value: {} }, 'invalidPath'],
  ['members that are strings', { op: 'add', path: 'members', value: ['1'] }, 'invalidValue'],
  ['a member without a value', { op: 'add', path: 'members', value: [{ display: 'Ada' }] }, 'invalidValue'],
  ['a member that is null', { op: 'add', path: 'members', value: [null] }, 'invalidValue'],
  ['a member that is a number', { op: 'add', path: 'members', value: refs(1 as never) }, 'invalidValue'],
  ['a member that can be no id', { op: 'add', path: 'members', value: refs('a b:c') }, 'invalidValue'],
  ['a removal without a path', { op: 'remove', value: refs('1') }, 'noTarget'],
];

describe('a patch with', () => {
  it.each(refused)('%s is refused', (_, operation, scimType) => {
    let refusal: unknown;
    try {
      patch({ op: 'add', path: 'members', value: refs('1') }, operation);
    } catch (error) {
      refusal = error;
    }
    expect(refusal).toMatchObject({ name: 'ScimError', status: 400, scimType });
  });

  it('1,000 operations is read, with 1,001 refused', () => {
    const operations = Array.from({ length: 1_000 }, (_, index) => ({
      op: 'remove',
      path: `members[value eq "${index}"]`,
    }));
    expect(patch(...operations).members.remove).toHaveLength(1_000);
    expect(() => patch(...operations, ...operations.slice(0, 1))).toThrow('more than 1000');
  });
});
