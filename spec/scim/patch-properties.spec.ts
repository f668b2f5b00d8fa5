/** Sequences of PATCH operations, as scim-patch has them where RFC 7644 §3.5.2 leaves no choice. */
import fc from 'fast-check';
import { scimPatch } from 'scim-patch';
import type { UserResource } from '../../src/directory/user.js';
import { patchUser } from '../../src/scim/patch-user.js';
import { ScimError } from '../../src/scim/scim-error.js';
import { ENTERPRISE, PATCH_OP } from '../support/scim.js';

const meta = { resourceType: 'User', created: '2026-01-01', lastModified: '2026-01-01', version: 'W/"1"' };

const word = fc.constantFrom('a', 'b', 'c', 'd e', '"', '\\', '__proto__', '0');
const type = fc.constantFrom('work', 'home', 'other');
const email = fc.record({ value: word, type }, { noNullPrototype: true });

const user: fc.Arbitrary<UserResource> = fc
  .record(
    {
      userName: word,
      title: word,
      active: fc.boolean(),
      name: fc.record({ givenName: word, familyName: word }, { noNullPrototype: true }),
      emails: fc.uniqueArray(email, { minLength: 1, maxLength: 3, selector: (one) => one.type }),
      [ENTERPRISE]: fc.record({ department: word, costCenter: word }, { noNullPrototype: true }),
    },
    { requiredKeys: ['userName', 'active'], noNullPrototype: true },
  )
  .map((one) => ({ ...one, id: '1', meta }) as UserResource);

type Operation = { op: 'add' | 'replace' | 'remove'; path?: string; value?: unknown };
const record = <T extends object>(shape: { [K in keyof T]: fc.Arbitrary<T[K]> }) =>
  fc.record(shape, { noNullPrototype: true });

const set = fc.constantFrom('add' as const, 'replace' as const);
const single = fc.constantFrom(
  'title',
  'nickName',
  'displayName',
  'name.givenName',
  'name.familyName',
  `${ENTERPRISE}:department`,
);

const operation: fc.Arbitrary<Operation> = fc.oneof(
  record<Operation>({ op: set, path: single, value: word }),
  record<Operation>({ op: fc.constant('remove'), path: single }),
  record<Operation>({ op: set, path: fc.constant('active'), value: fc.boolean() }),
  record<Operation>({
    op: set,
    value: fc.dictionary(fc.constantFrom('title', 'nickName', 'userName'), word, { minKeys: 1, noNullPrototype: true }),
  }),
  record<Operation>({
    op: fc.constant('add'),
    path: fc.constant('emails'),
    value: fc.array(email, { minLength: 1, maxLength: 2 }),
  }),
  record<Operation>({
    op: fc.constant('replace'),
    path: fc.constant('emails'),
    value: fc.array(email, { minLength: 1, maxLength: 3 }),
  }),
  record<Operation>({ op: fc.constant('remove'), path: fc.constant('emails') }),
  record<Operation>({
    op: fc.constant('replace'),
    path: type.map((one) => `emails[type eq "${one}"].value`),
    value: word,
  }),
  record<Operation>({ op: fc.constant('remove'), path: type.map((one) => `emails[type eq "${one}"]`) }),
);

const patch = (before: UserResource, operations: Operation[]) =>
  patchUser(before, { schemas: [PATCH_OP], Operations: operations });

/** Whether the two readers have to agree: where a filter selects nothing, RFC 7644 leaves a removal open. */
function isDecided({ emails = [] }: { emails?: { type?: string }[] }, { path }: Operation): boolean {
  const [, selected] = /^emails\[type eq "(.*)"\]/.exec(path ?? '') ?? [];
  return selected === undefined || emails.some((one) => one.type === selected);
}

// structuredClone would make objects of another realm than jest's, which scim-patch finds unlike.
const copyOf = <T>(value: T): T => JSON.parse(JSON.stringify(value)) as T;

/** Without what is empty: no values are no attribute (RFC 7643 §2.5). */
function assigned(resource: object): object {
  const { id: _id, meta: _meta, ...attributes } = copyOf(resource) as Record<string, unknown>;
  const isEmpty = (value: unknown) => value !== null && typeof value === 'object' && Object.keys(value).length === 0;
  return Object.fromEntries(Object.entries(attributes).filter(([, value]) => !isEmpty(value)));
}

describe('a sequence of operations', () => {
  it('makes of a user what scim-patch makes of it', () => {
    fc.assert(
      fc.property(user, fc.array(operation, { maxLength: 6 }), (before, operations) => {
        const decided: Operation[] = [];
        let ours: object = before;
        for (const one of operations) {
          if (!isDecided(ours, one)) continue;
          decided.push(one);
          ours = patch(before, decided);
        }
        const theirs = scimPatch(copyOf(before) as never, copyOf(decided) as never);
        expect(assigned(ours)).toEqual(assigned(theirs));
      }),
      { numRuns: 2_000 },
    );
  });

  it('does the same at once as one after the other', () => {
    fc.assert(
      fc.property(user, fc.array(operation, { minLength: 1, maxLength: 6 }), (before, operations) => {
        let step: UserResource = before;
        let refused = false;
        try {
          for (const one of operations) step = { ...patch(step, [one]), id: '1', meta };
        } catch (error) {
          if (!(error instanceof ScimError)) throw error;
          refused = true;
        }
        if (refused) expect(() => patch(before, operations)).toThrow(ScimError);
        else expect(patch(before, operations)).toEqual(assigned(step));
      }),
      { numRuns: 1_000 },
    );
  });

  it('changes nothing when it is done again, but for what it adds after a removal', () => {
    const lasting = operation.filter(({ op, path }) => op !== 'add' || path !== 'emails');
    fc.assert(
      fc.property(user, lasting, (before, one) => {
        if (!isDecided(before as never, one)) return;
        const once = patch(before, [one]);
        if (isDecided(once as never, one)) expect(patch({ ...once, id: '1', meta }, [one])).toEqual(once);
      }),
      { numRuns: 1_000 },
    );
  });
});

describe('any operation', () => {
  const nasty = fc.constantFrom(
    ...[
      '__proto__',
      'constructor',
      'prototype',
      'toString',
      '',
      'name',
      'emails',
      'emails[type eq "work"]',
      'emails.value',
      'emails[',
    ],
    ...[
      'name.__proto__',
      '__proto__.x',
      `${ENTERPRISE}`,
      `${ENTERPRISE}:`,
      `${ENTERPRISE}:manager.value`,
      'id',
      'meta',
      'groups',
      'active',
    ],
    ...[
      'emails[value eq "a" or type pr].type',
      'addresses[country eq null].country',
      'x509Certificates.value',
      'roles[primary eq true]',
    ],
  );
  const value = fc.oneof(
    fc.jsonValue({ maxDepth: 3 }),
    fc.dictionary(nasty, fc.jsonValue({ maxDepth: 2 })),
    fc.array(
      fc.dictionary(
        fc.constantFrom('value', 'type', 'primary', '__proto__', 'display'),
        fc.oneof(word, fc.boolean(), fc.constant(null)),
      ),
      { maxLength: 3 },
    ),
    fc
      .constantFrom(
        '{"__proto__":{"polluted":1}}',
        '{"name":{"__proto__":{"polluted":1}}}',
        '{"constructor":{"prototype":{"polluted":1}}}',
      )
      .map((json) => JSON.parse(json)),
  );
  const anything = fc.record(
    {
      op: fc.constantFrom('add', 'replace', 'remove', 'Add', 'test', 7),
      path: fc.oneof(nasty, fc.string({ maxLength: 20 })),
      value,
    },
    { requiredKeys: ['op'], noNullPrototype: true },
  );

  it('is carried out or refused in SCIM, leaves the user before as it was, and no prototype otherwise', () => {
    fc.assert(
      fc.property(user, fc.array(anything, { minLength: 1, maxLength: 4 }), (before, operations) => {
        const copy = JSON.stringify(before);
        const Operations = copyOf(operations);
        try {
          const after = patchUser(before, { Operations });
          expect(JSON.parse(JSON.stringify(after))).toEqual(after);
          expect(Object.getPrototypeOf(after)).toBe(Object.prototype);
          expect(Object.getPrototypeOf(after.name ?? {})).toBe(Object.prototype);
          expect(typeof after.userName).toBe('string');
        } catch (error) {
          expect(error).toBeInstanceOf(ScimError);
          expect(error).toMatchObject({ status: 400 });
        }
        expect(JSON.stringify(before)).toBe(copy);
        expect('polluted' in {}).toBe(false);
      }),
      { numRuns: 1_500 },
    );
  });
});
