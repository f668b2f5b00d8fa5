/** Lists (RFC 7644 §3.4.2): pages in a stable order, sorted, filtered, and never without bounds. */
import { startGateway } from '../support/gateway.js';
import { createScimClient, ENTERPRISE, ERROR, LIST, SCIM_TOKEN, type ScimClient } from '../support/scim.js';

let gateway: Awaited<ReturnType<typeof startGateway>>;
let many: ScimClient;
let few: ScimClient;
let none: ScimClient;

const tenant = (id: string) => ({ id, scim: { tokens: [`${SCIM_TOKEN}-${id}`] } });
const clientOf = (id: string) => createScimClient(gateway.url, { tenant: id, token: `${SCIM_TOKEN}-${id}` });

beforeAll(async () => {
  gateway = await startGateway({ tenants: ['many', 'few', 'none', 'moving'].map(tenant) });
  [many, few, none] = [clientOf('many'), clientOf('few'), clientOf('none')];
  for (let n = 0; n < 250; n++) {
    await gateway.directory.users.create('many', {
      userName: `user-${String(n).padStart(3, '0')}`,
      title: n % 2 ? 'odd' : 'even',
      active: n !== 7,
    });
  }
  await few.createUser('Éva', {
    externalId: 'b',
    name: { familyName: 'Zed' },
    emails: [{ value: 'z@b' }, { value: 'a@b', primary: true }],
  });
  await few.createUser('bob', { externalId: 'B', [ENTERPRISE]: { department: 'Sales' }, emails: [{ value: 'M@b' }] });
  await few.createUser('Carol', {
    externalId: 'a',
    name: { familyName: 'adams' },
    [ENTERPRISE]: { department: 'engineering' },
  });
});
afterAll(() => gateway.close());

type Listed = {
  totalResults: number;
  startIndex: number;
  itemsPerPage: number;
  Resources: { id: string; userName: string }[];
};

async function page(client: ScimClient, query: Record<string, string | number> = {}): Promise<Listed> {
  const { status, body } = await client.list('Users', query);
  expect(status).toBe(200);
  expect(body.schemas).toEqual([LIST]);
  expect(body.itemsPerPage).toBe(body.Resources.length);
  return body;
}

const names = ({ Resources }: Listed) => Resources.map(({ userName }) => userName);

/** As a client does: on from what it got, until it has all. */
async function walk(
  client: ScimClient,
  query: Record<string, string | number>,
  between = async () => {},
): Promise<string[]> {
  const seen: string[] = [];
  for (let startIndex = 1; ; ) {
    const listed = await page(client, { ...query, startIndex });
    seen.push(...names(listed));
    startIndex += listed.itemsPerPage;
    if (listed.itemsPerPage === 0 || startIndex > listed.totalResults) return seen;
    await between();
  }
}

describe('pages', () => {
  it('of nobody are empty', async () => {
    for (const query of [
      {},
      { filter: 'userName sw "a"' },
      { filter: 'userName eq "a"' },
      { sortBy: 'userName' },
      { startIndex: 5 },
    ]) {
      expect(await page(none, query)).toMatchObject({ totalResults: 0, itemsPerPage: 0, Resources: [] });
    }
  });

  it('hold a hundred unless another count is asked for', async () => {
    expect(await page(many)).toMatchObject({ totalResults: 250, startIndex: 1, itemsPerPage: 100 });
    expect(names(await page(many, { startIndex: 201, count: 1_000 }))).toHaveLength(50);
    expect(await page(many, { count: 5_000 })).toMatchObject({ itemsPerPage: 250 });
  });

  it.each<[string, Record<string, string | number>, object]>([
    ['none', { count: 0 }, { totalResults: 250, itemsPerPage: 0 }],
    ['fewer than none', { count: -1 }, { totalResults: 250, itemsPerPage: 0 }],
    ['one from before the first', { startIndex: -7, count: 1 }, { startIndex: 1, itemsPerPage: 1 }],
    ['one from the zeroth', { startIndex: 0, count: 1 }, { startIndex: 1, itemsPerPage: 1 }],
    ['what is behind the last', { startIndex: 251 }, { totalResults: 250, startIndex: 251, itemsPerPage: 0 }],
    ['what is far behind', { startIndex: 1e15 }, { totalResults: 250, itemsPerPage: 0 }],
    ['the matches alone', { filter: 'title eq "odd"', count: 0 }, { totalResults: 125, itemsPerPage: 0 }],
    ['matches behind the last', { filter: 'title eq "odd"', startIndex: 126 }, { totalResults: 125, itemsPerPage: 0 }],
  ])('with %s are as RFC 7644 §3.4.2.4 has them', async (_, query, expected) => {
    expect(await page(many, query)).toMatchObject(expected);
  });

  it.each([7, 100])('of %i hold everyone once, in the order of their coming', async (count) => {
    const seen = await walk(many, { count });
    expect(seen).toEqual(Array.from({ length: 250 }, (_, n) => `user-${String(n).padStart(3, '0')}`));
  });

  it('of matches do too, however they are found', async () => {
    expect(await walk(many, { count: 20, filter: 'title eq "odd" and not (userName eq "user-007")' })).toHaveLength(
      124,
    );
    expect(await walk(many, { count: 2, filter: 'userName eq "USER-003" or userName eq "user-001"' })).toHaveLength(2);
    expect(names(await page(many, { filter: 'active eq false' }))).toEqual(['user-007']);
  });

  it('miss nobody and repeat nobody while others come in', async () => {
    const moving = clientOf('moving');
    for (let n = 0; n < 40; n++) await moving.createUser(`first-${n}`);
    let n = 0;
    const come = async () => {
      await moving.createUser(`later-${n++}`);
    };
    const seen = await walk(moving, { count: 7 }, come);
    expect(seen.filter((name) => name.startsWith('first'))).toEqual(
      Array.from({ length: 40 }, (_, index) => `first-${index}`),
    );
    expect(new Set(seen).size).toBe(seen.length);
    // Whoever came before the last page is on it.
    expect(seen.length).toBe(40 + n);
  });
});

describe('an order', () => {
  it.each<[string, Record<string, string>, string[]]>([
    ['by name, whatever its letters', { sortBy: 'userName' }, ['bob', 'Carol', 'Éva']],
    ['descending', { sortBy: 'userName', sortOrder: 'descending' }, ['Éva', 'Carol', 'bob']],
    ['by what is compared exactly', { sortBy: 'externalId' }, ['bob', 'Carol', 'Éva']],
    ['by a part, those without one last', { sortBy: 'name.familyName' }, ['Carol', 'Éva', 'bob']],
    [
      'by a part descending, those without one first',
      { sortBy: 'name.familyName', sortOrder: 'descending' },
      ['bob', 'Éva', 'Carol'],
    ],
    ['by the primary address', { sortBy: 'emails' }, ['Éva', 'bob', 'Carol']],
    ['by the extension', { sortBy: `${ENTERPRISE}:department` }, ['Carol', 'bob', 'Éva']],
    ['by when they came', { sortBy: 'meta.created' }, ['Éva', 'bob', 'Carol']],
    ['by what nobody has', { sortBy: 'shoeSize' }, ['Éva', 'bob', 'Carol']],
    ['of matches', { sortBy: 'userName', filter: 'externalId ne "a"' }, ['bob', 'Éva']],
    [
      'of matches that an index has',
      { sortBy: 'userName', filter: 'userName eq "éva" or userName eq "BOB"' },
      ['bob', 'Éva'],
    ],
  ])('%s', async (_, query, expected) => {
    expect(names(await page(few, query))).toEqual(expected);
  });

  it('holds over pages', async () => {
    const descending = await walk(many, { count: 60, sortBy: 'userName', sortOrder: 'descending' });
    expect(descending).toEqual(Array.from({ length: 250 }, (_, n) => `user-${String(249 - n).padStart(3, '0')}`));
  });
});

describe('a query with', () => {
  it.each<[string, string, string]>([
    ['a filter that is none', 'filter=userName', 'invalidFilter'],
    ['a filter without a value', 'filter=', 'invalidFilter'],
    ['two filters', 'filter=userName%20pr&filter=title%20pr', 'invalidValue'],
    ['line breaks in a string that does not end', `filter=userName%20eq%20%22${'%0A'.repeat(40)}`, 'invalidFilter'],
    ['a name of Object as an operator', 'filter=userName%20pr%20constructor%20userName%20pr', 'invalidFilter'],
    ['a long filter', `filter=userName%20eq%20%22${'x'.repeat(2_000)}%22`, 'invalidFilter'],
    ['a startIndex that is no number', 'startIndex=first', 'invalidValue'],
    ['a startIndex that is no whole number', 'startIndex=1.5', 'invalidValue'],
    ['a startIndex beyond numbers', 'startIndex=1e300', 'invalidValue'],
    ['a count that is no number', 'count=all', 'invalidValue'],
    ['two counts', 'count=1&count=2', 'invalidValue'],
    ['an unknown order', 'sortBy=userName&sortOrder=up', 'invalidValue'],
    ['an empty sortBy', 'sortBy=', 'invalidValue'],
    ['attributes and excludedAttributes', 'attributes=id&excludedAttributes=name', 'invalidValue'],
  ])('%s is refused', async (_, query, scimType) => {
    for (const path of ['/Users', '/Groups']) {
      const { status, body } = await few.get(`${path}?${query}`);
      expect(status).toBe(400);
      expect(body).toEqual({ schemas: [ERROR], status: '400', scimType, detail: expect.any(String) });
    }
  });
});
