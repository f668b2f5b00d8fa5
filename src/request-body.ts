/** The bytes of a request's body, up to a limit: what lies beyond is never read. */
import type { IncomingMessage } from 'node:http';
import { RequestError } from './request-error.js';

/** Throws a RequestError 413, 415 where the body is compressed, or 400 where it was cut off. */
export async function readBody(req: IncomingMessage, maxBytes: number): Promise<Buffer> {
  const encoding = req.headers['content-encoding'];
  if (encoding !== undefined && encoding.toLowerCase() !== 'identity') {
    throw new RequestError(415, 'unsupported_media_type', 'Send the body without a content encoding.');
  }
  if (Number(req.headers['content-length'] ?? 0) > maxBytes) throw tooLarge();
  const chunks: Buffer[] = [];
  let length = 0;
  try {
    // To leave the loop must not close the connection: the answer goes over it.
    for await (const chunk of req.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      length += chunk.length;
      if (length > maxBytes) throw tooLarge();
      chunks.push(chunk);
    }
  } catch (error) {
    if (error instanceof RequestError) throw error;
    throw new RequestError(400, 'malformed_request', 'The body was cut off.', { reason: 'body_cut_off', cause: error });
  }
  return Buffer.concat(chunks, length);
}

function tooLarge(): RequestError {
  return new RequestError(413, 'body_too_large', 'The body is too large.');
}
