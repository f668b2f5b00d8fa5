/** What a browser sends along with its cookies changes something only where one of our own pages asks for it. */
import type { IncomingMessage } from 'node:http';
import { RequestError } from '../request-error.js';

export type RequireSameOrigin = (req: IncomingMessage) => void;

/** Browsers that send no Sec-Fetch-Site, as over plain http, send the Origin of a POST. Host is what anybody says. */
export function createRequireSameOrigin(publicUrl: string): RequireSameOrigin {
  const { origin } = new URL(publicUrl);
  /** Throws RequestError 403. */
  return ({ headers }) => {
    const site = headers['sec-fetch-site'];
    if (site === undefined ? headers.origin === origin : site === 'same-origin') return;
    throw new RequestError(403, 'cross_site', 'With a cookie this is taken from the pages of the console alone.');
  };
}
