/** Revokes the OAuth tokens that a vault holds of a person (RFC 7009). */
import { randomUUID } from 'node:crypto';
import { type ClientAuth, None } from 'openid-client';
import { z } from 'zod';
import type { OutboundResponse } from '../outbound/outbound.js';
import { identifier } from './account.js';
import { createApi } from './api.js';
import {
  appUrl,
  type CheckCall,
  ConnectorError,
  defineConnector,
  NONE,
  secret,
  unlessNotFound,
  type What,
} from './connector.js';
import { at, jsonPointer } from './json-pointer.js';
import { clientSecretGrant, privateKey, privateKeyJwtGrant } from './oauth.js';
import { request } from './request.js';
import { fillPath, headers, sent, splitUrl, urlTemplate } from './template.js';

const options = z
  .strictObject({
    url: appUrl.describe('The revocation endpoint.'),
    clientId: z.string().min(1).describe('The client that the tokens were issued to.'),
    clientSecret: secret().optional().describe('Its secret, where it has one.'),
    authIn: z.enum(['header', 'form']).default('header').describe('Where the secret is sent.'),
    privateKey: privateKey()
      .optional()
      .describe('Its private RSA key in PEM, where it proves itself by `private_key_jwt`.'),
    keyId: z.string().min(1).optional().describe('The `kid` of that key.'),
    audience: z
      .string()
      .min(1)
      .optional()
      .describe("The `aud` of that proof: often the server's issuer; `url` where it is not given."),
    vault: z
      .strictObject({
        url: urlTemplate,
        headers: headers.default({}),
        tokensAt: jsonPointer.default('/tokens'),
      })
      .describe(
        'Where the tokens of an account are: `url` with `{account}` as one segment, `headers` whose values are secrets, and `tokensAt`, the JSON pointer (default `/tokens`) to a list of `{ token, token_type_hint? }`. A KV v2 engine of HashiCorp Vault has it at `/data/data/tokens`.',
      ),
  })
  .refine(({ clientSecret, privateKey }) => !(clientSecret && privateKey), {
    message: 'is one proof too many beside clientSecret',
    path: ['privateKey'],
  });
type Options = z.output<typeof options>;

const tokens = z.array(z.object({ token: z.string().min(1), token_type_hint: z.string().optional() }));
type Token = z.output<typeof tokens>[number];

export const oauthTokenRevocation = defineConnector({
  name: 'oauth-token-revocation',
  options,
  account: identifier,
  modes: ['full', 'refresh-only'],
  docs: {
    app: 'An OAuth 2.0 authorization server, for tokens that you hold',
    coverage: 'partial',
    does: 'Reads the tokens of the account from a vault, and posts each to the revocation endpoint as the client that it was issued to. A token that the server does not know counts as revoked, as the RFC has it; a vault that knows no such account (404) is `none`. A token without a hint counts as a refresh token; `refresh-only` leaves out those whose hint is `access_token`.',
    ends: ['refresh_tokens', 'access_tokens'],
    livesOn: 'Sessions, and tokens that the vault does not hold.',
    lingers: 'Access tokens that are checked by their signature alone live until they expire.',
    permission: 'The client may revoke its own tokens; reading the one path of the vault.',
    credential: [
      "Use the client's own credentials: a server revokes a token only for the client that it was issued to.",
      'Make a token of the vault that may read this path and nothing else.',
    ],
    rateLimit: 'Whatever server and vault answer 429 to.',
    unknown: ['Whether a server that revokes a refresh token revokes the access tokens of the same grant: it should.'],
    sources: [
      'https://www.rfc-editor.org/rfc/rfc7009',
      'https://developer.hashicorp.com/vault/api-docs/secret/kv/kv-v2#read-secret-version',
    ],
  },

  async revoke(account, options, call) {
    const held = await unlessNotFound(read(account, options, call));
    const wanted = held?.filter((one) => call.mode === 'full' || kindOf(one) === 'refresh_tokens') ?? [];
    if (wanted.length === 0) return NONE;

    const what = new Set<What>();
    let unsupported = 0;
    let failed: unknown;
    for (const one of wanted) {
      try {
        if (await revokeToken(one, options, call)) what.add(kindOf(one));
        else unsupported += 1;
      } catch (error) {
        failed ??= error;
        // What the server says of one token is no word about the others.
        if (!(error instanceof ConnectorError) || (error.reason !== 'refused' && error.reason !== 'server')) break;
      }
    }
    if (failed) throw failed;
    if (what.size === 0) {
      throw new ConnectorError('refused', 'oauth-token-revocation: the server revokes no tokens of these types');
    }
    const others = unsupported > 0 ? `, and ${unsupported} of a type that the server does not revoke` : '';
    return {
      state: 'revoked',
      what: [...what],
      partial: `sessions live on, tokens that the vault does not hold${others}`,
    };
  },

  async check(options, call) {
    await unlessNotFound(read(`check-${randomUUID()}`, options, call));
    await revokeToken({ token: randomUUID() }, options, call);
    return { ok: true, detail: 'the vault can be read, and the server took the revocation of a token that never was' };
  },
});

const kindOf = ({ token_type_hint }: Token): What =>
  token_type_hint === 'access_token' ? 'access_tokens' : 'refresh_tokens';

async function read(account: string, { vault }: Options, call: CheckCall): Promise<Token[]> {
  const { origin, path } = splitUrl(vault.url);
  const authorize = async () => ({ headers: sent(vault.headers) });
  const operation = 'oauth-token-revocation: GET of the vault';
  const { path: filled, query } = fillPath(operation, path, { account });
  const exceptions = { 404: unfound, 410: unfound };
  const api = createApi('oauth-token-revocation', { url: origin, authorize, exceptions }, call);
  const { data } = await api('GET', { ...filled, template: 'of the vault' }, { query, answer: z.unknown() });
  const found = tokens.safeParse(at(data, vault.tokensAt));
  // A wrong pointer must not look as if the person had no tokens.
  if (!found.success) throw new ConnectorError('refused', `${operation} has no list of tokens at ${vault.tokensAt}`);
  return found.data;
}

/** A wrong URL must not look like a person without tokens: where nothing is mounted, HashiCorp Vault says so in `errors`. */
const unfound = ({ headers, body }: OutboundResponse) =>
  /\bjson\b/.test(headers['content-type'] ?? '') && !/"errors"\s*:\s*\[\s*"/.test(body) ? 'not_found' : 'refused';

/** False where the server cannot revoke tokens of this type. */
async function revokeToken(held: Token, options: Options, call: CheckCall): Promise<boolean> {
  const { url, clientId } = options;
  const { token, token_type_hint } = held;
  const body = new URLSearchParams({ token, ...(token_type_hint !== undefined && { token_type_hint }) });
  const headers = new Headers({ 'content-type': 'application/x-www-form-urlencoded', accept: 'application/json' });
  const prove = await proofOf(options);
  await prove({ issuer: options.audience ?? url }, { client_id: clientId }, body, headers);
  const message = { method: 'POST', headers: Object.fromEntries(headers), body: body.toString() } as const;
  const operation = 'oauth-token-revocation: POST of a token';
  const { status } = await request(operation, url, message, call, { 400: meaningOf, 404: 'refused', 410: 'refused' });
  return status !== 400;
}

/** RFC 7009 §2.2.1, and RFC 6749 §5.2 for what is about the client. */
function meaningOf({ body }: OutboundResponse) {
  if (/"error"\s*:\s*"unsupported_token_type"/.test(body)) return 'success';
  return /"error"\s*:\s*"(invalid|unauthorized)_client"/.test(body) ? 'auth' : 'refused';
}

async function proofOf(options: Options): Promise<ClientAuth> {
  const { url, clientId, clientSecret, authIn, privateKey, keyId, audience } = options;
  if (privateKey) {
    return (await privateKeyJwtGrant({ tokenUrl: audience ?? url, clientId, privateKey, keyId })).clientAuth;
  }
  return clientSecret
    ? clientSecretGrant({ tokenUrl: url, clientId, clientSecret, secretIn: authIn }).clientAuth
    : None();
}
