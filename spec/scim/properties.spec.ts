/** Any sequence of requests: memberships are as a set has them, the directory agrees with itself, and nothing answers 500. */
import fc from 'fast-check';
import { checkDirectory } from '../../src/directory/check.js';
import { startGateway } from '../support/gateway.js';
import { createScimClient, GROUP, PATCH_OP, SCIM_TOKEN, type ScimClient, USER } from '../support/scim.js';

let gateway: Awaited<ReturnType<typeof startGateway>>;
let client: ScimClient;
let number = 0;

beforeAll(async () => {
  gateway = await startGateway({ tenants: [{ id: 'default', scim: { tokens: [SCIM_TOKEN] } }] });
  client = createScimClient(gateway.url);
});
afterEach(async () => {
  const found = [];
  for await (const { problem } of checkDirectory({ redis: gateway.redis, prefix: gateway.prefix, tenant: 'default' })) {
    found.push(problem);
  }
  expect(found).toEqual([]);
});
afterAll(() => gateway.close());

const fresh = (name: string) => `${name} ${++number}`;
const refs = (ids: string[]) => ids.map((value) => ({ value }));

describe('a sequence of changes to groups', () => {
  const PEOPLE = 4;
  const who = fc.uniqueArray(fc.nat(PEOPLE - 1), { maxLength: 3 });
  const step = fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({
        act: fc.constantFrom(
          'add' as const,
          'remove' as const,
          'remove one by one' as const,
          'replace' as const,
          'put' as const,
        ),
        group: fc.nat(1),
        who,
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        act: fc.constantFrom('delete user' as const, 'delete group' as const, 'rename' as const, 'empty' as const),
        group: fc.nat(1),
        who,
      }),
    },
  );
  type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

  async function send({ act }: Step, group: string, name: string, ids: string[]) {
    const path = `/Groups/${group}`;
    switch (act) {
      case 'add':
        return client.patch(path, [{ op: 'add', path: 'members', value: refs(ids) }]);
      case 'remove':
        return client.patch(path, [{ op: 'Remove', path: 'members', value: refs(ids) }]);
      case 'remove one by one':
        return client.patch(path, [
          ...ids.map((id) => ({ op: 'remove', path: `members[value eq "${id}"]` })),
          { op: 'add', path: 'members', value: [] },
        ]);
      case 'replace':
        return client.patch(path, [{ op: 'replace', path: 'members', value: refs(ids) }]);
      case 'put':
        return client.put(path, { schemas: [GROUP], displayName: name, members: refs(ids) });
      case 'rename':
        return client.patch(path, [{ op: 'replace', value: { displayName: fresh('Renamed') } }]);
      case 'empty':
        return client.patch(path, [{ op: 'remove', path: 'members' }]);
      case 'delete group':
        return client.delete(path);
      case 'delete user':
        return ids[0] === undefined ? undefined : client.delete(`/Users/${ids[0]}`);
    }
  }

  /** What a set makes of the same; undefined where it is refused. */
  function model(
    { act }: Step,
    members: Set<string> | undefined,
    ids: string[],
    living: Set<string>,
  ): Set<string> | undefined {
    if (!members) return undefined;
    const known = ids.every((id) => living.has(id));
    switch (act) {
      case 'add':
        return known ? new Set([...members, ...ids]) : members;
      case 'replace':
      case 'put':
        return known ? new Set(ids) : members;
      case 'remove':
      case 'remove one by one':
        return new Set([...members].filter((id) => !ids.includes(id)));
      case 'empty':
        return new Set();
      case 'delete group':
        return undefined;
      default:
        return members;
    }
  }

  it('leaves both sides as a set would have them', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 8 }), async (steps) => {
        const people = await Promise.all(Array.from({ length: PEOPLE }, () => client.createUser(fresh('person'))));
        const names = [fresh('Group'), fresh('Group')];
        const groups = await Promise.all(names.map((name) => client.createGroup(name)));
        const sets: (Set<string> | undefined)[] = [new Set(), new Set()];
        const living = new Set(people);
        for (const one of steps) {
          const ids = one.who.map((index) => people[index] as string);
          const response = await send(one, groups[one.group] as string, names[one.group] as string, ids);
          expect(response?.status ?? 200).toBeLessThan(500);
          sets[one.group] = model(one, sets[one.group], ids, living);
          const [gone] = ids;
          if (one.act === 'delete user' && gone !== undefined) {
            living.delete(gone);
            for (const set of sets) set?.delete(gone);
          }
        }
        for (const [index, id] of groups.entries()) {
          const { status } = await client.get(`/Groups/${id}`);
          expect(status).toBe(sets[index] ? 200 : 404);
          if (sets[index]) expect(await client.members(id)).toEqual(sets[index]);
        }
        for (const id of living) {
          const own = ((await client.get(`/Users/${id}`)).body.groups ?? []).map(
            ({ value }: { value: string }) => value,
          );
          expect(new Set(own)).toEqual(new Set(groups.filter((_, index) => sets[index]?.has(id))));
        }
      }),
      { numRuns: 25 },
    );
  });
});

describe('any request', () => {
  const word = fc.oneof(
    fc.constantFrom(
      '',
      'ada',
      'Engineering',
      '__proto__',
      'constructor',
      '\u0000',
      '💥',
      'a"b\\',
      'true',
      '0',
      ' ',
      'W/"1"',
      'x'.repeat(1_100),
    ),
    fc.string({ unit: 'binary', maxLength: 6 }),
  );
  const key = fc.constantFrom(
    ...[
      'schemas',
      'id',
      'userName',
      'externalId',
      'active',
      'emails',
      'value',
      'type',
      'primary',
      'name',
      'givenName',
      'meta',
      'groups',
    ],
    ...[
      'displayName',
      'members',
      'Operations',
      'op',
      'path',
      '__proto__',
      'constructor',
      'prototype',
      `${USER}:userName`,
      'emails[type eq "x"].value',
    ],
  );
  const { json } = fc.letrec((tie) => ({
    json: fc.oneof(
      { depthSize: 'medium' },
      word,
      fc.constantFrom(null, true, false, 0, -1, 1e308, [USER], [GROUP], [PATCH_OP], 'replace', 'add', 'remove'),
      fc.array(tie('json'), { maxLength: 3 }),
      fc.dictionary(key, tie('json'), { maxKeys: 5 }),
    ),
  }));
  const operation = fc.record(
    { op: fc.constantFrom('add', 'replace', 'remove'), path: fc.oneof(key, word), value: json },
    { requiredKeys: ['op'] },
  );
  const body = fc.oneof(
    json,
    fc.record({ schemas: fc.constant([PATCH_OP]), Operations: fc.array(operation, { maxLength: 3 }) }),
    fc.record(
      { userName: word, externalId: word, emails: json, active: json, members: json },
      { requiredKeys: ['userName'] },
    ),
    fc.record({ displayName: word, members: json }),
    fc.string({ maxLength: 20 }),
  );
  const text = fc.oneof(
    word,
    fc.constantFrom(
      'userName eq "ada"',
      'emails[type pr',
      'id',
      'userName',
      '-1',
      '1e9',
      'name.givenName,emails.value',
    ),
  );
  const query = fc.dictionary(
    fc.constantFrom('filter', 'startIndex', 'count', 'sortBy', 'sortOrder', 'attributes', 'excludedAttributes'),
    text,
    { maxKeys: 3 },
  );
  const requests = fc.record({
    method: fc.constantFrom('get' as const, 'post' as const, 'put' as const, 'patch' as const, 'delete' as const),
    path: fc.constantFrom(
      '/Users',
      '/Groups',
      '/Users/USER',
      '/Groups/GROUP',
      '/Users/1',
      '/Schemas',
      '/Users/%00',
      '/Groups/__proto__',
      '/',
    ),
    query,
    body,
    headers: fc.dictionary(
      fc.constantFrom('if-match', 'if-none-match'),
      fc.constantFrom('*', 'W/"1"', '"', 'x,,', 'W/"1", W/"2"'),
      { maxKeys: 1 },
    ),
  });

  it('is served or refused in SCIM, and changes no prototype', async () => {
    let [user, group] = [await client.createUser(fresh('fuzzed')), await client.createGroup(fresh('Fuzzed'))];
    await fc.assert(
      fc.asyncProperty(requests, async ({ method, path, query: parameters, body: given, headers }) => {
        const address = `${path.replace('USER', user).replace('GROUP', group)}?${new URLSearchParams(parameters)}`;
        const sent = method === 'get' ? undefined : typeof given === 'string' ? given : JSON.stringify(given);
        const response = await client.send(method, address, sent, headers);
        expect([200, 201, 204, 304, 400, 403, 404, 405, 409, 412]).toContain(response.status);
        if (response.status >= 400) {
          expect(response.body.status).toBe(String(response.status));
          expect(response.body.detail).toEqual(expect.any(String));
        }
        expect(Object.keys(Object.prototype)).toEqual([]);
        if (method === 'delete' && response.status === 204) {
          [user, group] = [await client.createUser(fresh('fuzzed')), await client.createGroup(fresh('Fuzzed'))];
        }
      }),
      { numRuns: 400 },
    );
  });
});
