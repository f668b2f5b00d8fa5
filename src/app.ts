/** The Express app: the order of its parts, and the one place that turns errors into responses. */
import type { IncomingMessage } from 'node:http';
import express, {
  type ErrorRequestHandler,
  type Express,
  type Request,
  type RequestHandler,
  type Response,
  type Router,
} from 'express';
import helmet from 'helmet';
import type { Logger } from './logger.js';
import { type Problem, RequestError, Unavailable } from './request-error.js';

export type AppOptions = { problemPage?: ProblemPage; traceRequests?: RequestHandler | undefined };

/** The HTML of a problem, where the request was for a page. */
export type ProblemPage = (problem: Problem, req: Request, res: Response) => string | undefined;

/**
 * Mounts the revocation router, if there is one, then the others in this order; nothing parses a body before a router asks for it.
 * No browser has business with revocations, so they go without the headers that are for browsers.
 */
export function createApp(
  revocation: Router | undefined,
  others: readonly Router[],
  logger: Logger,
  { problemPage, traceRequests }: AppOptions = {},
): Express {
  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');
  app.set('query parser', 'simple');
  if (traceRequests) app.use(traceRequests);
  if (revocation) app.use(revocation);
  app.use(helmet());
  for (const router of others) app.use(router);
  app.use(() => {
    throw new RequestError(404, 'not_found', 'There is nothing here.');
  });
  app.use(answerError(logger, problemPage));
  return app;
}

/** Answers in application/problem+json (RFC 9457) or with a page, with nothing of the failure itself in a 5xx. */
function answerError(logger: Logger, problemPage?: ProblemPage): ErrorRequestHandler {
  return (error: unknown, req, res, next) => {
    if (res.headersSent) return next(error);
    const { status, code, detail, headers } = toProblem(error);
    const title = TITLES[status] ?? 'Error';
    // Keys that cannot be had are told of by whoever fetches them: anybody can send a request that asks for them.
    if (status >= 500 && code !== 'keys_unavailable')
      logger.error({ error, status, code, method: req.method }, 'request.failed');
    // The rest of a body that is refused is not worth reading.
    if (isUnread(req)) res.set('connection', 'close');
    res.set(headers).status(status);
    const page = problemPage?.({ status, title, code, detail }, req, res);
    if (page !== undefined) return res.type('html').send(page);
    res.type('application/problem+json');
    res.send(JSON.stringify({ type: 'about:blank', title, status, code, detail }));
  };
}

function isUnread({ complete, headers }: IncomingMessage): boolean {
  return !complete && (headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0);
}

type Answer = Omit<Problem, 'title'> & { headers: Record<string, string> };

function toProblem(error: unknown): Answer {
  if (error instanceof RequestError) return error;
  if (error instanceof Unavailable) {
    return {
      status: 503,
      code: error.reason,
      detail: 'Something that this gateway depends on is out of reach. Do not take it as done: send it again.',
      headers: { 'retry-after': String(error.retryAfterSeconds) },
    };
  }
  // What Express's body reader and path decoder throw; their messages are for the caller.
  const { status, expose } = error as { status?: unknown; expose?: unknown };
  if (status === 413) {
    return { status, code: 'body_too_large', detail: 'The body is too large.', headers: {} };
  }
  if (status === 415) {
    return { status, code: 'unsupported_media_type', detail: 'Send the body without a content encoding.', headers: {} };
  }
  if (typeof status === 'number' && status >= 400 && status < 500 && (expose ?? true)) {
    return { status, code: 'malformed_request', detail: 'The request cannot be read.', headers: {} };
  }
  return { status: 500, code: 'unexpected', detail: 'The gateway failed.', headers: {} };
}

const TITLES: Record<number, string> = {
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  413: 'Content Too Large',
  415: 'Unsupported Media Type',
  422: 'Unprocessable Content',
  429: 'Too Many Requests',
  500: 'Internal Server Error',
  503: 'Service Unavailable',
};
