/** What operators see of revocations: who may look, what is listed, and what each entry says. */
import { randomUUID } from 'node:crypto';
import request from 'supertest';
import type { Revocation } from '../../src/fanout/job.js';
import { type AppRecord, createRevocationRecords, type RevocationRecords } from '../../src/fanout/record.js';
import { expectDocumented } from '../support/documented.js';
import { ADMIN_TOKEN, PUBLIC_URL, startGateway } from '../support/gateway.js';
import { createOutcomes } from '../support/outcome.js';

const START = Date.parse('2026-06-01T12:00:00.000Z');
const settings = { tenants: [{ id: 'default' }, { id: 'acme' }, { id: 'crowd' }] };

let gateway: Awaited<ReturnType<typeof startGateway>>;
let records: RevocationRecords;
let outcome: ReturnType<typeof createOutcomes>;
const ids: string[] = [];

const get = (path: string, authorization = `Bearer ${ADMIN_TOKEN}`) =>
  request(gateway.url).get(path).set('authorization', authorization);

const list = async (query: Record<string, string> = {}) => {
  const response = await get(`/api/revocations?${new URLSearchParams(query)}`);
  expect(response.status).toBe(200);
  return response.body as { revocations: Record<string, unknown>[]; cursor?: string };
};

async function open(over: Partial<Revocation> = {}): Promise<Revocation> {
  const revocation: Revocation = {
    revocationId: `rev_${randomUUID().replaceAll('-', '')}`,
    tenant: 'default',
    trust: 'okta',
    user: '100000000000001',
    mode: 'full',
    via: [PUBLIC_URL],
    acceptedAt: START,
    accounts: [],
    ...over,
  };
  await records.open(revocation);
  return revocation;
}

beforeAll(async () => {
  gateway = await startGateway(settings, { roles: ['api'] });
  outcome = createOutcomes(gateway.redis, gateway.prefix);
  records = createRevocationRecords(gateway.redis, { prefix: gateway.prefix, retentionMs: 400 * 86_400_000 });
});
afterAll(() => gateway.close());

describe('who may look', () => {
  it.each([
    ['nothing', ''],
    ['another token', 'Bearer another-admin-token-of-the-specs'],
    ['a part of the token', `Bearer ${ADMIN_TOKEN.slice(0, -1)}`],
    ['more than the token', `Bearer ${ADMIN_TOKEN}x`],
    ['the token without its scheme', ADMIN_TOKEN],
    ['another scheme', `Basic ${ADMIN_TOKEN}`],
    ['the token in another case', `Bearer ${ADMIN_TOKEN.toUpperCase()}`],
    ['an empty token', 'Bearer '],
    ['the word undefined', 'Bearer undefined'],
  ])('is not whoever shows %s', async (_what, authorization) => {
    for (const path of ['/api/revocations', '/api/revocations/rev_1', '/api/anything']) {
      const response = authorization === '' ? await request(gateway.url).get(path) : await get(path, authorization);
      expect(response.status).toBe(401);
      expect(response.headers['www-authenticate']).toMatch(/^Bearer /);
      expect(response.headers['content-type']).toMatch(/^application\/problem\+json/);
      expect(response.body).toMatchObject({ status: 401, code: 'invalid_token' });
    }
  });

  it.each(['bearer', 'BEARER', 'Bearer '])(
    'is whoever shows the token, however the scheme is written [%j]',
    async (scheme) => {
      expect((await get('/api/revocations', `${scheme} ${ADMIN_TOKEN}`)).status).toBe(200);
      expect((await get('/api/sessions/valid-after?id=1', `${scheme} ${ADMIN_TOKEN}`)).status).toBe(200);
    },
  );

  it('is nobody where there is no ADMIN_TOKEN', async () => {
    const closed = await startGateway(settings, { roles: ['api'], config: { adminToken: undefined } });
    for (const token of ['Bearer undefined', 'Bearer ', `Bearer ${ADMIN_TOKEN}`]) {
      const response = await request(closed.url).get('/api/revocations').set('authorization', token);
      expect(response.status).toBe(401);
    }
    await closed.close();
  });
});

describe('the list', () => {
  beforeAll(async () => {
    // More than a page of them in one millisecond, then two that can be told apart.
    for (let count = 0; count < 120; count += 1) ids.push((await open()).revocationId);
    const pending = await open({
      acceptedAt: START + 60_000,
      user: '100000000000002',
      accounts: [{ app: 'wiki', account: 'grace@example.com' }],
    });
    const failed = await open({
      acceptedAt: START + 120_000,
      accounts: [{ app: 'intranet', account: 'ada@example.com' }],
    });
    await outcome(failed, 'intranet', { state: 'failed', attempts: 1, at: START + 121_000, reason: 'auth' });
    await open({ tenant: 'acme' });
    ids.push(pending.revocationId, failed.revocationId);
  });

  /** The ids of each page, in order. */
  async function pagesOf(query: Record<string, string> = {}): Promise<string[][]> {
    const pages: string[][] = [];
    for (let cursor: string | undefined; ; ) {
      const page = await list(cursor === undefined ? query : { ...query, cursor });
      pages.push(page.revocations.map(({ revocationId }) => String(revocationId)));
      cursor = page.cursor;
      if (cursor === undefined) return pages;
    }
  }

  it('has the newest first, and all of them page by page', async () => {
    const pages = await pagesOf();
    const seen = pages.flat();
    expect(pages.map(({ length }) => length)).toEqual([50, 50, 22]);
    expect(new Set(seen)).toEqual(new Set(ids));
    expect(seen.slice(0, 2)).toEqual([ids.at(-1), ids.at(-2)]);
  });

  it('is filled with what matches, wherever that is', async () => {
    const pages = await pagesOf({ status: 'completed' });
    expect(pages.map(({ length }) => length)).toEqual([50, 50, 20]);
    expect(new Set(pages.flat())).toEqual(new Set(ids.slice(0, -2)));
    const account = 'ada@example.com';
    const first = await open({ acceptedAt: START - 60_000, accounts: [{ app: 'attic', account }] });
    await outcome(first, 'attic', { state: 'revoked', attempts: 1, at: START });
    expect(await pagesOf({ app: 'attic' })).toEqual([[first.revocationId]]);
  });

  it('shows what failed at an app while another one is still to be told', async () => {
    const account = 'grace@example.com';
    const { revocationId } = await open({
      tenant: 'crowd',
      accounts: ['vault', 'depot'].map((app) => ({ app, account })),
    });
    const failed = { state: 'failed', attempts: 1, at: START, reason: 'not_found' } as const;
    await outcome({ tenant: 'crowd', revocationId }, 'vault', failed);
    expect(await pagesOf({ tenant: 'crowd', app: 'vault', state: 'failed' })).toEqual([[revocationId]]);
    expect(await pagesOf({ tenant: 'crowd', app: 'vault', status: 'failed' })).toEqual([[]]);
  });

  it('of one person is at hand, however many revocations others have had since', async () => {
    const mine = await open({ acceptedAt: START - 180_000, user: '100000000000003' });
    // Another one than those that a single request could look through.
    await Promise.all(Array.from({ length: 1_001 }, () => open({ tenant: 'crowd', user: '100000000000004' })));
    const theirs = await open({ tenant: 'crowd', acceptedAt: START - 1, user: '100000000000003' });
    expect(await pagesOf({ user: '100000000000003' })).toEqual([[mine.revocationId]]);
    expect(await pagesOf({ tenant: 'crowd', user: '100000000000003' })).toEqual([[theirs.revocationId]]);
  });

  it('of another tenant is another list', async () => {
    expect((await list({ tenant: 'acme' })).revocations).toHaveLength(1);
    const nowhere = await get('/api/revocations?tenant=nowhere');
    expectDocumented('listRevocations', 404, nowhere, 'not_found');
  });

  it.each<[string, Record<string, string>, number]>([
    ['status', { status: 'pending' }, 1],
    ['status', { status: 'failed' }, 1],
    ['app', { app: 'wiki' }, 1],
    ['app', { app: 'constructor' }, 0],
    ['state', { state: 'failed' }, 1],
    ['state', { state: 'pending' }, 0],
    ['state and app', { state: 'waiting', app: 'wiki' }, 1],
    ['state and another app', { state: 'waiting', app: 'intranet' }, 0],
    ['user', { user: '100000000000002' }, 1],
    ['user and status', { user: '100000000000002', status: 'failed' }, 0],
    ['user', { user: 'ada@example.com' }, 0],
    ['since', { since: '2026-06-01T12:01:00Z' }, 2],
    ['since', { since: '2026-06-01T14:01:00+02:00' }, 2],
    ['since and status', { since: '2026-06-01T12:01:00Z', status: 'completed' }, 0],
  ])('can be narrowed by %s [%j]', async (_what, query, count) => {
    expect((await list(query)).revocations).toHaveLength(count);
  });

  it('does not go on beyond since', async () => {
    expect(await list({ since: '2026-06-01T12:01:00Z' })).not.toHaveProperty('cursor');
  });

  it.each([
    ['an unknown parameter', 'tenannt=acme', 'tenannt is unknown.'],
    ['an unknown state', 'state=gone', /^state: it is one of waiting, .*failed/],
    ['an unknown status', 'status=done', /^status: it is one of pending, completed, failed\.$/],
    ['a date without time', 'since=2026-06-01', 'since: write it as 2026-06-01T12:00:00Z.'],
    ['words for a date', 'since=yesterday', 'since: write it as 2026-06-01T12:00:00Z.'],
    ['a cursor that is none', 'cursor=12345', 'cursor: it is the cursor of the answer before.'],
    ['a parameter twice', 'status=failed&status=pending', /^status: /],
    ['two mistakes', 'status=done&since=yesterday', /^status: .*; since: .*\.$/],
  ])('refuses %s, and says what would be right', async (_what, query, detail) => {
    const response = await get(`/api/revocations?${query}`);
    expect(response.status).toBe(400);
    expect(response.body.code).toBe('malformed_request');
    expect(response.body.detail).toEqual(typeof detail === 'string' ? detail : expect.stringMatching(detail));
    expect(response.text).not.toMatch(/done|yesterday|12345/);
  });
});

describe('one revocation', () => {
  it('says for each app what became of it, in ISO times and milliseconds, and no account', async () => {
    const revocation = await open({
      via: ['https://first.example.com', PUBLIC_URL],
      accounts: ['intranet', 'wiki', 'crm'].map((app) => ({ app, account: 'ada@example.com' })),
    });
    const path = `/api/revocations/${revocation.revocationId}`;
    const sessions: AppRecord = { state: 'revoked', attempts: 1, at: START + 40, what: ['sessions'] };
    await outcome(revocation, 'intranet', { ...sessions, partial: 'tokens live on' });
    const retrying = { state: 'retrying', attempts: 2, reason: 'server' } as const;
    await outcome(revocation, 'wiki', { ...retrying, at: START + 50, nextAttemptAt: START + 5_050 });
    const pending = await get(path);
    expect(pending.status).toBe(200);
    expect(pending.body).toEqual({
      summary: '1 of 3 apps in 40 ms, crm waiting, wiki waiting',
      revocationId: revocation.revocationId,
      tenant: 'default',
      trust: 'okta',
      user: '100000000000001',
      mode: 'full',
      status: 'pending',
      acceptedAt: '2026-06-01T12:00:00.000Z',
      via: ['https://first.example.com'],
      apps: expect.arrayContaining([
        {
          app: 'intranet',
          state: 'revoked',
          attempts: 1,
          at: '2026-06-01T12:00:00.040Z',
          what: ['sessions'],
          partial: 'tokens live on',
        },
        {
          app: 'wiki',
          state: 'retrying',
          attempts: 2,
          at: '2026-06-01T12:00:00.050Z',
          reason: 'server',
          fault: 'app',
          nextAttemptAt: '2026-06-01T12:00:05.050Z',
        },
        { app: 'crm', state: 'waiting', attempts: 0 },
      ]),
    });
    expect(pending.text).not.toContain('@');

    for (const app of ['wiki', 'crm']) await outcome(revocation, app, { ...sessions, at: START + 2_000 });
    expect((await get(path)).body).toMatchObject({
      status: 'completed',
      completedAt: '2026-06-01T12:00:02.000Z',
      tookMs: 2_000,
    });
  });

  it('is found in whichever tenant it is', async () => {
    const { revocationId } = await open({ tenant: 'acme' });
    expect((await get(`/api/revocations/${revocationId}`)).body).toMatchObject({ revocationId, tenant: 'acme' });
  });

  it.each(['rev_unknown', 'rev_*', '__proto__', encodeURIComponent('../revocations'), encodeURIComponent('💥')])(
    'that is not there is a 404 [%s]',
    async (id) => {
      const response = await get(`/api/revocations/${id}`);
      expect(response.status).toBe(404);
      expect(response.body).toMatchObject({ status: 404, code: 'not_found' });
    },
  );
});
