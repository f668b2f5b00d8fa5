/** A stand-in for Okta made of `oidc-provider`: people sign in to apps through it, and it signs revocation JWTs as Okta does. */
import { randomUUID } from 'node:crypto';
import express from 'express';
import { calculateJwkThumbprint, exportJWK, generateKeyPair, type JWK, SignJWT } from 'jose';
import { Provider } from 'oidc-provider/lib/provider.js';
import { listenOnLoopback } from './listen.js';
import { configureOkta } from './okta-configuration.js';
import { createOktaLogin, type OktaPerson } from './okta-login.js';
import { createOktaStorage } from './okta-storage.js';
import { answerError } from './page.js';

export type OktaApp = { clientId: string; clientSecret: string; redirectUris: string[] };

const JWT_LIFE_SECONDS = 300;

export async function startOkta(options: {
  port: number;
  apps: OktaApp[];
  people: OktaPerson[];
  /** Published among the provider's own keys, so that its relying parties accept what the gateway signs in its name. */
  gatewayJwks: () => Promise<{ keys: JWK[] }>;
}) {
  const { people, gatewayJwks } = options;
  const signing = await createSigningKey();
  const { server, url: issuer, close } = await listenOnLoopback(options.port);
  const { adapter, clearSessions } = createOktaStorage();
  const provider = new Provider(issuer, { ...configureOkta(people), adapter, jwks: { keys: [signing.jwk] } });

  provider.use(async (ctx, next) => {
    await next();
    if (ctx.oidc?.route !== 'jwks') return;
    const own = ctx.body as { keys: JWK[] };
    // The gateway reads this very page when it starts; while it cannot be asked, the provider's keys still must be there.
    const gateway = await gatewayJwks().catch(() => ({ keys: [] }));
    // A new body: the old one holds the provider's live list, which would grow with every request.
    ctx.body = { keys: [...own.keys, ...gateway.keys] };
  });

  /** Registers an app, as an administrator does, or changes it. */
  async function addApp({ clientId, clientSecret, redirectUris }: OktaApp): Promise<void> {
    await adapter('Client').upsert(clientId, {
      client_id: clientId,
      client_secret: clientSecret,
      redirect_uris: redirectUris,
    });
  }
  for (const app of options.apps) await addApp(app);

  const site = express().disable('x-powered-by');
  site.use(createOktaLogin(provider, people), provider.callback(), answerError);
  server.on('request', site);

  return {
    issuer,
    jwksUri: provider.urlFor('jwks'),
    close,
    addApp,
    /** What Okta itself ends when an administrator clears a person's sessions; telling the apps is `signRevocation`'s part. */
    clearSessions,
    /** The JWT of one revocation request, in Okta's documented profile. */
    async signRevocation({ audience, client }: { audience: string; client: string }): Promise<string> {
      const now = Math.floor(Date.now() / 1000);
      return new SignJWT({
        jti: randomUUID(),
        iss: issuer,
        sub: client,
        aud: audience,
        exp: now + JWT_LIFE_SECONDS,
        nbf: now - JWT_LIFE_SECONDS,
        iat: now,
      })
        .setProtectedHeader({ typ: 'global-token-revocation+jwt', alg: 'RS256', kid: signing.kid })
        .sign(signing.privateKey);
    },
  };
}

async function createSigningKey() {
  const { privateKey } = await generateKeyPair('RS256', { extractable: true });
  const jwk = await exportJWK(privateKey);
  const kid = await calculateJwkThumbprint(jwk);
  return { privateKey, kid, jwk: { ...jwk, kid, alg: 'RS256', use: 'sig' } };
}
