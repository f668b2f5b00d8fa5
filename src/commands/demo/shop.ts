/** A shop that a third party could have written: `better-auth` with Okta for sign-in, and a webhook that ends a user's sessions. */
import { randomBytes } from 'node:crypto';
import { betterAuth } from 'better-auth';
import { memoryAdapter } from 'better-auth/adapters/memory';
import { fromNodeHeaders, toNodeHandler } from 'better-auth/node';
import { genericOAuth } from 'better-auth/plugins';
import express from 'express';
import { listenOnLoopback } from './listen.js';
import { answerError, escapeHtml, htmlPage } from './page.js';
import { createShopWebhook } from './shop-webhook.js';

export async function startShop(options: {
  port: number;
  issuer: string;
  clientId: string;
  clientSecret: string;
  webhookSecret: string;
}) {
  const { server, url, close } = await listenOnLoopback(options.port);
  const auth = betterAuth({
    baseURL: url,
    secret: randomBytes(32).toString('base64url'),
    database: memoryAdapter({ user: [], session: [], account: [], verification: [] }),
    session: { cookieCache: { enabled: false } },
    advanced: { cookiePrefix: 'shop' },
    rateLimit: { enabled: false },
    telemetry: { enabled: false },
    plugins: [
      genericOAuth({
        config: [
          {
            providerId: 'okta',
            discoveryUrl: `${options.issuer}/.well-known/openid-configuration`,
            requireIdTokenVerification: true,
            clientId: options.clientId,
            clientSecret: options.clientSecret,
            authentication: 'basic',
            scopes: ['openid', 'email', 'profile'],
          },
        ],
      }),
    ],
  });
  const emailOf = async (req: express.Request) =>
    (await auth.api.getSession({ headers: fromNodeHeaders(req.headers) }))?.user.email;

  const site = express().disable('x-powered-by');
  site.all('/api/auth/*path', toNodeHandler(auth));

  site.get('/login', async (req, res) => {
    const { headers, response } = await auth.api.signInSocial({
      body: { provider: 'okta', callbackURL: url },
      headers: fromNodeHeaders(req.headers),
      returnHeaders: true,
    });
    if (!response.url) throw new TypeError('better-auth named no page to sign in at');
    res.setHeader('set-cookie', headers.getSetCookie());
    res.redirect(response.url);
  });

  site.get('/', async (req, res) => {
    const email = await emailOf(req);
    res.send(
      htmlPage(
        'Shop',
        email ? `<p>Signed in as ${escapeHtml(email)}.</p>` : '<p>Signed out. <a href="/login">Sign in</a></p>',
      ),
    );
  });

  site.get('/me', async (req, res) => {
    const email = await emailOf(req);
    res.set('cache-control', 'no-store');
    if (email) res.json({ signedIn: true, email });
    else res.status(401).json({ signedIn: false });
  });

  site.post(
    '/hooks/universal-logout',
    createShopWebhook(options.webhookSecret, async (email) => {
      const { internalAdapter } = await auth.$context;
      const found = await internalAdapter.findUserByEmail(email);
      // What better-auth's own revoke-user-sessions route does; called by name it wants an administrator's session.
      if (found) await internalAdapter.deleteUserSessions(found.user.id);
    }),
  );

  site.use(answerError);
  server.on('request', site);
  return {
    url,
    loginUrl: `${url}/login`,
    redirectUri: `${url}/api/auth/callback/okta`,
    webhookUrl: `${url}/hooks/universal-logout`,
    close,
  };
}
