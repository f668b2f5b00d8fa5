/** `POST /global-token-revocation`: authenticate, then parse, then act (draft-parecki-oauth-global-token-revocation). */
import { type Request, Router } from 'express';
import type { Audit } from '../audit.js';
import type { Logger } from '../logger.js';
import type { Metrics } from '../metrics.js';
import { readBody } from '../request-body.js';
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
  const paths = ['/global-token-revocation', '/tenants/:tenant/global-token-revocation'];

  router.post(paths, async (req, res) => {
    const tenant = tenantOf(req);
    let caller: Caller | undefined;
    try {
      // As bytes, whatever it calls itself: a caller who is not authenticated has nothing parsed.
      const body = await readBody(req, dependencies.bodyKb * 1024);
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
      throw await refused(req, tenant, caller, error);
    }
  });

  router.all(paths, () => {
    throw new RequestError(405, 'method_not_allowed', 'Use POST.', { headers: { allow: 'POST' } });
  });

  /** Counts and notes a refusal; answers the error that the caller gets. */
  async function refused(req: Request, tenant: string, caller: Caller | undefined, error: unknown): Promise<unknown> {
    // Also where it is an issuer that is out of reach: who has not been authenticated may be anybody.
    const tooMany = caller === undefined ? await limits.refused(addressOf(req)) : undefined;
    const answer = tooMany ?? error;
    const known = answer instanceof RequestError || answer instanceof Unavailable;
    const reason = known ? answer.reason : 'unexpected';
    const status = answer instanceof RequestError ? answer.status : answer instanceof Unavailable ? 503 : 500;
    metrics.requests.inc({ status });
    metrics.refusals.inc({ reason });
    if (answer instanceof RequestError) {
      const facts = { tenant, trust: caller?.trust.id, status, reason };
      logger.info(facts, 'revocation.refused');
      // A flood is not written down, from however many addresses it comes.
      const isAudited = status !== 429 && (caller !== undefined || (await limits.audited()));
      // A refusal stands whether or not it could be written down, and does not wait for that.
      if (isAudited) void note({ event: 'revocation.refused', ...facts });
    }
    return answer;
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

/** What cannot be the id of a tenant names none, and is not written down: it may be anything. */
function tenantOf(req: Request): string {
  const { tenant = 'default' } = req.params;
  return typeof tenant === 'string' && /^[a-z0-9-]{1,40}$/.test(tenant) ? tenant : '';
}

function addressOf(req: Request): string {
  return req.socket.remoteAddress ?? '';
}

function queryOf(url: string): string {
  const mark = url.indexOf('?');
  return mark < 0 ? '' : url.slice(mark + 1);
}
