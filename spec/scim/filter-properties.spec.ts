/** Filters of any shape: as two other readers have them where case does not matter, and as the case rules say where it does. */
import fc from 'fast-check';
import { type Filter, filter as filterOf, stringify } from 'scim2-parse-filter';
import SCIMMY from 'scimmy';
import { userAttributes } from '../../src/scim/attributes.js';
import { matches, parseFilter } from '../../src/scim/filter.js';
import { lookupsFor } from '../../src/scim/lookup.js';
import { ScimError } from '../../src/scim/scim-error.js';
import { ENTERPRISE } from '../support/scim.js';

// Lower case: the other readers compare everything exactly.
const word = fc.constantFrom('ada', 'al', 'a', 'b', 'work', 'home', 'x y', 'a"b', 'and', '(', '0', 'zoë');

const user = fc.record(
  {
    userName: word,
    title: word,
    active: fc.boolean(),
    name: fc.record({ givenName: word, familyName: word }),
    emails: fc.array(fc.record({ value: word, type: word }), { minLength: 1, maxLength: 3 }),
    [ENTERPRISE]: fc.record({ department: word }),
  },
  { requiredKeys: ['userName', 'name', 'emails'] },
);

const ordered = fc.constantFrom(
  'eq' as const,
  'co' as const,
  'sw' as const,
  'ew' as const,
  'gt' as const,
  'ge' as const,
  'lt' as const,
  'le' as const,
);
const comparison = (path: fc.Arbitrary<string>): fc.Arbitrary<Filter> =>
  fc.record({ op: ordered, attrPath: path, compValue: word });

const simple: fc.Arbitrary<Filter> = fc.oneof(
  comparison(fc.constantFrom('userName', 'title', 'name.givenName', 'name.familyName', 'emails.value', 'emails.type')),
  // Of an attribute that is not there the readers think differently.
  fc.record({
    op: fc.constant('ne' as const),
    attrPath: fc.constantFrom('userName', 'name.givenName'),
    compValue: word,
  }),
  fc.record({
    op: fc.constant('pr' as const),
    attrPath: fc.constantFrom('userName', 'title', 'active', 'name', 'emails.type'),
  }),
  fc.record({ op: fc.constant('eq' as const), attrPath: fc.constant('active'), compValue: fc.boolean() }),
);

const { tree: anyFilter, within } = fc.letrec<{ tree: Filter; within: Filter }>((tie) => ({
  tree: fc.oneof(
    { depthSize: 'small' },
    simple,
    fc.record({
      op: fc.constantFrom('and' as const, 'or' as const),
      filters: fc.array(tie('tree'), { minLength: 2, maxLength: 3 }),
    }),
    fc.record({ op: fc.constant('not' as const), filter: tie('tree') }),
    fc.record({ op: fc.constant('[]' as const), attrPath: fc.constant('emails'), valFilter: tie('within') }),
  ),
  within: fc.oneof(
    { depthSize: 'small' },
    comparison(fc.constantFrom('value', 'type')),
    fc.record({
      op: fc.constantFrom('and' as const, 'or' as const),
      filters: fc.array(tie('within'), { minLength: 2, maxLength: 3 }),
    }),
    fc.record({ op: fc.constant('not' as const), filter: tie('within') }),
  ),
}));

/** Three of them together have fewer terms than a filter may have. */
const filter = anyFilter.filter(
  (one) => (stringify(one).match(/ ([egl][eqt]|ne|co|[se]w|le|pr)\b/g) ?? []).length < 16,
);

const isMatch = (resource: unknown, text: string) =>
  matches(resource, parseFilter(text, userAttributes), userAttributes);

describe('a filter', () => {
  it('is read and matches as scim2-parse-filter has it', () => {
    // That reader tests all values of an attribute together, so that only of one value it tells what holds of it.
    const withOne = user.map((one) => ({ ...one, emails: one.emails.slice(0, 1) }));
    fc.assert(
      fc.property(withOne, filter, (resource, ast) => {
        expect(isMatch(resource, stringify(ast))).toBe(filterOf(ast)(resource));
      }),
      { numRuns: 2_000 },
    );
  });

  it('in brackets matches where it matches one of the values', () => {
    fc.assert(
      fc.property(user, within, (resource, ast) => {
        const text = stringify({ op: '[]', attrPath: 'emails', valFilter: ast });
        expect(isMatch(resource, text)).toBe(resource.emails.some(filterOf(ast)));
      }),
      { numRuns: 1_000 },
    );
  });

  it('matches as scimmy has it, as far as that reads it', () => {
    const plain = fc.constantFrom('ada', 'al', 'a', 'b', 'work', 'home');
    const term = fc.record({ op: ordered, attrPath: fc.constantFrom('userName', 'name.givenName'), compValue: plain });
    const people = fc.record({ userName: plain, name: fc.record({ givenName: plain }, { noNullPrototype: true }) });
    fc.assert(
      fc.property(
        people,
        fc.array(fc.array(term, { minLength: 1, maxLength: 1 }), { minLength: 1, maxLength: 3 }),
        (resource, terms) => {
          const text = terms.map((all) => all.map((one) => stringify(one)).join(' and ')).join(' or ');
          const found = new SCIMMY.Types.Filter(text).match([resource]);
          expect(isMatch(resource, text)).toBe(found.length === 1);
        },
      ),
      { numRuns: 500 },
    );
  });

  it('does not depend on the letters of names, operators and values that are not compared exactly', () => {
    const louder = (text: string) => text.replace(/"(?:[^"\\]|\\.)*"|[^"]+/g, (part) => part.toUpperCase());
    const quiet = filter.filter((ast) => !/true|false|\\/.test(stringify(ast)));
    fc.assert(
      fc.property(user, quiet, (resource, ast) => {
        expect(isMatch(resource, louder(stringify(ast)))).toBe(isMatch(resource, stringify(ast)));
      }),
      { numRuns: 1_000 },
    );
  });

  it('depends on the letters of what is compared exactly', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 8 }), fc.string({ maxLength: 8 }), (externalId, asked) => {
        expect(isMatch({ externalId }, `externalId eq ${JSON.stringify(asked)}`)).toBe(externalId === asked);
        expect(isMatch({ externalId }, `externalId ne ${JSON.stringify(asked)}`)).toBe(externalId !== asked);
        expect(isMatch({ externalId }, `externalId sw ${JSON.stringify(asked)}`)).toBe(externalId.startsWith(asked));
        expect(isMatch({ externalId }, `externalId lt ${JSON.stringify(asked)}`)).toBe(externalId < asked);
      }),
      { numRuns: 1_000 },
    );
  });

  it('that an index answers matches nobody whom the look-up leaves out', () => {
    const named = fc.record({
      op: fc.constant('eq' as const),
      attrPath: fc.constantFrom('userName', 'emails.value', 'title'),
      compValue: word,
    });
    const either = fc.oneof(named, filter);
    const both = fc.record({
      op: fc.constantFrom('and' as const, 'or' as const),
      filters: fc.array(either, { minLength: 1, maxLength: 3 }),
    });
    fc.assert(
      fc.property(user, both, (resource, ast) => {
        const parsed = parseFilter(stringify(ast), userAttributes);
        const lookups = lookupsFor(parsed);
        if (!lookups || !matches(resource, parsed, userAttributes)) return;
        const values = { userName: [resource.userName], email: resource.emails.map(({ value }) => value) };
        const found = lookups.some(({ kind, value }) =>
          (values[kind as keyof typeof values] as string[]).includes(value),
        );
        expect(found).toBe(true);
      }),
      { numRuns: 2_000 },
    );
  });
});

describe('any text', () => {
  const token = fc.constantFrom(
    ...[
      'userName',
      'emails',
      'a',
      'eq',
      'ne',
      'pr',
      'and',
      'or',
      'not',
      '(',
      ')',
      '[',
      ']',
      '].',
      '.',
      '"',
      '"x"',
      '\\',
    ],
    ...[
      '\n',
      ' ',
      '5',
      '-1e9',
      'true',
      'null',
      '{',
      'constructor',
      '__proto__',
      'toString',
      ':',
      'urn:x:y',
      '\u0000',
      '💥',
    ],
  );

  it('is a filter, or refused as none', () => {
    const text = fc.oneof(
      fc.string({ maxLength: 60 }),
      fc.array(token, { maxLength: 40 }).map((all) => all.join(' ')),
      fc.array(token, { maxLength: 40 }).map((all) => all.join('')),
    );
    fc.assert(
      fc.property(text, (given) => {
        let parsed: Filter;
        try {
          parsed = parseFilter(given, userAttributes);
        } catch (error) {
          expect(error).toBeInstanceOf(ScimError);
          expect(error).toMatchObject({ status: 400, scimType: 'invalidFilter' });
          return;
        }
        expect(typeof matches({ userName: 'ada', emails: [{ value: 'a' }] }, parsed, userAttributes)).toBe('boolean');
      }),
      { numRuns: 1_500 },
    );
  });
});
