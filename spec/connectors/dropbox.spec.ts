/** Dropbox: batches whose items fail one by one with status 200, and a flag that would delete files. */
import type { Outcome } from '../../src/connectors/connector.js';
import { dropbox } from '../../src/connectors/dropbox.js';
import { createCalls } from '../support/call.js';
import { keepsContract, revokeToTheEnd } from '../support/connector-contract.js';
import { type Route, startVendor, type Vendor, type VendorAnswer } from '../support/vendor.js';

const ACCOUNT = 'ada.s3cret@example.com';
const ID = 'dbmid:AAHhy7WsR0x-u4ZCqiDl5Fz5zvuL3kmspwU';
const TOKEN = 'POST /oauth2/token';
const FIND = 'POST /2/team/members/get_info_v2';
const MEMBERS = 'POST /2/team/members/list_v2';
const DEVICES = 'POST /2/team/devices/list_member_devices';
const END = 'POST /2/team/devices/revoke_device_session_batch';
const APPS = 'POST /2/team/linked_apps/list_member_linked_apps';
const UNLINK = 'POST /2/team/linked_apps/revoke_linked_app_batch';
const headers = { authorization: 'Bearer sl.token-s3cret' };

const PROFILE = {
  team_member_id: ID,
  email: 'Ada.S3cret@example.com',
  email_verified: true,
  secondary_emails: [],
  status: { '.tag': 'active' },
};
const member = (profile: object = PROFILE) => ({ '.tag': 'member_info', profile, roles: [] });
const NOBODY = { '.tag': 'id_not_found', id_not_found: ACCOUNT };
const MEMBER_NOT_FOUND: VendorAnswer = {
  status: 409,
  json: { error_summary: 'member_not_found/..', error: { '.tag': 'member_not_found' } },
};

const WEB = { '.tag': 'web_session', session_id: 'dbwsid:1', team_member_id: ID };
const DESKTOP = { '.tag': 'desktop_client', session_id: 'dbdsid:1', team_member_id: ID, delete_on_unlink: false };
const PHONE = { '.tag': 'mobile_client', session_id: 'dbmsid:1', team_member_id: ID };
const NOTES = { app_id: 'dbaid:1', team_member_id: ID };

type Item = { session_id?: string; app_id?: string };
type World = {
  found?: object[];
  devices?: VendorAnswer;
  /** What becomes of one item: ended where it answers nothing; an error's name where it is not. */
  fails?: (item: Item) => string | undefined;
  /** Items that are there again as soon as they have been ended. */
  undying?: boolean;
};

function vendor({ found = [member()], devices, fails = () => undefined, undying }: World = {}): Route[] {
  let sessions: { session_id: string }[] = [WEB, DESKTOP, PHONE];
  let apps: { app_id: string }[] = [NOTES];

  function statusOf(item: Item) {
    const error = fails(item);
    const isGone = error === undefined || error.endsWith('_not_found');
    if (isGone && !undying) {
      sessions = sessions.filter(({ session_id }) => session_id !== item.session_id);
      apps = apps.filter(({ app_id }) => app_id !== item.app_id);
    }
    return error === undefined ? { success: true } : { success: false, error_type: { '.tag': error } };
  }
  const those = (kind: string) =>
    sessions
      .filter(({ session_id }) => session_id.startsWith(kind))
      .map(({ session_id }) => ({ session_id, ip_address: '3.3.3.3', country: 'Nowhere' }));

  return [
    {
      call: TOKEN,
      changesNothing: true,
      expects: {
        headers: { authorization: `Basic ${Buffer.from('app-1:an-app-s3cret').toString('base64')}` },
        form: { grant_type: 'refresh_token', refresh_token: 'a-refresh-s3cret' },
      },
      answer: () => ({ json: { access_token: 'sl.token-s3cret', token_type: 'bearer', expires_in: 14_400 } }),
    },
    {
      call: FIND,
      changesNothing: true,
      expects: { headers, json: { members: [{ '.tag': 'email', email: ACCOUNT }] } },
      answer: () => ({ json: { members_info: found } }),
    },
    {
      call: MEMBERS,
      changesNothing: true,
      expects: { headers, json: { limit: 1 } },
      answer: () => ({ json: { members: [{ profile: PROFILE, roles: [] }], cursor: 'c', has_more: true } }),
    },
    {
      call: DEVICES,
      changesNothing: true,
      expects: [
        { headers, json: { team_member_id: ID } },
        {
          headers,
          json: {
            team_member_id: ID,
            ...{ include_web_sessions: false, include_desktop_clients: false, include_mobile_clients: false },
          },
        },
      ],
      answer: () =>
        devices ?? {
          json: {
            active_web_sessions: those('dbwsid'),
            desktop_client_sessions: those('dbdsid'),
            mobile_client_sessions: those('dbmsid'),
          },
        },
    },
    {
      call: END,
      expects: [[WEB, DESKTOP, PHONE], [DESKTOP]].map((items) => ({ headers, json: { revoke_devices: items } })),
      answer: ({ json }) => ({
        json: { revoke_devices_status: (json as { revoke_devices: Item[] }).revoke_devices.map(statusOf) },
      }),
    },
    {
      call: APPS,
      changesNothing: true,
      expects: { headers, json: { team_member_id: ID } },
      answer: () => ({ json: { linked_api_apps: apps.map(({ app_id }) => ({ app_id, app_name: 'Notes' })) } }),
    },
    {
      call: UNLINK,
      expects: { headers, json: { revoke_linked_app: [NOTES] } },
      answer: ({ json }) => ({
        json: { revoke_linked_app_status: (json as { revoke_linked_app: Item[] }).revoke_linked_app.map(statusOf) },
      }),
    },
  ];
}

const optionsOf = (url: string) => ({
  ...{ appKey: 'app-1', appSecret: 'an-app-s3cret', refreshToken: 'a-refresh-s3cret' },
  ...{ url, tokenUrl: `${url}/oauth2/token` },
});

keepsContract(dropbox, {
  account: ACCOUNT,
  options: optionsOf,
  vendor: () => vendor(),
  calls: [TOKEN, FIND, DEVICES, APPS, END, UNLINK, DEVICES, APPS],
  main: END,
  outcome: { state: 'revoked', what: ['sessions', 'refresh_tokens', 'access_tokens'], verified: true },
  repeated: { state: 'none', what: [] },
  reads: [TOKEN, FIND, DEVICES, APPS, END, UNLINK],
  exceptions: { [TOKEN]: { 400: 'auth', 404: 'auth', 410: 'auth' } },
  unknown: {
    'nobody has the address, which is a 200': () => vendor({ found: [NOBODY] }),
    'nobody is answered': () => vendor({ found: [] }),
    'another address is found': () => vendor({ found: [member({ ...PROFILE, email: `x${ACCOUNT}` })] }),
    'the member has gone since': () => vendor({ devices: MEMBER_NOT_FOUND }),
  },
  check: {
    ok: true,
    detail: 'members and sessions can be read; whether they can be ended shows at the first revocation',
  },
});

describe('Dropbox', () => {
  let app: Vendor;
  let calls: Awaited<ReturnType<typeof createCalls>>;
  beforeAll(async () => {
    app = await startVendor();
    calls = await createCalls();
  });
  afterAll(() => Promise.all([app.close(), calls.close()]));

  const revoke = (more = {}) =>
    revokeToTheEnd(dropbox as never, ACCOUNT, dropbox.options.parse(optionsOf(app.url)) as never, () =>
      calls.call(more),
    );
  const called = () => app.requests.map(({ call }) => call);
  const sentTo = (call: string) => app.requests.filter((request) => request.call === call).map(({ json }) => json);

  it('ends each session as what it is, and never deletes a file', async () => {
    app.reset(vendor());
    await revoke();
    expect(sentTo(END)).toEqual([{ revoke_devices: [WEB, DESKTOP, PHONE] }]);
    for (const { body } of app.requests) expect(body).not.toMatch(/delete_on_unlink"\s*:\s*true/);
    expect(app.violations).toEqual([]);
    expect(dropbox.options.safeParse({ ...optionsOf(app.url), delete_on_unlink: true }).success).toBe(false);
  });

  it('unlinks apps alone where sessions are to be left', async () => {
    app.reset(vendor());
    expect(await revoke({ mode: 'refresh-only' })).toEqual({
      state: 'revoked',
      what: ['refresh_tokens', 'access_tokens'],
      verified: true,
    });
    expect(called()).toEqual([TOKEN, FIND, APPS, UNLINK, APPS]);
  });

  it('sends no empty batch, and says that there was nothing', async () => {
    app.reset(vendor({ devices: { json: {} } }));
    expect(await revoke()).toMatchObject({ what: ['refresh_tokens', 'access_tokens'] });
    expect(await revoke()).toEqual({ state: 'none', what: [] });
    expect(called()).not.toContain(END);
  });

  it('says of a retry that sessions have ended too, where an attempt before it had ended them and not the apps', async () => {
    app.reset(vendor());
    app.failAt(UNLINK, (res) => res.writeHead(500).end());
    const options = dropbox.options.parse(optionsOf(app.url));
    await expect(dropbox.revoke(ACCOUNT, options, calls.call())).rejects.toMatchObject({ reason: 'server' });
    app.failAt('', () => {});
    const { what, ...retried } = (await dropbox.revoke(ACCOUNT, options, calls.call({ attempt: 2 }))) as Outcome;
    expect(retried).toEqual({ state: 'revoked', verified: true });
    expect(new Set(what)).toEqual(new Set(['sessions', 'refresh_tokens', 'access_tokens']));
    expect(sentTo(END)).toHaveLength(1);
  });

  it.each(['device_session_not_found', 'member_not_found'])(
    'takes what is gone already for ended [%s]',
    async (error) => {
      app.reset(vendor({ fails: ({ session_id }) => (session_id === WEB.session_id ? error : undefined) }));
      expect(await revoke()).toMatchObject({ state: 'revoked', verified: true });
    },
  );

  it('takes an app that is gone already for unlinked', async () => {
    app.reset(vendor({ fails: ({ app_id }) => (app_id ? 'app_not_found' : undefined) }));
    expect(await revoke()).toMatchObject({ state: 'revoked', verified: true });
  });

  it('is no success where one session stays, and ends the others and the apps all the same', async () => {
    app.reset(vendor({ fails: ({ session_id }) => (session_id === DESKTOP.session_id ? 'other' : undefined) }));
    await expect(revoke()).rejects.toMatchObject({ reason: 'server', message: expect.stringContaining('2 of 3') });
    expect(called()).toEqual([TOKEN, FIND, DEVICES, APPS, END, UNLINK]);
    await expect(revoke()).rejects.toMatchObject({ reason: 'server', message: expect.stringContaining('0 of 1') });
    expect(sentTo(END).at(-1)).toEqual({ revoke_devices: [DESKTOP] });
  });

  it('is no success where one app stays', async () => {
    app.reset(vendor({ fails: ({ app_id }) => (app_id ? 'app_folder_removal_not_supported' : undefined) }));
    await expect(revoke()).rejects.toMatchObject({ reason: 'server', message: expect.stringContaining('0 of 1') });
  });

  it('is no success where the answer has fewer statuses than there were items', async () => {
    app.reset(vendor());
    app.failAt(END, (res) => res.end(JSON.stringify({ revoke_devices_status: [{ success: true }] })));
    await expect(revoke()).rejects.toMatchObject({ reason: 'server', message: expect.stringContaining('1 of 3') });
  });

  it('is no success where sessions come back each time', async () => {
    app.reset(vendor({ undying: true }));
    await expect(revoke()).rejects.toMatchObject({ reason: 'server' });
    expect(called().filter((call) => call === END)).toHaveLength(3);
  });

  it('takes a verified second address for theirs, and no other', async () => {
    const secondary = (is_verified: boolean) =>
      member({ ...PROFILE, email: 'ada@example.org', secondary_emails: [{ email: ACCOUNT, is_verified }] });
    app.reset(vendor({ found: [secondary(true)] }));
    expect(await revoke()).toMatchObject({ state: 'revoked' });
    app.reset(vendor({ found: [secondary(false)] }));
    expect(await revoke()).toMatchObject({ state: 'none' });
  });

  it('calls for nobody where several match', async () => {
    app.reset(vendor({ found: [member(), member({ ...PROFILE, team_member_id: 'dbmid:other' })] }));
    await expect(revoke()).rejects.toMatchObject({ reason: 'refused', retryable: false });
    expect(called()).toEqual([TOKEN, FIND]);
  });

  it.each([
    [400, 'Error in call to API function', 'refused'],
    [401, JSON.stringify({ error_summary: 'missing_scope/', error: { '.tag': 'missing_scope' } }), 'auth'],
    [403, JSON.stringify({ error_summary: 'team_access_denied/', error: { '.tag': 'team_access_denied' } }), 'auth'],
    [409, JSON.stringify({ error_summary: 'other/', error: { '.tag': 'other' } }), 'refused'],
    [429, JSON.stringify({ error: { reason: { '.tag': 'too_many_requests' }, retry_after: 300 } }), 'rate_limited'],
    [503, '', 'server'],
  ])('takes the errors of the description for what they are [%s]', async (status, text, reason) => {
    app.reset(vendor());
    const type = { 'content-type': 'application/json', ...(status === 429 && { 'retry-after': '300' }) };
    app.failAt(DEVICES, (res) => res.writeHead(status, type).end(text));
    await expect(revoke()).rejects.toMatchObject({ reason, retryAfterMs: status === 429 ? 300_000 : undefined });
  });

  it('finds at the check that sessions may not be listed', async () => {
    app.reset(vendor({ devices: { status: 401, json: { error: { '.tag': 'missing_scope' } } } }));
    expect(await dropbox.check(dropbox.options.parse(optionsOf(app.url)), calls.call())).toEqual({
      ok: false,
      problem: expect.stringContaining('list_member_devices'),
    });
  });
});
