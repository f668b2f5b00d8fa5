/** The plain HTML pages that the demo's sites show. */
import type { ErrorRequestHandler } from 'express';

/** `body` is HTML; whatever a person or another system supplied goes through `escapeHtml` first. */
export function htmlPage(title: string, body: string): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(title)}</title>
<style>
body { font: 1.1rem/1.5 system-ui, sans-serif; max-width: 30rem; margin: 4rem auto; padding: 0 1rem; color-scheme: light dark; }
label, input, button { display: block; font: inherit; }
input { box-sizing: border-box; width: 100%; margin-bottom: 1rem; padding: 0.4rem; }
</style>
</head>
<body>
<main>
<h1>${escapeHtml(title)}</h1>
${body}
</main>
</body>
</html>
`;
}

/** In place of Express's own error page, which shows a stack. */
export const answerError: ErrorRequestHandler = (error: { status?: number }, _req, res, _next) => {
  const status = error.status ?? 500;
  const advice = status < 500 ? 'Please start again at the app.' : 'Something is broken here.';
  res.status(status).send(htmlPage('This did not work', `<p>${advice}</p>`));
};

export function escapeHtml(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
    .replaceAll("'", '&#39;');
}
