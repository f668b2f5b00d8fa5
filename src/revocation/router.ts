/** `POST /global-token-revocation`: authenticate, then parse, then act (draft-parecki-oauth-global-token-revocation). */
import express, { type Request, Router } from 'express';
import type { Audit } from '../audit.js';
import type { Logger } from '../logger.js';
import type { Metrics } from '../metrics.js';
import { RequestError, Unavailable } from '../request-error.js';
import type { Accept } from './accept.js';
import type { Authenticate, Caller } from './authenticate.js';
import type { Limits } from './limits.js';

export type RevocationRouterDependencies = {
  authenticate: Authenticate;
  accept: Accept;
  limits: Limits;
  audit: Audit;
  metrics: Metrics;
  logger: Logger;
  bodyKb: number;
};

export function createRevocationRouter(dependencies: RevocationRouterDependencies): Router {
  const { authenticate, accept, limits, audit, metrics, logger } = dependencies;
  const router = Router();
  // The body is read as bytes, whatever it calls itself: a caller who is not authenticated has nothing parsed.
  const rawBody = express.raw({ type: () => true, limit: dependencies.bodyKb * 1024, inflate: false });
  const paths = ['/global-token-revocation', '/tenants/:tenant/global-token-revocation'];

  router.post(paths, rawBody, async (req, res) => {
    const tenant = tenantOf(req);
    const body = Buffer.isBuffer(req.body) ? req.body : Buffer.alloc(0);
    let caller: Caller | undefined;
    try {
      await limits.checkRefused(addressOf(req));
      caller = await authenticate(tenant, {
        authorization: req.headersDistinct.authorization,
        query: queryOf(req.originalUrl),
      });
      requireJson(req);
      const { revocationId, state } = await accept(caller, body);
      logger.info({ tenant, trust: caller.trust.id, revocationId, state }, 'revocation.accepted');
      metrics.requests.inc({ status: 204 });
      if (state === 'looped') {
        await note({ event: 'revocation.looped', tenant, trust: caller.trust.id, revocationId });
      }
      res.status(204).end();
    } catch (error) {
      refused(req, tenant, caller, error);
      throw error;
    }
  });

  router.all(paths, () => {
    throw new RequestError(405, 'method_not_allowed', 'Use POST.', { headers: { allow: 'POST' } });
  });

  function refused(req: Request, tenant: string, caller: Caller | undefined, error: unknown): void {
    const known = error instanceof RequestError || error instanceof Unavailable;
    const reason = known ? error.reason : 'unexpected';
    const status = error instanceof RequestError ? error.status : error instanceof Unavailable ? 503 : 500;
    metrics.requests.inc({ status });
    metrics.refusals.inc({ reason });
    if (!(error instanceof RequestError)) return;
    if (status !== 429) limits.countRefused(addressOf(req));
    logger.info({ tenant, trust: caller?.trust.id, status, reason }, 'revocation.refused');
    // A refusal stands whether or not it could be written down, and does not wait for that.
    if (status !== 429) void note({ event: 'revocation.refused', tenant, trust: caller?.trust.id, status, reason });
  }

  function note(entry: Parameters<Audit['record']>[0]): Promise<void> {
    return audit.record(entry).catch((error: unknown) => logger.error({ error, ...entry }, 'audit'));
  }

  return router;
}

/** The caller is known by now, so that it can be told what its body lacks. */
function requireJson(req: Request): void {
  const [type, ...parameters] = (req.headers['content-type'] ?? '').toLowerCase().split(';');
  const charset = parameters.map((parameter) => parameter.trim()).find((parameter) => parameter.startsWith('charset='));
  const isUtf8 = charset === undefined || /^charset="?utf-8"?$/.test(charset);
  if (type?.trim() === 'application/json' && isUtf8) return;
  throw new RequestError(415, 'unsupported_media_type', 'Send the body as application/json in UTF-8.', {
    headers: { accept: 'application/json' },
  });
}

function tenantOf(req: Request): string {
  return typeof req.params.tenant === 'string' ? req.params.tenant : 'default';
}

function addressOf(req: Request): string {
  return req.socket.remoteAddress ?? '';
}

function queryOf(url: string): string {
  const mark = url.indexOf('?');
  return mark < 0 ? '' : url.slice(mark + 1);
}
