/** Ory Hydra: login sessions one by one, so that apps are told, then all of the subject, then the consents. */
import { oryHydra } from '../../src/connectors/ory-hydra.js';
import { createCalls } from '../support/call.js';
import { keepsContract } from '../support/connector-contract.js';
import { type Route, startVendor, type Vendor } from '../support/vendor.js';

const ACCOUNT = 'ada.s3cret@example.com';
const LIST = 'GET /admin/oauth2/auth/sessions/consent';
const LOGIN = 'DELETE /admin/oauth2/auth/sessions/login';
const CONSENT = 'DELETE /admin/oauth2/auth/sessions/consent';
const headers = { authorization: 'Bearer ory_pat_s3cret' };

const consent = (login_session_id?: string) => ({ consent_request: { login_session_id }, grant_scope: ['openid'] });

type State = { pages?: ReturnType<typeof consent>[][]; stays?: boolean; endless?: boolean };

function vendor({ pages = [[consent('sid-1'), consent('sid-1'), consent()]], stays, endless }: State = {}): Route[] {
  let left = pages;
  const subject = ACCOUNT;
  return [
    {
      call: LIST,
      expects: [
        { headers, query: { subject, page_size: '250' } },
        { headers, query: { subject, page_size: '250', page_token: expect.stringMatching(/^p=\d$/) } },
        { headers, query: { subject, page_size: '1' } },
        { headers, query: { subject: 'universal-logout-check', page_size: '1' } },
      ],
      answer: ({ query }) => {
        if (query.subject !== subject) return { json: [] };
        const page = Number(query.page_token?.slice(2) ?? 0);
        const next = endless ? '1' : page + 1 < left.length ? String(page + 1) : undefined;
        const link = `</admin/oauth2/auth/sessions/consent?page_size=250&page_token=p%3D0>; rel="first"`;
        const more = `${link},</admin/oauth2/auth/sessions/consent?page_size=250&page_token=p%3D${next}>; rel="next"`;
        return { headers: { link: next ? more : link }, json: left[page] ?? [] };
      },
    },
    {
      call: LOGIN,
      expects: [
        { headers, query: { sid: expect.stringMatching(/^sid-/) } },
        { headers, query: { subject } },
      ],
      answer: () => ({ status: 204 }),
    },
    {
      call: CONSENT,
      expects: { headers, query: { subject, all: 'true' } },
      answer: () => {
        if (!stays) left = [[]];
        return { status: 204 };
      },
    },
  ];
}

const optionsAt = (url: string) => ({ url, token: 'ory_pat_s3cret' });
const ALL = ['sessions', 'refresh_tokens', 'access_tokens'];

keepsContract(oryHydra, {
  account: ACCOUNT,
  options: optionsAt,
  vendor: () => vendor(),
  calls: [LIST, LOGIN, LOGIN, CONSENT, LIST],
  main: CONSENT,
  outcome: { state: 'revoked', what: ['sessions', 'refresh_tokens', 'access_tokens'], verified: true },
  check: { ok: true, detail: 'consents can be read, by which right they can be deleted too' },
});

describe('ory-hydra', () => {
  let app: Vendor;
  let calls: Awaited<ReturnType<typeof createCalls>>;
  beforeAll(async () => {
    app = await startVendor();
    calls = await createCalls();
  });
  afterAll(() => Promise.all([app.close(), calls.close()]));

  const revoke = (over = {}) => oryHydra.revoke(ACCOUNT, oryHydra.options.parse(optionsAt(app.url)), calls.call(over));
  const asked = () => app.requests.map(({ call }) => call);
  const queries = (wanted: string) => app.requests.filter(({ call }) => call === wanted).map(({ query }) => query);

  it('ends each login session once, on every page, and then those that no consent names', async () => {
    app.reset(vendor({ pages: [[consent('sid-1')], [consent('sid-2'), consent('sid-1')], [consent()]] }));
    expect(await revoke()).toMatchObject({ state: 'revoked', what: ALL });
    expect(queries(LOGIN)).toEqual([{ sid: 'sid-1' }, { sid: 'sid-2' }, { subject: ACCOUNT }]);
    expect(queries(LIST).map(({ page_token }) => page_token)).toEqual([undefined, 'p=1', 'p=2', undefined]);
    expect(app.violations).toEqual([]);
  });

  it('gives up on a list that has no end, before it ends anything', async () => {
    app.reset(vendor({ endless: true }));
    await expect(revoke()).rejects.toMatchObject({ reason: 'refused', message: expect.stringContaining('20 pages') });
    expect(asked()).toEqual(Array.from({ length: 20 }, () => LIST));
  });

  it('makes all calls where the subject has no consent, since sessions cannot be listed', async () => {
    app.reset(vendor({ pages: [[]] }));
    expect(await revoke()).toMatchObject({ state: 'revoked' });
    expect(asked()).toEqual([LIST, LOGIN, CONSENT, LIST]);
  });

  it('leaves login sessions alone if told to', async () => {
    app.reset(vendor());
    expect(await revoke({ mode: 'refresh-only' })).toMatchObject({ what: ['refresh_tokens', 'access_tokens'] });
    expect(asked()).toEqual([CONSENT, LIST]);
  });

  it('voids the tokens although an app cannot be told, and says so', async () => {
    app.reset(vendor({ pages: [[consent('sid-1'), consent('sid-2')]] }));
    app.failAt(LOGIN, (res, { query }) => res.writeHead(query.sid === 'sid-1' ? 500 : 204).end());
    expect(await revoke()).toEqual({
      state: 'revoked',
      what: ALL,
      partial: 'apps may not have been told: Hydra’s back-channel logout failed',
      verified: true,
    });
    expect(asked()).toEqual([LIST, LOGIN, LOGIN, LOGIN, CONSENT, LIST]);
  });

  it.each([
    ['auth', 401],
    ['rate_limited', 429],
    ['refused', 400],
  ])('stops where telling an app fails for a reason that all calls share [%s]', async (reason, status) => {
    app.reset(vendor());
    app.failAt(LOGIN, (res, { query }) => res.writeHead(query.sid ? status : 204).end());
    await expect(revoke()).rejects.toMatchObject({ reason });
    expect(asked()).toEqual([LIST, LOGIN]);
  });

  it('is no success where the subject’s login sessions or consents could not be ended', async () => {
    app.reset(vendor());
    app.failAt(LOGIN, (res, { query }) => res.writeHead(query.subject ? 500 : 204).end());
    await expect(revoke()).rejects.toMatchObject({ reason: 'server' });
    app.reset(vendor({ stays: true }));
    await expect(revoke()).rejects.toMatchObject({ reason: 'server' });
  });
});
