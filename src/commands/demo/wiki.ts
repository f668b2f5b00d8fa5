/** A wiki that a third party could have written: `express-openid-connect` with its OpenID Connect Back-Channel Logout switched on. */
import { randomBytes } from 'node:crypto';
import express from 'express';
import oidc from 'express-openid-connect';
import { listenOnLoopback } from './listen.js';
import { answerError, escapeHtml, htmlPage } from './page.js';
import { createWikiSessions } from './wiki-sessions.js';

export async function startWiki(options: { port: number; issuer: string; clientId: string; clientSecret: string }) {
  const { server, url, close } = await listenOnLoopback(options.port);
  const sessions = createWikiSessions();
  const site = express().disable('x-powered-by');

  site.use(
    oidc.auth({
      baseURL: url,
      issuerBaseURL: options.issuer,
      clientID: options.clientId,
      clientSecret: options.clientSecret,
      secret: randomBytes(32).toString('base64url'),
      authRequired: false,
      authorizationParams: { response_type: 'code', scope: 'openid email profile' },
      idTokenSigningAlg: 'RS256',
      session: { name: 'wiki_session', store: sessions.store },
      transactionCookie: { name: 'wiki_login' },
      // The sessions themselves end. The default only notes the `sub` until its next login, which brings back to life
      // every session of the person that has not been used in between.
      backchannelLogout: { onLogoutToken: sessions.endAll, isLoggedOut: false, onLogin: false },
      enableTelemetry: false,
    }),
  );

  site.get('/', (req, res) => {
    const email: unknown = req.oidc.user?.email;
    res.send(
      htmlPage(
        'Wiki',
        email
          ? `<p>Signed in as ${escapeHtml(String(email))}. <a href="/logout">Sign out</a></p>`
          : '<p>Signed out. <a href="/login">Sign in</a></p>',
      ),
    );
  });

  site.get('/me', (req, res) => {
    res.set('cache-control', 'no-store');
    if (req.oidc.isAuthenticated()) res.json({ signedIn: true, email: req.oidc.user?.email });
    else res.status(401).json({ signedIn: false });
  });

  site.use(answerError);
  server.on('request', site);
  return {
    url,
    loginUrl: `${url}/login`,
    redirectUri: `${url}/callback`,
    backchannelLogoutUrl: `${url}/backchannel-logout`,
    close,
  };
}
