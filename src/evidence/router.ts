/** `POST /tenants/{tenant}/apps/{app}/events`: what an app reports by itself. Verified, then read, then kept for a while. */
import { type Request, Router } from 'express';
import type { Audit } from '../audit.js';
import { ConnectorError, type Evidence } from '../connectors/connector.js';
import type { App } from '../fanout/call-app.js';
import type { EvidenceStore } from '../fanout/evidence.js';
import type { Logger } from '../logger.js';
import { orUnavailable } from '../redis.js';
import { readBody } from '../request-body.js';
import { RequestError } from '../request-error.js';

const MAX_BYTES = 16 * 1024;
const PATH = '/tenants/:tenant/apps/:app/events';

export type EvidenceDependencies = {
  apps: readonly App[];
  evidence: EvidenceStore;
  /** Counts a refusal of an address; answers what takes its place where there are too many. */
  refused(address: string): Promise<RequestError | undefined>;
  /** Whether one more refusal is written into the audit trail. */
  audited(): Promise<boolean>;
  audit: Audit;
  logger: Logger;
  now: () => number;
};

export function createEvidenceRouter(dependencies: EvidenceDependencies): Router {
  const { apps, evidence, refused, audited, audit, logger, now } = dependencies;
  const router = Router();

  router.post(PATH, async (req, res) => {
    const app = apps.find(({ tenant, id }) => tenant === req.params.tenant && id === req.params.app);
    try {
      const body = await readBody(req, MAX_BYTES);
      const received = read(app, req, body).filter(isPlain);
      if (app && received.length > 0) await keep(app, received);
      res.status(204).end();
    } catch (error) {
      throw await refusal(error, app, req);
    }
  });

  router.all(PATH, () => {
    throw new RequestError(405, 'method_not_allowed', 'Use POST.', { headers: { allow: 'POST' } });
  });

  /** That there is no such app, that it sends no events and that this one is not from it is the same to a stranger. */
  function read(app: App | undefined, { rawHeaders }: Request, body: Buffer): Evidence[] {
    try {
      if (!app?.connector.receive) throw new ConnectorError('auth', 'events: the app is none that sends any');
      return app.connector.receive({ headers: rawHeaders, body }, app.options, new Date(now()));
    } catch (cause) {
      if (!(cause instanceof ConnectorError)) throw cause;
      if (cause.reason === 'auth') {
        throw new RequestError(401, 'invalid_signature', 'This needs the signature of an app that sends events.', {
          headers: { 'www-authenticate': 'Signature realm="universal-logout-events"' },
          cause,
        });
      }
      throw new RequestError(400, 'malformed_request', 'The event cannot be read.', { cause });
    }
  }

  async function keep(app: App, received: readonly Evidence[]): Promise<void> {
    const facts = { tenant: app.tenant, app: app.id, state: received[0]?.type };
    const added = await orUnavailable(evidence.add({ tenant: app.tenant, app: app.id }, received));
    logger.info({ ...facts, added }, 'evidence.received');
    if (added > 0) note({ event: 'evidence.received', ...facts });
  }

  /** Counts and notes it; answers the error that the caller gets. */
  async function refusal(error: unknown, app: App | undefined, req: Request): Promise<unknown> {
    if (!(error instanceof RequestError)) return error;
    const tooMany = await refused(req.socket.remoteAddress ?? '');
    const { status, reason } = tooMany ?? error;
    // An app that there is not may be called anything.
    const facts = { tenant: app?.tenant ?? '', app: app?.id, status, reason };
    logger.info(facts, 'evidence.refused');
    if (!tooMany && (await audited())) note({ event: 'evidence.refused', ...facts });
    return tooMany ?? error;
  }

  /** What was decided stands whether or not it could be written down, and does not wait for that. */
  function note(entry: Parameters<Audit['record']>[0]): void {
    void audit.record(entry).catch((error: unknown) => logger.error({ error, ...entry }, 'audit'));
  }

  return router;
}

/** Whatever a connector makes of an event: no address, no name and no sentence is kept. */
function isPlain({ about, type, eventId }: Evidence): boolean {
  return [about, type, eventId].every((text) => /^[\w.:-]{1,128}$/.test(text));
}
