/** Which apps a user is assigned to, and as whom. */
import { type AssignedApp, type AssignedTo, accountsOf, isAssigned } from '../../src/directory/assignment.js';
import type { User } from '../../src/directory/user.js';

const ENTERPRISE = 'urn:ietf:params:scim:schemas:extension:enterprise:2.0:User';

const ada: User = {
  resource: {
    id: '1',
    meta: { resourceType: 'User', created: '', lastModified: '', version: 'W/"1"' },
    userName: 'Ada',
    externalId: '00u1ada',
    emails: [{ value: 'ada@example.com' }],
    userType: 'Employee',
    title: '',
    [ENTERPRISE]: { department: 'Analysis', costCenter: 7 },
  },
  groups: ['Engineering', 'Everyone'],
};

it.each<[string, AssignedTo]>([
  ['everyone', 'everyone'],
  ['a group', { groups: ['Sales', 'Engineering'] }],
  ['a group in other letters, as no other group can have them', { groups: ['ENGINEERING '] }],
  ['a userName', { users: ['grace', 'ada'] }],
  ['a userName in other letters', { users: ['ADA'] }],
  ['an externalId', { users: ['00u1ada'] }],
  ['an attribute', { attribute: { name: 'userType', values: ['Contractor', 'Employee'] } }],
  ['an attribute of the enterprise extension', { attribute: { name: 'department', values: ['Analysis'] } }],
  ['any condition of several', { groups: ['Sales'], users: ['ada'] }],
])('an app is for a user who meets its condition [%s]', (_what, assignedTo) => {
  expect(isAssigned(ada, assignedTo)).toBe(true);
});

it.each([
  ['composed', 'Zo\u00eb@example.com', 'zoe\u0308@example.com'],
  ['decomposed', 'zoe\u0308@example.com', 'ZO\u00cb@example.com'],
  ['in capital letters', '\u03c4\u03b1\u0390\u03b6\u03c9'.toUpperCase(), '\u03c4\u03b1\u0390\u03b6\u03c9'],
])('an app is for a user whose userName is %s and is not in the settings', (_what, userName, name) => {
  const resource = { ...ada.resource, userName };
  expect(isAssigned({ ...ada, resource }, { users: [name] })).toBe(true);
  expect(isAssigned({ ...ada, resource }, { users: [`${name}x`, 'zoe@example.com'] })).toBe(false);
});

it.each<[string, AssignedTo]>([
  ['another group', { groups: ['Sales', 'Engineering Managers', ''] }],
  ['another user', { users: ['grace'] }],
  ['an externalId in other letters', { users: ['00U1ADA'] }],
  ['an e-mail address, which is no userName', { users: ['ada@example.com'] }],
  ['another value', { attribute: { name: 'userType', values: ['employee'] } }],
  ['an attribute that the user has not', { attribute: { name: 'division', values: ['undefined'] } }],
  ['an attribute that is empty', { attribute: { name: 'title', values: ['undefined'] } }],
  ['an attribute that is no text', { attribute: { name: 'costCenter', values: ['7'] } }],
  ['no condition at all', {}],
])('an app is not for a user who meets none [%s]', (_what, assignedTo) => {
  expect(isAssigned(ada, assignedTo)).toBe(false);
});

it('accounts are in the order of the apps, as each app calls its users', () => {
  const apps: AssignedApp[] = [
    { id: 'wiki', assignedTo: 'everyone', account: 'externalId' },
    { id: 'sales', assignedTo: { groups: ['Sales'] }, account: 'email' },
    { id: 'build', assignedTo: { groups: ['Engineering'] }, account: 'email' },
  ];
  expect(accountsOf(ada, apps)).toEqual([
    { app: 'wiki', account: '00u1ada' },
    { app: 'build', account: 'ada@example.com' },
  ]);
});

it('a user without the identifier has no account', () => {
  const { externalId: _, ...resource } = ada.resource;
  const apps: AssignedApp[] = [{ id: 'wiki', assignedTo: 'everyone', account: 'externalId' }];
  expect(accountsOf({ ...ada, resource }, apps)).toEqual([]);
});
