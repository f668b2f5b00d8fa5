/** An OpenID provider that operators sign in at: `oidc-provider` with one person, whose groups and ID token a spec decides. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { decodeJwt, exportJWK, generateKeyPair, type JWTPayload, SignJWT } from 'jose';
import { Provider } from 'oidc-provider/lib/provider.js';
import { createOktaStorage } from '../../src/commands/demo/okta-storage.js';

export const CONSOLE_CLIENT = { clientId: '0oa9console', clientSecret: 'a-secret-of-the-console' };
const SCOPES = ['openid', 'groups'];

/** `redirectUri` is the one that is registered. */
export async function startOperatorsIssuer(redirectUri: string) {
  const state = {
    sub: '00u1operator',
    groups: ['SecOps'] as unknown,
    /** What becomes of the claims of an ID token before it is signed anew. */
    claims: (claims: JWTPayload): JWTPayload => claims,
    signsWithAnotherKey: false,
    isAway: false,
    requests: [] as string[],
  };
  const { privateKey } = await generateKeyPair('RS256', { extractable: true });
  const another = await generateKeyPair('RS256', { extractable: true });
  const jwk = { ...(await exportJWK(privateKey)), kid: 'issuer-1', alg: 'RS256', use: 'sig' };
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

  const provider = new Provider(issuer, {
    adapter: createOktaStorage().adapter,
    clients: [
      {
        client_id: CONSOLE_CLIENT.clientId,
        client_secret: CONSOLE_CLIENT.clientSecret,
        redirect_uris: [redirectUri],
      },
    ],
    jwks: { keys: [jwk] },
    features: { devInteractions: { enabled: false } },
    interactions: { url: (_ctx, { uid }) => `/login/${uid}` },
    cookies: { keys: ['a-key-of-the-specs'] },
    pkce: { required: () => true },
    scopes: SCOPES,
    claims: { openid: ['sub'], groups: ['groups'] },
    conformIdTokenClaims: false,
    // Who signs in once more, in another tab, does not undo the first.
    expiresWithSession: () => false,
    ttl: { AccessToken: 600, Grant: 600, IdToken: 600, Interaction: 600, Session: 600, AuthorizationCode: 60 },
    findAccount: (_ctx, accountId) => ({
      accountId,
      claims: () => ({ sub: accountId, ...(state.groups !== undefined && { groups: state.groups }) }),
    }),
    async loadExistingGrant({ oidc: { provider: own, client, session, account } }) {
      if (!client || !session || !account) return undefined;
      const grant = new own.Grant({ clientId: client.clientId, accountId: account.accountId });
      grant.addOIDCScope(SCOPES.join(' '));
      await grant.save();
      return grant;
    },
  });
  provider.use(async (ctx, next) => {
    await next();
    const body = ctx.body as { id_token?: string };
    if (ctx.oidc?.route !== 'token' || body.id_token === undefined) return;
    const claims = state.claims(decodeJwt(body.id_token));
    const key = state.signsWithAnotherKey ? another.privateKey : privateKey;
    body.id_token = await new SignJWT(claims).setProtectedHeader({ alg: 'RS256', kid: jwk.kid }).sign(key);
  });

  const answer = provider.callback();
  server.on('request', (req, res) => {
    state.requests.push(`${req.method} ${req.url?.split('?')[0]}`);
    if (state.isAway) return void res.writeHead(503).end();
    if (!req.url?.startsWith('/login/')) return answer(req, res);
    // Whoever comes is signed in.
    return void provider.interactionFinished(req, res, { login: { accountId: state.sub } });
  });

  return {
    issuer,
    state,
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
