/** Operators by OpenID Connect: authorization code with PKCE, state and nonce; whoever is in one of the groups is one. */
import {
  allowInsecureRequests,
  authorizationCodeGrant,
  buildAuthorizationUrl,
  ClientSecretBasic,
  type Configuration,
  calculatePKCECodeChallenge,
  customFetch,
  discovery,
  enableNonRepudiationChecks,
  fetchUserInfo,
  randomNonce,
  randomPKCECodeVerifier,
  randomState,
  WWWAuthenticateChallengeError,
} from 'openid-client';
import { z } from 'zod';
import { type Outbound, OutboundError } from '../outbound/outbound.js';
import { RequestError, Unavailable } from '../request-error.js';
import type { Settings } from '../settings.js';
import type { SignInUnderWay } from './sign-in-cookie.js';

const TIMEOUT_MS = 5_000;
const MAX_BYTES = 512 * 1024;

const groupsClaim = z.array(z.string());

export type Oidc = ReturnType<typeof createOidc>;
type Secrets = Pick<SignInUnderWay, 'state' | 'nonce' | 'codeVerifier'>;
type OidcSettings = NonNullable<Settings['operators']['oidc']>;

export function createOidc(
  { issuer, clientId, clientSecret, groups }: OidcSettings,
  { send, publicUrl }: { send: Outbound['send']; publicUrl: string },
) {
  const redirectUri = `${publicUrl}/console/callback`;
  let discovered: Promise<Configuration> | undefined;

  /** What the issuer says of itself is kept; that it said nothing is not. */
  function configuration(): Promise<Configuration> {
    discovered ??= discover().catch((error: unknown) => {
      discovered = undefined;
      throw new Unavailable('issuer_unavailable', error);
    });
    return discovered;
  }

  async function discover(): Promise<Configuration> {
    const server = new URL(issuer);
    const config = await discovery(server, clientId, undefined, ClientSecretBasic(clientSecret), {
      timeout: TIMEOUT_MS / 1_000,
      // Without it the signature of an ID token that came straight from the issuer would not be looked at. Whether plain
      // http is allowed is the address guard's decision, at connect time.
      execute: [enableNonRepudiationChecks, ...(server.protocol === 'http:' ? [allowInsecureRequests] : [])],
      [customFetch]: async (url, { method, headers, body }) => {
        const response = await send(url, {
          method: method === 'POST' ? 'POST' : 'GET',
          headers: headers as Record<string, string>,
          ...(body != null && { body: String(body) }),
          timeoutMs: TIMEOUT_MS,
          maxBytes: MAX_BYTES,
        });
        if (response.status >= 500) throw new OutboundError('network', `the issuer answered ${response.status}`);
        return new Response(response.body || null, { status: response.status, headers: response.headers });
      },
    });
    const { protocol } = new URL(config.serverMetadata().authorization_endpoint ?? '');
    // That is where browsers are sent.
    if (protocol !== 'https:' && protocol !== server.protocol)
      throw new TypeError('its authorization endpoint is no page');
    return config;
  }

  return {
    issuer,

    /** Where the browser goes, and what has to be known when it comes back. Throws Unavailable. */
    async begin(): Promise<{ url: string } & Secrets> {
      const secrets = { state: randomState(), nonce: randomNonce(), codeVerifier: randomPKCECodeVerifier() };
      const url = buildAuthorizationUrl(await configuration(), {
        redirect_uri: redirectUri,
        scope: 'openid groups',
        code_challenge: await calculatePKCECodeChallenge(secrets.codeVerifier),
        code_challenge_method: 'S256',
        state: secrets.state,
        nonce: secrets.nonce,
      });
      return { url: url.href, ...secrets };
    },

    /** `query`: what the browser brought back. Throws RequestError 403 for who is no operator, and Unavailable. */
    async finish(query: string, begun: Secrets): Promise<{ sub: string }> {
      const config = await configuration();
      const { sub, claimed } = await identify(config, query, begun).catch((error: unknown) => {
        throw refusalOf(error);
      });
      const known = groupsClaim.safeParse(claimed);
      const detail = `An operator is in ${groups.length > 1 ? 'one of the groups' : 'the group'} ${groups.join(', ')}`;
      if (!known.success) {
        const advice = 'the issuer does not say which groups you are in: the app there needs a groups claim';
        throw new NotAnOperator(`${detail}, and ${advice}.`, 'no_groups_claim', sub);
      }
      if (!known.data.some((one) => groups.includes(one))) {
        throw new NotAnOperator(`${detail}, and you are not.`, 'not_in_group', sub);
      }
      return { sub };
    },
  };

  async function identify(config: Configuration, query: string, { state, nonce, codeVerifier }: Secrets) {
    const tokens = await authorizationCodeGrant(config, new URL(`${redirectUri}${query}`), {
      pkceCodeVerifier: codeVerifier,
      expectedState: state,
      expectedNonce: nonce,
      idTokenExpected: true,
    });
    const claims = tokens.claims();
    if (!claims) throw new TypeError('there is no ID token');
    const { sub } = claims;
    // As OpenID Connect Core 1.0 §2 has it; the audit trail would keep whatever it is.
    if (!/^[\x20-\x7e]{1,255}$/.test(sub)) throw new TypeError('the sub is not of 1 to 255 ASCII characters');
    if (claims.groups !== undefined || !config.serverMetadata().userinfo_endpoint) {
      return { sub, claimed: claims.groups };
    }
    // Okta leaves groups out of an ID token that comes together with an access token.
    return { sub, claimed: (await fetchUserInfo(config, tokens.access_token, sub)).groups };
  }
}

/** `sub` is known where the issuer has vouched for the person, who is then only not in a group. */
export class NotAnOperator extends RequestError {
  readonly sub: string | undefined;
  constructor(detail: string, reason: string, sub?: string) {
    super(403, 'not_an_operator', detail, { reason });
    this.sub = sub;
  }
}

/** The library's errors may hold the answer: nothing of them is shown or logged but the one word that says what it is. */
function refusalOf(error: unknown): Error {
  for (let cause: unknown = error; cause instanceof Error; cause = cause.cause) {
    if (cause instanceof OutboundError) return new Unavailable('issuer_unavailable', cause);
  }
  const { error: ofIssuer, code } = error as { error?: unknown; code?: unknown };
  const challenged = error instanceof WWWAuthenticateChallengeError ? error.cause[0]?.parameters.error : undefined;
  const word = /^\w{1,60}$/.exec(String(challenged ?? ofIssuer ?? code))?.[0] ?? 'unknown';
  return new NotAnOperator(`The issuer did not confirm this sign-in (${word}): begin it once more.`, 'not_confirmed');
}
