/** How the stand-in Okta differs from `oidc-provider` as it comes: Okta's paths, its people, no consent, nothing default that warns. */
import { randomBytes } from 'node:crypto';
import type { Configuration } from 'oidc-provider';
import { loginPath, type OktaPerson } from './okta-login.js';
import { escapeHtml, htmlPage } from './page.js';

const SCOPES = 'openid email profile';
const HOUR_SECONDS = 3600;

export function configureOkta(people: OktaPerson[]): Configuration {
  return {
    routes: {
      authorization: '/oauth2/v1/authorize',
      token: '/oauth2/v1/token',
      userinfo: '/oauth2/v1/userinfo',
      jwks: '/oauth2/v1/keys',
    },
    features: { devInteractions: { enabled: false }, rpInitiatedLogout: { enabled: false } },
    interactions: { url: (_ctx, { uid }) => loginPath(uid) },
    // Cookies ignore ports, so every site of the demo sees every other's: each has names of its own.
    cookies: {
      keys: [randomBytes(32).toString('base64url')],
      names: { session: 'okta_session', interaction: 'okta_interaction', resume: 'okta_resume' },
    },
    responseTypes: ['code'],
    pkce: { required: () => true },
    scopes: SCOPES.split(' '),
    claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name'] },
    conformIdTokenClaims: false,
    clientBasedCORS: () => false,
    ttl: {
      AccessToken: HOUR_SECONDS,
      Grant: 24 * HOUR_SECONDS,
      IdToken: HOUR_SECONDS,
      Interaction: HOUR_SECONDS,
      Session: 24 * HOUR_SECONDS,
    },
    findAccount(_ctx, accountId) {
      const person = people.find(({ id }) => id === accountId);
      if (!person) return undefined;
      const { email, name } = person;
      return { accountId, claims: () => ({ sub: accountId, email, email_verified: true, name }) };
    },
    // An administrator assigned the apps, so nobody is asked for consent.
    async loadExistingGrant({ oidc: { provider, client, session, account } }) {
      if (!client || !session || !account) return undefined;
      const grantId = session.grantIdFor(client.clientId);
      if (grantId) return provider.Grant.find(grantId);
      const grant = new provider.Grant({ clientId: client.clientId, accountId: account.accountId });
      grant.addOIDCScope(SCOPES);
      await grant.save();
      return grant;
    },
    renderError(ctx, { error, error_description }) {
      ctx.type = 'html';
      ctx.body = htmlPage('Sign-in failed', `<p>${escapeHtml(error_description ?? error)}</p>`);
    },
  };
}
