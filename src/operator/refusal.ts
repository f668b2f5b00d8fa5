/** A refusal at the operators' doors: counted, logged and in the audit trail, as far as strangers may fill either. */
import type { Request } from 'express';
import { type Audit, NO_TENANT } from '../audit.js';
import type { Logger } from '../logger.js';
import type { RequestError } from '../request-error.js';
import { NotAnOperator } from './oidc.js';
import { operatorOf } from './session.js';

export type Refusal = ReturnType<typeof createRefusal>;

export type RefusalDependencies = {
  audit: Audit;
  logger: Logger;
  /** Counts what a stranger asks of us; answers what takes the place of the answer where there is too much of it. */
  refused(address: string): Promise<RequestError | undefined>;
  /** Whether one more refusal is written into the audit trail. */
  audited(): Promise<boolean>;
};

export function createRefusal({ audit, logger, refused, audited }: RefusalDependencies) {
  /** Answers what the caller gets, which is a 429 where a stranger has asked too often. */
  return async function refusal(req: Request, error: RequestError): Promise<RequestError> {
    // Whom the issuer has vouched for is no stranger, and of such there are not many.
    const sub = error instanceof NotAnOperator ? error.sub : undefined;
    const tooMany = sub === undefined ? await refused(req.socket.remoteAddress ?? '') : undefined;
    const { status, reason } = tooMany ?? error;
    const facts = { operator: sub === undefined ? undefined : operatorOf({ by: 'oidc', sub }), status, reason };
    logger.info({ ...facts, detail: error.detail }, 'operator.refused');
    if (sub !== undefined || (!tooMany && (await audited()))) {
      // It stands whether or not it could be written down.
      const entry = { event: 'operator.refused', tenant: NO_TENANT, ...facts } as const;
      void audit.record(entry).catch((cause: unknown) => logger.error({ error: cause }, 'audit'));
    }
    return tooMany ?? error;
  };
}
