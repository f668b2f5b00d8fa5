/** Asks Box to end a person's sessions, which it does later. */
import { z } from 'zod';
import { email, isSame } from './account.js';
import { createApi, path } from './api.js';
import { apiUrl, appUrl, type CheckCall, ConnectorError, defineConnector, secret } from './connector.js';
import { withUserId } from './look-up.js';
import { clientSecretGrant, oauth } from './oauth.js';
import { notForThisUser } from './request.js';

const options = z.strictObject({
  clientId: z.string().min(1).describe('The client id of the Platform App with client credentials grant.'),
  clientSecret: secret().describe('Its client secret.'),
  subjectType: z
    .enum(['enterprise', 'user'])
    .default('enterprise')
    .describe('Whom it acts as: the service account of the enterprise, or one user who is an admin or co-admin.'),
  subjectId: z.string().min(1).describe('The id of that enterprise or user.'),
  url: apiUrl.default('https://api.box.com').describe('Where the API is.'),
  tokenUrl: appUrl.default('https://api.box.com/oauth2/token').describe('Where its tokens come from.'),
});
type Options = z.output<typeof options>;

const own = z.object({ id: z.string() });
const users = z.object({
  entries: z.array(z.object({ id: z.string(), login: z.string().nullish() })),
  next_marker: z.string().nullish(),
});

const PAGES = 20;
const PER_PAGE = '1000';

export const box = defineConnector({
  name: 'box',
  options,
  account: email,
  modes: ['full'],
  docs: {
    app: 'Box',
    coverage: 'partial',
    does: 'Finds the managed user whose login is the e-mail address, which Box searches by prefix and the connector compares itself, and asks for a job that terminates the sessions (`POST /2.0/users/terminate_sessions`, with the id and the login of that one user). Box answers 202 and no id of the job, so the outcome is “accepted”. The account that the app acts as is never signed out.',
    ends: ['sessions'],
    livesOn:
      'External collaborators, who belong to another enterprise; and perhaps tokens of apps that the user has authorized, of which the page says nothing.',
    lingers: 'Until the job has run: no page says when; the admin events show its end.',
    permission: 'The scope “Manage users”, and the rights of an admin or of a co-admin who manages users.',
    credential: [
      'In the Box Developer Console make a Platform App with server authentication by client credentials grant.',
      'Choose the access level App + Enterprise Access and the scope “Manage users”, and no other.',
      'Have an admin authorize the app in the Admin Console.',
      'Copy the client id, the client secret and the enterprise id.',
    ],
    rateLimit:
      'About 1,000 calls a minute for each user, here the account that the app acts as; 429 with `Retry-After` beyond.',
    unknown: [
      'Which scope the call needs: its page names roles and permissions only.',
      'By which admin event the end of the job is told.',
      'Whether one of the two lists, both of which the description requires, may be empty; so both name the user.',
    ],
    sources: [
      'https://developer.box.com/reference/post-users-terminate-sessions/',
      'https://developer.box.com/reference/get-users/',
      'https://developer.box.com/guides/authentication/client-credentials/',
      'https://developer.box.com/guides/api-calls/permissions-and-errors/rate-limits/',
    ],
  },

  async revoke(account, options, call) {
    const api = apiOf(options, call);

    async function find(): Promise<string[]> {
      const { data: me } = await api('GET', path`/2.0/users/me`, { query: { fields: 'id' }, answer: own });
      const ids: string[] = [];
      let marker: string | undefined;
      for (let page = 0; page < PAGES; page += 1) {
        const query = { filter_term: account, ...MANAGED, limit: PER_PAGE, usemarker: 'true', marker };
        const { data } = await api('GET', path`/2.0/users`, { query, answer: users });
        ids.push(...data.entries.filter(({ login }) => isSame(login, account)).map(({ id }) => id));
        marker = data.next_marker || undefined;
        if (marker === undefined) break;
      }
      const refusal = marker
        ? `more than ${PAGES} pages of users begin like the account`
        : ids.includes(me.id) && 'the account is the one that the app acts as';
      if (refusal) throw new ConnectorError('refused', `box: not called, since ${refusal}`);
      return ids;
    }

    return withUserId({ connector: 'box', options, account }, find, async (id) => {
      await api('POST', path`/2.0/users/terminate_sessions`, {
        json: { user_ids: [id], user_logins: [account] },
        // A co-admin may not touch other admins.
        exceptions: { 403: notForThisUser },
      });
      return {
        state: 'accepted',
        what: ['sessions'],
        partial: 'tokens of apps that the user has authorized may live on',
      };
    });
  },

  async check(options, call) {
    const query = { ...MANAGED, limit: '1' };
    await apiOf(options, call)('GET', path`/2.0/users`, { query, answer: users });
    return { ok: true, detail: 'users can be read; whether sessions can be ended shows at the first revocation' };
  },
});

const MANAGED = { user_type: 'managed', fields: 'id,login' };

function apiOf(options: Options, call: CheckCall) {
  const { url, tokenUrl, clientId, clientSecret, subjectType, subjectId } = options;
  const authorize = oauth('box', options, () =>
    clientSecretGrant({
      ...{ tokenUrl, clientId, clientSecret, secretIn: 'form' },
      parameters: { box_subject_type: subjectType, box_subject_id: subjectId },
    }),
  );
  // A user who was in the list a moment ago is not unknown: a 404 means that the call is.
  return createApi('box', { url, authorize, exceptions: { 404: 'refused', 410: 'refused' } }, call);
}
