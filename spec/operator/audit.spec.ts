/** The audit trail as operators read it: newest first, narrowed, page by page, and of tenants that there are not too. */
import request from 'supertest';
import { auditEvents, auditKey, auditText, createAudit } from '../../src/audit.js';
import { createAuditViews } from '../../src/operator/audit.js';
import { expectDocumented } from '../support/documented.js';
import { ADMIN_TOKEN, startGateway } from '../support/gateway.js';
import { openapi } from '../support/openapi.js';

const START = Date.parse('2026-06-01T12:00:00.000Z');

let gateway: Awaited<ReturnType<typeof startGateway>>;

const get = (path: string, authorization = `Bearer ${ADMIN_TOKEN}`) =>
  request(gateway.url).get(path).set({ authorization });

type Page = { entries: { id: string; at?: string; event: string; user?: string }[]; cursor?: string };

async function list(query: Record<string, string>): Promise<Page> {
  const response = await get(`/api/audit?${new URLSearchParams(query)}`);
  expectDocumented('listAuditEntries', 200, response);
  return response.body;
}

async function pagesOf(query: Record<string, string>): Promise<Page['entries'][]> {
  const pages: Page['entries'][] = [];
  for (let cursor: string | undefined; ; ) {
    const page = await list(cursor === undefined ? query : { ...query, cursor });
    pages.push(page.entries);
    cursor = page.cursor;
    if (cursor === undefined) return pages;
  }
}

/** Entries of one tenant, one a millisecond. */
async function write(tenant: string, entries: object[]): Promise<void> {
  const all = gateway.redis.pipeline();
  for (const [index, entry] of entries.entries()) {
    all.xadd(
      auditKey(gateway.prefix, tenant),
      `${START + index}-0`,
      'entry',
      auditText({ ...entry, tenant } as object),
    );
  }
  await all.exec();
}

beforeAll(async () => {
  const tenants = ['default', 'acme', 'quiet', 'long'].map((id) => ({ id }));
  gateway = await startGateway({ tenants }, { roles: ['api'] });
  const entry = (index: number) => ({
    ...{ event: 'attempt.failed', trust: 'okta', revocationId: `rev_${index}`, user: String(index % 7), app: 'wiki' },
    ...{ reason: 'server', status: 503, attempt: 2 },
  });
  await write(
    'default',
    Array.from({ length: 250 }, (_, index) => entry(index)),
  );
  await write('acme', [{ event: 'app.paused', app: 'wiki' }]);
  const rare = [100, 5_100, 5_101];
  await write(
    'long',
    Array.from({ length: 5_200 }, (_, index) => ({ event: rare.includes(index) ? 'app.paused' : 'job.retried' })),
  );
});
afterAll(() => gateway.close());

describe('who is refused', () => {
  it('whoever bears no ADMIN_TOKEN', async () => {
    for (const authorization of ['', 'Bearer x', `Basic ${ADMIN_TOKEN}`]) {
      expectDocumented('listAuditEntries', 401, await get('/api/audit?tenant=nowhere', authorization), 'invalid_token');
    }
  });

  it.each([
    ['an unknown parameter', 'trust=okta', 'trust is unknown.'],
    ['an unknown event', 'event=account.deleted', /^event: it is one of revocation\.accepted, .*[^,]$/],
    ['a date without time', 'since=2026-06-01', 'since: write it as 2026-06-01T12:00:00Z.'],
    ['words for a date', 'until=yesterday', 'until: write it as 2026-06-01T12:00:00Z.'],
    ['an end before the beginning', 'since=2026-06-02T00:00:00Z&until=2026-06-01T00:00:00Z', /^since: it is later/],
    ['a cursor that is none', 'cursor=rev_1', 'cursor: it is the cursor of the answer before.'],
    ['a cursor with a condition of its own', 'cursor=(1-0', 'cursor: it is the cursor of the answer before.'],
    ['a cursor before all', 'cursor=0-0', 'cursor: it is the cursor of the answer before.'],
    ['a cursor beyond 64 bits', 'cursor=18446744073709551616-0', 'cursor: it is the cursor of the answer before.'],
    ['a filter twice', 'app=wiki&app=crm', /^app: /],
  ])('whoever sends %s, and is told what would be right', async (_what, query, detail) => {
    const response = await get(`/api/audit?${query}`);
    expectDocumented('listAuditEntries', 400, response, 'malformed_request');
    expect(response.body.detail).toEqual(typeof detail === 'string' ? detail : expect.stringMatching(detail));
    expect(response.text).not.toMatch(/yesterday|deleted|18446744073709551616/);
  });

  it.each(['nowhere', '', '__proto__', '_ '])('whoever asks of a tenant that there is not [%s]', async (tenant) => {
    const response = await get(`/api/audit?${new URLSearchParams({ tenant })}`);
    expectDocumented('listAuditEntries', 404, response, 'not_found');
  });
});

describe('the trail', () => {
  it('has the newest first, and all of it page by page, also while more is written', async () => {
    const first = await list({});
    expect(first.entries[0]).toEqual({
      id: `${START + 249}-0`,
      at: '2026-06-01T12:00:00.249Z',
      event: 'attempt.failed',
      tenant: 'default',
      trust: 'okta',
      revocationId: 'rev_249',
      user: '4',
      app: 'wiki',
      reason: 'server',
      status: 503,
      attempt: 2,
    });
    const audit = createAudit(gateway.redis, { prefix: gateway.prefix, tenants: ['default'] });
    await audit.record({ event: 'app.resumed', tenant: 'default', app: 'wiki' });
    const second = await list({ cursor: first.cursor ?? '' });
    const third = await list({ cursor: second.cursor ?? '' });
    expect(third).not.toHaveProperty('cursor');
    const ids = [first, second, third].map(({ entries }) => entries.map(({ id }) => id));
    expect(ids.map(({ length }) => length)).toEqual([100, 100, 50]);
    expect(ids.flat()).toEqual(Array.from({ length: 250 }, (_, index) => `${START + 249 - index}-0`));
    expect((await list({})).entries[0]).toMatchObject({ event: 'app.resumed', app: 'wiki' });
  });

  it.each<[string, Record<string, string>, number]>([
    ['event', { event: 'attempt.failed' }, 250],
    ['event', { event: 'job.failed' }, 0],
    ['user', { user: '3' }, 36],
    ['user', { user: 'ada@example.com' }, 0],
    ['user and revocation', { user: '3', revocationId: 'rev_3' }, 1],
    ['revocation', { revocationId: 'rev_4', user: '3' }, 0],
    ['app', { app: 'wiki', revocationId: 'rev_7' }, 1],
    ['app', { app: 'constructor' }, 0],
    ['app', { app: 'wik' }, 0],
    ['app', { app: 'iki&reason=server' }, 0],
    ['app', { app: '.*' }, 0],
    ['user', { user: '' }, 0],
    ['since and until, both included', { since: '2026-06-01T12:00:00.100Z', until: '2026-06-01T12:00:00.109Z' }, 10],
    ['one moment', { since: '2026-06-01T14:00:00.1+02:00', until: '2026-06-01T12:00:00.100Z' }, 1],
    ['a time before all', { until: '1969-01-01T00:00:00Z' }, 0],
    ['until and event', { until: '2026-06-01T12:00:00.009Z', event: 'attempt.failed' }, 10],
  ])('is narrowed by %s [%j]', async (_what, query, count) => {
    expect((await pagesOf(query)).flat()).toHaveLength(count);
  });

  it('is looked through part by part, and what is rare is found all the same', async () => {
    const rare = { tenant: 'long', event: 'app.paused' };
    const placesOf = (entries: { id: string }[]) => entries.map(({ id }) => Number.parseInt(id, 10) - START);
    expect((await pagesOf(rare)).map(placesOf)).toEqual([[5_101, 5_100, 100]]);
    const audit = createAudit(gateway.redis, { prefix: gateway.prefix, tenants: ['long'] });
    const { list } = createAuditViews({ audit, settings: gateway.config.settings }, { read: 2_000, atOnce: 500 });
    const first = await list(rare);
    const second = await list({ ...rare, cursor: first.cursor });
    const third = await list({ ...rare, cursor: second.cursor });
    expect([first, second, third].map(({ entries }) => placesOf(entries))).toEqual([[5_101, 5_100], [], [100]]);
    expect([first, second, third].map(({ cursor }) => cursor !== undefined)).toEqual([true, true, false]);
  });

  it('of another tenant is another trail, and one without entries is empty', async () => {
    expect((await list({ tenant: 'acme' })).entries).toMatchObject([{ event: 'app.paused', tenant: 'acme' }]);
    expect(await list({ tenant: 'quiet' })).toEqual({ entries: [] });
  });

  it('says what strangers asked of tenants that there are not', async () => {
    expect((await request(gateway.url).post('/tenants/nowhere/global-token-revocation').send('{}')).status).toBe(401);
    expect((await list({ tenant: '_', event: 'revocation.refused' })).entries).toMatchObject([
      { event: 'revocation.refused', tenant: 'nowhere', status: 401 },
    ]);
  });

  it('shows also what somebody has made up, without being misled about its place', async () => {
    const key = auditKey(gateway.prefix, 'quiet');
    await gateway.redis.xadd(key, '1-1', 'event', 'app.paused', 'id', '7-7', 'at', 'never');
    await gateway.redis.xadd(key, '18446744073709551615-1', 'entry', 'event=app.resumed&tenant=quiet');
    expect((await list({ tenant: 'quiet' })).entries).toEqual([
      { id: '18446744073709551615-1', event: 'app.resumed', tenant: 'quiet' },
      { id: '1-1', at: '1970-01-01T00:00:00.001Z', event: 'app.paused' },
    ]);
  });
});

it('every event that there is, and no other, is in the document', () => {
  const { schemas } = openapi.components as { schemas: { AuditEvent: { enum: string[] } } };
  expect(schemas.AuditEvent.enum).toEqual(auditEvents);
});
