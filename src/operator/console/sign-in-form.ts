/** What the sign-in page shows: the way through the issuer, the one with the ADMIN_TOKEN, or what to set for either. */
import { field, type Html, html } from './layout.js';

export type SignInForm = {
  /** What is in the settings: whether there is an ADMIN_TOKEN, and the issuer of `operators.oidc`. */
  ways: { token: boolean; issuer: string | undefined };
  returnTo: string;
  withToken: boolean;
  mistake?: string;
};

export function signInForm({ ways: { token, issuer }, returnTo, withToken, mistake }: SignInForm): Html {
  const path = (to: string, more: Record<string, string> = {}) => `${to}?${new URLSearchParams({ returnTo, ...more })}`;
  if (!token && issuer === undefined) return nothingSet();
  if (token && (withToken || issuer === undefined)) {
    const back = path('/console/sign-in');
    return html`
      ${mistake !== undefined && html`<p role="alert" id="mistake">${mistake}</p>`}
      <form class="stack" method="post" action="/console/sign-in">
        <input type="hidden" name="returnTo" value=${returnTo} />
        ${field('token', 'ADMIN_TOKEN', '', { ...tokenField, ...(mistake !== undefined && mistaken) })}
        <button>Sign in</button>
      </form>
      ${issuer !== undefined && html`<p><a href=${back}>Sign in with ${hostOf(issuer)}</a></p>`}
    `;
  }
  // A link, since a form's action may lead nowhere but here.
  return html`
    <p><a class="button" href=${path('/console/sign-in/oidc')}>Sign in with ${hostOf(issuer ?? '')}</a></p>
    ${token && html`<p class="fine">If it is out of reach: <a href=${path('/console/sign-in', { with: 'token' })}>break glass, with the ADMIN_TOKEN</a></p>`}
  `;
}

const tokenField = { type: 'password', autocomplete: 'current-password', required: true, autofocus: true };
const mistaken = { 'aria-invalid': 'true', 'aria-describedby': 'mistake' };

const nothingSet = (): Html => html`
  <p role="alert">Nobody can sign in yet: neither way in is set.</p>
  <p>Set <code>operators: oidc:</code> in the settings file to let people in through your identity provider, or
    <code>ADMIN_TOKEN</code> in the environment of the gateway, of 20 characters or more; then restart it.</p>
`;

function hostOf(issuer: string): string {
  return URL.canParse(issuer) ? new URL(issuer).host : issuer;
}
