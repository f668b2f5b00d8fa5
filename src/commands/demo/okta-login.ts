/** The stand-in Okta's own login page: an e-mail address, a password, nothing else. */
import { type Response, Router, urlencoded } from 'express';
import type Provider from 'oidc-provider';
import { escapeHtml, htmlPage } from './page.js';

export type OktaPerson = { id: string; email: string; name: string; password: string };

/** Where `oidc-provider` sends a person who has no session; its interaction cookie is bound to this path. */
export function loginPath(uid: string): string {
  return `/login/${uid}`;
}

export function createOktaLogin(provider: Provider, people: OktaPerson[]) {
  const router = Router();

  router.get(loginPath(':uid'), async (req, res) => {
    const { uid } = await provider.interactionDetails(req, res);
    showForm(res, uid, people);
  });

  router.post(loginPath(':uid'), urlencoded({ extended: false, limit: '4kb' }), async (req, res) => {
    const { uid } = await provider.interactionDetails(req, res);
    const { email, password } = req.body ?? {};
    const person = people.find((each) => each.email === email && each.password === password);
    if (!person) {
      res.status(401);
      showForm(res, uid, people, 'The e-mail address or the password is wrong.');
      return;
    }
    await provider.interactionFinished(req, res, { login: { accountId: person.id } });
  });

  return router;
}

function showForm(res: Response, uid: string, people: OktaPerson[], mistake?: string) {
  const choices = people.map(({ email }) => `<option value="${escapeHtml(email)}">`).join('');
  res.set('cache-control', 'no-store').send(
    htmlPage(
      'Sign in to Okta (a stand-in)',
      `${mistake ? `<p role="alert">${escapeHtml(mistake)}</p>` : ''}
<form method="post" action="${escapeHtml(loginPath(uid))}">
<label for="email">E-mail</label>
<input id="email" name="email" type="email" autocomplete="username" list="people" required autofocus>
<datalist id="people">${choices}</datalist>
<label for="password">Password</label>
<input id="password" name="password" type="password" autocomplete="current-password" required>
<button>Sign in</button>
</form>`,
    ),
  );
}
