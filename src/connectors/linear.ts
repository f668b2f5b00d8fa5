/** Ends a person's sessions at Linear. */
import { z } from 'zod';
import { email, isSame } from './account.js';
import { createApi, path } from './api.js';
import { apiUrl, type CheckCall, ConnectorError, defineConnector, type Reason, secret } from './connector.js';
import { withUserId } from './look-up.js';
import { expectNone } from './rounds.js';

const options = z.strictObject({
  apiKey: secret().describe('A personal API key (lin_api_…) of an admin or owner of the workspace.'),
  url: apiUrl.default('https://api.linear.app').describe('Where the API is.'),
});
type Options = z.output<typeof options>;

const FIND = `query Find($email: String!) {
  viewer { id }
  users(filter: { email: { eqIgnoreCase: $email } }, includeDisabled: true) { nodes { id email } pageInfo { hasNextPage } }
}`;
const found = z.object({
  viewer: z.object({ id: z.string() }),
  users: z.object({
    nodes: z.array(z.object({ id: z.string(), email: z.string() })),
    pageInfo: z.object({ hasNextPage: z.boolean() }),
  }),
});

// logoutAllSessions, which takes no user, would end the sessions of whoever calls.
const REVOKE = 'mutation Revoke($id: String!) { userRevokeAllSessions(id: $id) { success } }';
const revoked = z.object({ userRevokeAllSessions: z.object({ success: z.literal(true) }) });

const SESSIONS = 'query Sessions($id: String!) { userSessions(id: $id) { id } }';
const sessions = z.object({ userSessions: z.array(z.object({ id: z.string() })) });

const VIEWER = 'query Viewer { viewer { id } }';
const self = z.object({ viewer: z.object({ id: z.string() }) });

export const linear = defineConnector({
  name: 'linear',
  options,
  account: email,
  modes: ['full'],
  docs: {
    app: 'Linear',
    coverage: 'partial',
    does: 'Finds the user of the workspace by e-mail address, which it compares itself, revokes all sessions of that user (`userRevokeAllSessions`), and looks whether any is left (`userSessions`). The user who owns the API key is never signed out.',
    ends: ['sessions'],
    livesOn:
      'Personal API keys of the user, and OAuth apps that the user has authorized: the sessions that Linear lists are those of the web, the desktop and phones.',
    lingers: 'No page says how long a client takes to notice.',
    permission: 'A personal API key with “Admin” permission, of an admin or owner of the workspace.',
    credential: [
      'As an admin of the workspace, best one made for this alone, open Settings, Security & access, Personal API keys.',
      'Make a key with “Read” and “Admin” permission.',
      'Copy it.',
    ],
    rateLimit:
      'With API keys 2,500 requests and 3,000,000 points of complexity an hour for each user, over all keys of that user; beyond, an error with the code “RATELIMITED” and the status 400, and `X-RateLimit-Requests-Reset` tells when the quota is whole again.',
    unknown: ['Whether ending the sessions also ends anything that an OAuth app has been given.'],
    sources: [
      'https://github.com/linear/linear/blob/master/packages/sdk/src/schema.graphql',
      'https://github.com/linear/linear/blob/master/packages/sdk/src/error.ts',
      'https://linear.app/developers/graphql',
      'https://linear.app/developers/filtering',
      'https://linear.app/developers/rate-limiting',
    ],
  },

  async revoke(account, options, call) {
    const ask = askerOf(options, call);
    // An admin may not touch an owner.
    const askAboutOne = askerOf(options, call, 'refused');

    async function find(): Promise<string[]> {
      const { viewer, users } = await ask(FIND, { email: account }, found);
      const ids = users.nodes.filter((user) => isSame(user.email, account)).map(({ id }) => id);
      const refusal = users.pageInfo.hasNextPage
        ? 'more users than fit on a page match the account'
        : ids.includes(viewer.id) && 'the account is the one that the API key belongs to';
      if (refusal) throw new ConnectorError('refused', `linear: not called, since ${refusal}`);
      return ids;
    }

    return withUserId({ connector: 'linear', options, account }, find, async (id) => {
      await askAboutOne(REVOKE, { id }, revoked);
      const { userSessions } = await askAboutOne(SESSIONS, { id }, sessions);
      expectNone('linear: POST for the sessions after the revocation', userSessions);
      return {
        state: 'revoked',
        what: ['sessions'],
        partial: 'API keys of the user and OAuth apps that the user has authorized may live on',
        verified: true,
      };
    });
  },

  async check(options, call) {
    const ask = askerOf(options, call);
    const { viewer } = await ask(VIEWER, {}, self);
    // Even its own sessions are listed for an admin or owner only.
    await ask(SESSIONS, { id: viewer.id }, sessions);
    return { ok: true, detail: 'sessions can be listed; whether they can be ended shows at the first revocation' };
  },
});

/** `extensions.type` of an error, as Linear's own client knows them; those that are not here are Linear's trouble. */
const FAILURES: readonly (readonly [Reason, readonly string[]])[] = [
  ['auth', ['authentication error']],
  ['rate_limited', ['ratelimited']],
  ['refused', ['feature not accessible', 'invalid input', 'user error', 'graphql error', 'usage limit exceeded']],
  ['server', ['network error', 'bootstrap error', 'internal error', 'lock timeout', 'unknown', 'other']],
];

const said = { type: z.string().optional().catch(undefined), code: z.string().optional().catch(undefined) };
const failed = z.object({
  errors: z
    .array(z.object({ message: z.string().catch(''), extensions: z.object(said).nullish().catch(undefined) }))
    .min(1),
});

type Failure = { reason: Reason; word: string; forbidden?: boolean };

function failureOf(body: unknown, forbidden: Reason): Failure | undefined {
  const { data } = failed.safeParse(body);
  if (!data) return undefined;
  const [error] = data.errors;
  if (/^Entity not found/i.test(error?.message ?? '')) return { reason: 'not_found', word: 'the user is not found' };
  const { type: given = '', code } = error?.extensions ?? {};
  // The page of the rate limits speaks of the code alone, and of no type.
  const type = code === 'RATELIMITED' ? 'ratelimited' : given;
  if (type === 'forbidden') return { reason: forbidden, word: type, forbidden: true };
  const reason = FAILURES.find(([, types]) => types.includes(type))?.[0];
  return reason ? { reason, word: type } : { reason: 'server', word: 'with an error of its own' };
}

/** Errors come with status 200, 400 and others; the answer tells more than the status. */
const saidIn =
  (otherwise: Reason, forbidden: Reason) =>
  ({ body }: { body: string }): Reason => {
    try {
      return failureOf(JSON.parse(body), forbidden)?.reason ?? otherwise;
    } catch {
      return otherwise;
    }
  };

/** `forbidden`: what it is where the key may not. */
function askerOf({ url, apiKey }: Options, call: CheckCall, forbidden: Reason = 'auth') {
  const api = createApi(
    'linear',
    {
      url,
      // An API key goes without a scheme; "Bearer" is for OAuth tokens.
      authorize: async () => ({ headers: { authorization: apiKey() } }),
      exceptions: {
        400: saidIn('refused', forbidden),
        403: saidIn(forbidden, forbidden),
        404: 'refused',
        410: 'refused',
        500: saidIn('server', forbidden),
      },
      refusal: (body) => failureOf(body, forbidden),
    },
    call,
  );
  return async <T>(query: string, variables: Record<string, string>, answer: z.ZodType<T>): Promise<T> =>
    (await api('POST', path`/graphql`, { json: { query, variables }, answer: z.object({ data: answer }) })).data.data;
}
