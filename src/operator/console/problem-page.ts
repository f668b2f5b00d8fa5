/** What went wrong, as a page of the console: what is wrong, and what can be done. */
import type { Request, Response } from 'express';
import type { Problem } from '../../request-error.js';
import { type Html, html, renderPage } from './layout.js';
import { pathIn } from './sign-in.js';

const ADVICE: Record<string, string> = {
  invalid_token: 'Your session is over, or there never was one.',
  redis_unavailable:
    'Redis is out of reach, or answers too slowly. What was accepted is kept. Load this page again in a moment.',
  issuer_unavailable:
    'The issuer of operators.oidc is out of reach, or is another than the settings say: the log has which. Try again in a moment.',
  unexpected: 'The log of the gateway has what happened.',
};

/** Undefined where the request was not for a page. */
export function problemPage({ status, title, code, detail }: Problem, req: Request, res: Response): string | undefined {
  if (!/^\/console(\/|$)/i.test(req.path)) return undefined;
  const { operator } = res.locals;
  return renderPage(
    { title },
    operator,
    html`<p role="alert">${ADVICE[code] ?? detail}</p><p>${wayOn(status, req, operator)}</p><p class="fine">${status} ${code}</p>`,
  );
}

/** What was only looked at can be asked for again. */
function wayOn(status: number, req: Request, operator: string | undefined): Html {
  const isLook = req.method === 'GET' || req.method === 'HEAD';
  if (status === 503 && isLook) return html`<a href=${pathIn(req.originalUrl)}>Try again</a>`;
  if (operator === undefined) return html`<a href="/console/sign-in">Go to the sign-in page</a>`;
  return html`<a href="/console">Go to the revocations</a>`;
}
