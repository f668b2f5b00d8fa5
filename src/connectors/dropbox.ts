/** Ends a team member's sessions at Dropbox, and unlinks the apps that the member has linked. */
import { z } from 'zod';
import { email, isSame } from './account.js';
import { type Api, createApi, path } from './api.js';
import {
  apiUrl,
  appUrl,
  type CheckCall,
  ConnectorError,
  defineConnector,
  NONE,
  secret,
  type What,
} from './connector.js';
import { withUserId } from './look-up.js';
import { clientSecretGrant, oauth } from './oauth.js';
import { saying } from './request.js';
import { endAll, hasEnded } from './rounds.js';

const options = z.strictObject({
  appKey: z.string().min(1).describe('The key of the scoped app.'),
  appSecret: secret().describe('Its secret.'),
  refreshToken: secret().describe('The refresh token of the team, which the app was given once.'),
  url: apiUrl.default('https://api.dropboxapi.com').describe('Where the API is.'),
  tokenUrl: appUrl.default('https://api.dropboxapi.com/oauth2/token').describe('Where its access tokens come from.'),
});
type Options = z.output<typeof options>;

const profile = z.object({
  team_member_id: z.string(),
  email: z.string(),
  secondary_emails: z.array(z.object({ email: z.string(), is_verified: z.boolean() })).nullish(),
});
const found = z.object({ members_info: z.array(z.object({ profile: profile.optional() })) });
const team = z.object({ members: z.array(z.object({ profile })) });

const sessions = z.array(z.object({ session_id: z.string() })).nullish();
const devices = z.object({
  active_web_sessions: sessions,
  desktop_client_sessions: sessions,
  mobile_client_sessions: sessions,
});
const linkedApps = z.object({ linked_api_apps: z.array(z.object({ app_id: z.string() })) });

const statuses = z.array(z.object({ success: z.boolean(), error_type: z.object({ '.tag': z.string() }).nullish() }));
const endedDevices = z.object({ revoke_devices_status: statuses });
const unlinkedApps = z.object({ revoke_linked_app_status: statuses });

/** What one call of Dropbox ends together. */
type Batch = { items: readonly unknown[]; end: typeof endDevices; ends: readonly What[] };

const TOKENS: readonly What[] = ['refresh_tokens', 'access_tokens'];
const ALL: readonly What[] = ['sessions', ...TOKENS];

export const dropbox = defineConnector({
  name: 'dropbox',
  options,
  account: email,
  modes: ['full', 'refresh-only'],
  docs: {
    app: 'Dropbox Business',
    coverage: 'full',
    does: 'Finds the team member by e-mail address (`members/get_info_v2`), lists the web, desktop and mobile sessions and the linked apps, ends the former (`devices/revoke_device_session_batch`) and unlinks the latter (`linked_apps/revoke_linked_app_batch`), item by item, until both lists are empty. Unlinking a desktop or phone deletes no file: `delete_on_unlink` is always false. `refresh-only` unlinks the apps alone. It acts as the team, so there is no session of its own; apps that are linked to the team, as its own is, are not listed.',
    ends: ['sessions', 'refresh_tokens', 'access_tokens'],
    livesOn: 'Apps that are linked to the whole team, and the files that a desktop or phone has already.',
    lingers: 'No page says how soon a device notices.',
    permission: 'A team-scoped app with `members.read`, `sessions.list` and `sessions.modify`.',
    credential: [
      'In the Dropbox App Console make an app with scoped access.',
      'Give it the scopes `members.read`, `sessions.list` and `sessions.modify`, and no other.',
      'Have a team admin authorize it with `token_access_type=offline`, and exchange the code for a refresh token.',
      'Copy the app key, the app secret and the refresh token.',
    ],
    rateLimit: 'For each authorization, without published figures; 429 with `Retry-After` beyond.',
    unknown: ['How many sessions one batch may have.'],
    sources: [
      'https://www.dropbox.com/developers/documentation/http/teams#team-members-get_info',
      'https://www.dropbox.com/developers/documentation/http/teams#team-devices-list_member_devices',
      'https://www.dropbox.com/developers/documentation/http/teams#team-devices-revoke_device_session_batch',
      'https://www.dropbox.com/developers/documentation/http/teams#team-linked_apps-list_member_linked_apps',
      'https://www.dropbox.com/developers/documentation/http/teams#team-linked_apps-revoke_linked_app_batch',
      'https://github.com/dropbox/dropbox-api-spec/blob/main/team.stone',
      'https://developers.dropbox.com/oauth-guide',
      'https://developers.dropbox.com/dbx-performance-guide',
    ],
  },

  async revoke(account, options, call) {
    const api = apiOf(options, call);

    async function find(): Promise<string[]> {
      const json = { members: [{ '.tag': 'email', email: account }] };
      const { data } = await api('POST', path`/2/team/members/get_info_v2`, { json, answer: found });
      // An address that is nobody's is answered with 200 and an item without a profile.
      return data.members_info.flatMap(({ profile }) =>
        profile && isTheirs(profile, account) ? [profile.team_member_id] : [],
      );
    }

    return withUserId({ connector: 'dropbox', options, account }, find, async (id) => {
      const what = new Set<What>();
      await endAll<Batch>(
        'dropbox: POST of the sessions and apps to end',
        async () => {
          const sessions = call.mode === 'full' ? await listDevices(api, id) : [];
          const apps = await listApps(api, id);
          const batches: Batch[] = [
            { items: sessions, end: endDevices, ends: ['sessions'] },
            { items: apps, end: unlinkApps, ends: TOKENS },
          ];
          return batches.filter(({ items }) => items.length > 0);
        },
        async ({ items, end, ends }) => {
          await end(api, items);
          for (const one of ends) what.add(one);
        },
      );
      if (!hasEnded(what.size, call)) return NONE;
      // Of what an earlier attempt ended nothing is known.
      if (call.attempt > 1) for (const one of call.mode === 'full' ? ALL : TOKENS) what.add(one);
      return { state: 'revoked', what: [...what], verified: true };
    });
  },

  async check(options, call) {
    const api = apiOf(options, call);
    const { data } = await api('POST', path`/2/team/members/list_v2`, { json: { limit: 1 }, answer: team });
    // Asks about a member, and for nothing of theirs: that shows whether sessions may be listed.
    const [member] = data.members;
    if (!member) return { ok: false, problem: 'dropbox: the team has no members' };
    await api('POST', path`/2/team/devices/list_member_devices`, {
      json: { team_member_id: member.profile.team_member_id, ...WITHOUT_ANY },
      answer: devices,
    });
    return {
      ok: true,
      detail: 'members and sessions can be read; whether they can be ended shows at the first revocation',
    };
  },
});

const WITHOUT_ANY = { include_web_sessions: false, include_desktop_clients: false, include_mobile_clients: false };

function isTheirs({ email, secondary_emails }: z.output<typeof profile>, account: string): boolean {
  const others = (secondary_emails ?? []).filter(({ is_verified }) => is_verified);
  return isSame(email, account) || others.some((one) => isSame(one.email, account));
}

async function listDevices(api: Api, team_member_id: string): Promise<unknown[]> {
  const json = { team_member_id };
  const { data } = await api('POST', path`/2/team/devices/list_member_devices`, { json, answer: devices });
  const as =
    (tag: string, more = {}) =>
    (one: { session_id: string }) => ({
      ...{ '.tag': tag, session_id: one.session_id, team_member_id },
      ...more,
    });
  return [
    ...(data.active_web_sessions ?? []).map(as('web_session')),
    // True would delete the files of the account on that machine.
    ...(data.desktop_client_sessions ?? []).map(as('desktop_client', { delete_on_unlink: false })),
    ...(data.mobile_client_sessions ?? []).map(as('mobile_client')),
  ];
}

async function endDevices(api: Api, items: readonly unknown[]): Promise<void> {
  const json = { revoke_devices: items };
  const { data } = await api('POST', path`/2/team/devices/revoke_device_session_batch`, { json, answer: endedDevices });
  expectEnded('sessions', items.length, data.revoke_devices_status);
}

async function listApps(api: Api, team_member_id: string): Promise<unknown[]> {
  const json = { team_member_id };
  const { data } = await api('POST', path`/2/team/linked_apps/list_member_linked_apps`, { json, answer: linkedApps });
  return data.linked_api_apps.map(({ app_id }) => ({ app_id, team_member_id }));
}

async function unlinkApps(api: Api, items: readonly unknown[]): Promise<void> {
  const json = { revoke_linked_app: items };
  const { data } = await api('POST', path`/2/team/linked_apps/revoke_linked_app_batch`, { json, answer: unlinkedApps });
  expectEnded('apps', items.length, data.revoke_linked_app_status);
}

const GONE = ['device_session_not_found', 'app_not_found', 'member_not_found'];

/** The answer has status 200 and one of its own for each item. */
function expectEnded(noun: string, asked: number, answers: z.output<typeof statuses>): void {
  const ended = answers.filter(({ success, error_type }) => success || GONE.includes(error_type?.['.tag'] ?? ''));
  if (ended.length >= asked) return;
  throw new ConnectorError('server', `dropbox: POST of the ${noun} to end: ${ended.length} of ${asked} were ended`);
}

function apiOf(options: Options, call: CheckCall) {
  const { url, tokenUrl, appKey, appSecret, refreshToken } = options;
  const authorize = oauth('dropbox', options, () =>
    clientSecretGrant({
      ...{ tokenUrl, clientId: appKey, clientSecret: appSecret },
      grantType: 'refresh_token',
      parameters: { refresh_token: refreshToken() },
    }),
  );
  const exceptions = {
    404: 'refused',
    409: saying(/"\.tag":\s*"member_not_found"/, 'not_found', 'refused'),
    410: 'refused',
  } as const;
  return createApi('dropbox', { url, authorize, exceptions }, call);
}
