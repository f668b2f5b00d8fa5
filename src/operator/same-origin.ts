/** What a browser sends along with its cookies changes something only where one of our own pages asks for it. */
import type { IncomingMessage } from 'node:http';
import { RequestError } from '../request-error.js';

/** Throws RequestError 403. Browsers that send no Sec-Fetch-Site, as over plain http, send the Origin of a POST. */
export function requireSameOrigin({ headers }: IncomingMessage): void {
  const site = headers['sec-fetch-site'];
  if (site === undefined ? isOwn(headers.origin, headers.host) : site === 'same-origin') return;
  throw new RequestError(403, 'cross_site', 'With a cookie this is taken from the pages of the console alone.');
}

function isOwn(origin: string | undefined, host: string | undefined): boolean {
  return origin !== undefined && host !== undefined && URL.canParse(origin) && new URL(origin).host === host;
}
