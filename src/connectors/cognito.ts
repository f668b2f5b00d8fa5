/** Revokes a person's tokens in a user pool of Amazon Cognito. */
import { AwsV4Signer } from 'aws4fetch';
import { z } from 'zod';
import type { OutboundResponse } from '../outbound/outbound.js';
import { identifier, isSame } from './account.js';
import { apiUrl, type CheckCall, ConnectorError, defineConnector, type Reason, secret } from './connector.js';
import { withUserId } from './look-up.js';
import { request } from './request.js';

const options = z.strictObject({
  userPoolId: z
    .string()
    .regex(/^[a-z]+(-[a-z]+)+-\d+_[0-9A-Za-z]+$/, 'is not the id of a user pool')
    .describe('The id of the user pool, such as eu-central-1_AbCdEf123.'),
  accessKeyId: z.string().min(1).describe('The id of an access key.'),
  secretAccessKey: secret().describe('The secret of that access key.'),
  sessionToken: secret().optional().describe('The session token, where the access key is a temporary one.'),
  accountIs: z
    .enum(['email', 'username'])
    .default('email')
    .describe('What the account is in the pool: the attribute `email`, or the user name, an alias of it or the `sub`.'),
  url: apiUrl.optional().describe('The endpoint, where it is not the public one of the pool’s region.'),
});
type Options = z.output<typeof options>;

const users = z.object({
  Users: z.array(
    z.object({
      Username: z.string().min(1),
      Attributes: z.array(z.object({ Name: z.string(), Value: z.string().optional() })).optional(),
    }),
  ),
  PaginationToken: z.string().nullish(),
});

const MAX_PAGES = 20;

export const cognito = defineConnector({
  name: 'cognito',
  options,
  account: identifier,
  modes: ['full', 'refresh-only'],
  identityProvider: true,
  docs: {
    app: 'Amazon Cognito user pools',
    coverage: 'partial',
    does: 'Finds the user by the attribute `email`, exactly (`ListUsers`), unless `accountIs` is `username`; `AdminUserGlobalSignOut` revokes all refresh tokens of the user, and makes Cognito itself refuse the access and ID tokens. `refresh-only` does the same, since it leaves the cookie of managed login alone anyway.',
    ends: ['refresh_tokens'],
    livesOn:
      'The session cookie of managed login (hosted UI), by which a browser gets new tokens without signing in; access and ID tokens, where an app checks them by itself; AWS credentials that an identity pool gave.',
    lingers:
      'An hour for the cookie; as long as an access or ID token lives, an hour by default; an hour for AWS credentials by default.',
    permission:
      '`cognito-idp:AdminUserGlobalSignOut` and, unless `accountIs` is `username`, `cognito-idp:ListUsers`, on the one pool.',
    credential: [
      'In IAM make a policy that allows these two actions on `arn:aws:cognito-idp:{region}:{account}:userpool/{id}` alone.',
      'Make a user without console access, attach the policy, and create an access key for it.',
      'Set its id and secret as `accessKeyId` and `secretAccessKey`.',
    ],
    rateLimit:
      '25 calls a second in the category UserToken and 30 in UserList by default, for the whole AWS account and region; a 400 with `TooManyRequestsException` beyond.',
    unknown: [
      'Whether the filter of `ListUsers` minds upper and lower case in a pool that does not.',
      'How long `ListUsers`, which is eventually consistent, does not know a new user.',
    ],
    sources: [
      'https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_AdminUserGlobalSignOut.html',
      'https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_ListUsers.html',
      'https://docs.aws.amazon.com/cognito/latest/developerguide/quotas.html',
      'https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/CommonErrors.html',
      'https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html',
    ],
  },

  async revoke(account, options, call) {
    const { userPoolId: UserPoolId, accountIs } = options;
    const find = () => (accountIs === 'username' ? Promise.resolve([account]) : usernamesOf(account, options, call));
    return withUserId({ connector: 'cognito', options, account }, find, async (Username) => {
      await act('AdminUserGlobalSignOut', { UserPoolId, Username }, options, call);
      return {
        state: 'revoked',
        what: ['refresh_tokens'],
        partial: 'the cookie of managed login lives on for up to an hour, and tokens that apps check by themselves',
      };
    });
  },

  async check(options, call) {
    const { body } = await act('ListUsers', { UserPoolId: options.userPoolId, Limit: 1 }, options, call);
    parse(body);
    return { ok: true, detail: 'users can be listed; whether they can be signed out shows at the first revocation' };
  },
});

async function usernamesOf(email: string, options: Options, call: CheckCall): Promise<string[]> {
  const names: string[] = [];
  let PaginationToken: string | undefined;
  for (let page = 0; page < MAX_PAGES; page += 1) {
    const Filter = `email = "${email.replace(/["\\]/g, '\\$&')}"`;
    const { body } = await act('ListUsers', { UserPoolId: options.userPoolId, Filter, PaginationToken }, options, call);
    const found = parse(body);
    for (const { Username, Attributes = [] } of found.Users) {
      if (Attributes.some(({ Name, Value }) => Name === 'email' && isSame(Value, email))) names.push(Username);
    }
    PaginationToken = found.PaginationToken ?? undefined;
    if (PaginationToken === undefined) return names;
  }
  throw new ConnectorError('refused', `cognito: ListUsers for one address fills more than ${MAX_PAGES} pages`);
}

/** One action: all are a POST to the same path, told apart by a header. */
async function act(action: string, input: object, options: Options, call: CheckCall): Promise<OutboundResponse> {
  const { userPoolId, accessKeyId, secretAccessKey, sessionToken } = options;
  const region = userPoolId.slice(0, userPoolId.indexOf('_'));
  const signed = await new AwsV4Signer({
    method: 'POST',
    url: options.url ?? `https://cognito-idp.${region}.amazonaws.com`,
    headers: { 'x-amz-target': `AWSCognitoIdentityProviderService.${action}` },
    body: JSON.stringify(input),
    accessKeyId,
    secretAccessKey: secretAccessKey(),
    ...(sessionToken && { sessionToken: sessionToken() }),
    service: 'cognito-idp',
    region,
    datetime: call
      .now()
      .toISOString()
      .replace(/[:-]|\.\d{3}/g, ''),
  }).sign();
  const { host: _, ...headers } = Object.fromEntries(signed.headers);
  return request(
    `cognito: ${action}`,
    signed.url.href,
    {
      method: 'POST',
      headers: { ...headers, 'content-type': 'application/x-amz-json-1.1' },
      body: String(signed.body),
    },
    call,
    { 400: reasonOf, 404: 'refused', 410: 'refused' },
  );
}

const REASONS: readonly (readonly [RegExp, Reason])[] = [
  [/^UserNotFoundException$/, 'not_found'],
  [/^(TooManyRequestsException|ThrottlingException|LimitExceededException|RequestLimitExceeded)$/, 'rate_limited'],
  [/^(AccessDenied|NotAuthorized|UnrecognizedClient|InvalidSignature|ExpiredToken|IncompleteSignature)/, 'auth'],
  [/^(InvalidClientTokenId|MissingAuthenticationToken|OptInRequired)/, 'auth'],
  [/^(InternalErrorException|ServiceUnavailable)/, 'server'],
];

/** Cognito says everything with a 400 and a word, which may have a namespace before it. */
function reasonOf({ body }: OutboundResponse): Reason {
  const word = /"__type":\s*"(?:[^"#]*#)?(\w+)"/.exec(body)?.[1] ?? '';
  return REASONS.find(([pattern]) => pattern.test(word))?.[1] ?? 'refused';
}

function parse(body: string): z.output<typeof users> {
  try {
    return users.parse(JSON.parse(body));
  } catch {
    throw new ConnectorError('server', 'cognito: ListUsers answered in another form than documented');
  }
}
