/** Ends a person's Google Cloud sessions that began by workforce identity federation, and voids what they were issued. */
import { z } from 'zod';
import { identifier } from './account.js';
import { createApi, path } from './api.js';
import {
  apiUrl,
  appUrl,
  type CheckCall,
  ConnectorError,
  defineConnector,
  NONE,
  type Outcome,
  type Pending,
  type Reason,
  unlessNotFound,
} from './connector.js';
import { jwtBearerGrant, oauth, privateKey } from './oauth.js';
import { saying } from './request.js';

const SCOPE = 'https://www.googleapis.com/auth/iam';
const ASK_AGAIN_AFTER_MS = 2_000;

const options = z.strictObject({
  pool: z
    .string()
    .regex(/^[a-z0-9-]+$/, 'is not the id of a workforce pool')
    .describe('The id of the workforce identity pool.'),
  serviceAccount: z.email().describe('The e-mail address of the service account: `client_email` of its key file.'),
  privateKey: privateKey().describe('Its private key: `private_key` of the key file.'),
  keyId: z.string().min(1).optional().describe('The id of that key: `private_key_id` of the key file.'),
  url: apiUrl.default('https://iam.googleapis.com').describe('The IAM API.'),
  tokenUrl: appUrl.default('https://oauth2.googleapis.com/token').describe('Where its tokens come from.'),
});
type Options = z.output<typeof options>;

const operation = z.object({
  name: z
    .string()
    .regex(/\/operations\/[^/]+$/)
    .optional(),
  done: z.boolean().optional(),
  error: z.object({ code: z.number().optional() }).optional(),
});
type Operation = z.output<typeof operation>;

/** What is kept while Google is at work. */
const begun = z.object({ subject: z.string(), operationId: z.string() });

export const googleCloudWorkforce = defineConnector({
  name: 'google-cloud-workforce',
  options,
  account: identifier,
  modes: ['full'],
  docs: {
    app: 'Google Cloud (workforce identity federation)',
    coverage: 'full',
    does: 'Revokes all sessions of the subject of the pool (`POST …/subjects/{subject}:revokeSessions`), with the access tokens and credentials that were issued to it, and asks for the operation until it is done. The account is what the pool maps to `google.subject`.',
    ends: ['sessions', 'access_tokens'],
    livesOn:
      'Keys of service accounts and whatever else the person has made there. Accounts of Google Workspace or Cloud Identity are another connector: google-workspace.',
    lingers: 'Nothing once the operation is done, by what Google says.',
    permission:
      'The permissions `iam.googleapis.com/workforcePoolSubjects.revokeSessions` and `iam.googleapis.com/workforcePools.get`; the role Workforce Pool Admin (`roles/iam.workforcePoolAdmin`) on the pool has both.',
    credential: [
      'In the Google Cloud console enable the IAM API, make a service account and a JSON key for it.',
      'Grant it the role Workforce Pool Admin on the pool, or a custom role of the organization with the two permissions where that is possible.',
      'Copy `client_email`, `private_key` and `private_key_id` from the key file.',
    ],
    rateLimit:
      'The quotas of workforce identity federation, which are those of the organization and not of a project; which of them this call counts against no page says; 429 beyond.',
    unknown: [
      'What is answered for a subject who has never signed in: a 404 with the status `NOT_FOUND` is taken for nothing to do, once the pool itself has been found.',
      'Which permission reading the operation needs.',
      'Whether the answer is an operation, as the reference has it, or `{}`, as the guide has it: that one is recorded as accepted.',
    ],
    sources: [
      'https://docs.cloud.google.com/iam/docs/reference/rest/v1/locations.workforcePools.subjects/revokeSessions',
      'https://docs.cloud.google.com/iam/docs/workforce-revoke-sessions',
      'https://docs.cloud.google.com/iam/quotas',
      'https://docs.cloud.google.com/iam/docs/reference/rest/v1/locations.workforcePools.subjects.operations/get',
      'https://docs.cloud.google.com/iam/docs/reference/rest/v1/locations.workforcePools/get',
      'https://developers.google.com/identity/protocols/oauth2/service-account',
    ],
  },

  async revoke(subject, options, call) {
    const api = apiOf(options, call);
    const answer = await unlessNotFound(
      api('POST', path`/v1/locations/global/workforcePools/${options.pool}/subjects/${subject}:revokeSessions`, {
        answer: operation,
      }),
    );
    if (answer) return outcomeOf(answer.data, subject);
    // A pool that is not there may well say the same.
    await findPool(options, call);
    return NONE;
  },

  async poll(poll, options, call) {
    const { subject, operationId } = begun.parse(poll);
    const { data } = await apiOf(options, call)(
      'GET',
      path`/v1/locations/global/workforcePools/${options.pool}/subjects/${subject}/operations/${operationId}`,
      // That it has been forgotten does not say how it went.
      { answer: operation, exceptions: { 404: 'server', 410: 'server' } },
    );
    return outcomeOf(data, subject);
  },

  async check(options, call) {
    await findPool(options, call);
    return { ok: true, detail: 'the pool can be read; whether sessions can be revoked shows at the first revocation' };
  },
});

// google.rpc.Code, as far as a later call or nobody is concerned.
const REASONS: Record<number, Reason> = { 7: 'auth', 8: 'rate_limited', 16: 'auth' };
const FORBIDDEN = 7;
const NOT_FOUND = 5;
const FAULTS_OF_THE_APP = [1, 2, 4, 10, 13, 14, 15];

function outcomeOf({ name, done, error }: Operation, subject: string): Outcome | Pending {
  const what: Outcome['what'] = ['sessions', 'access_tokens'];
  if (error?.code === NOT_FOUND) return NONE;
  if (error) {
    const { code = 2 } = error;
    const reason = REASONS[code] ?? (FAULTS_OF_THE_APP.includes(code) ? 'server' : 'refused');
    const forbidden = code === FORBIDDEN;
    throw new ConnectorError(reason, `google-cloud-workforce: the operation has failed with code ${code}`, {
      forbidden,
    });
  }
  if (done) return { state: 'revoked', what };
  const operationId = name?.split('/').at(-1);
  if (operationId === undefined) return { state: 'accepted', what };
  return { pending: { poll: { subject, operationId }, afterMs: ASK_AGAIN_AFTER_MS } };
}

async function findPool(options: Options, call: CheckCall): Promise<void> {
  await apiOf(options, call)('GET', path`/v1/locations/global/workforcePools/${options.pool}`, {
    answer: z.object({ name: z.string() }),
    exceptions: { 404: 'refused', 410: 'refused' },
  });
}

function apiOf(options: Options, call: CheckCall) {
  const { serviceAccount: issuer, privateKey, keyId, tokenUrl, url } = options;
  const authorize = oauth('google-cloud-workforce', options, ({ now }) =>
    jwtBearerGrant({ tokenUrl, issuer, claims: { scope: SCOPE }, privateKey, keyId }, now()),
  );
  const exceptions = { 404: saying(/"status":\s*"NOT_FOUND"/, 'not_found', 'refused') };
  return createApi('google-cloud-workforce', { url, authorize, exceptions }, call);
}
