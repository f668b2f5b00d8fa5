/** One span for each call of an app: which app, the how manyth attempt, and what came of it; nothing of whom or where. */
import { SpanKind, SpanStatusCode, trace } from '@opentelemetry/api';
import type { Outcome, Pending } from '../connectors/connector.js';
import type { FailureReason } from './record.js';

type Facts = { tenant: string; app: string; connector: string; attempt: number };

/** `undefined` is a call that the gateway's stop has cut off. */
type Answer = Outcome | Pending | { reason: FailureReason } | undefined;

/** Costs next to nothing where no traces are configured. */
export function traceCall<A extends Answer>(
  { tenant, app, connector, attempt }: Facts,
  call: () => Promise<A>,
): Promise<A> {
  const attributes = { tenant, app, connector, attempt };
  const options = { kind: SpanKind.CLIENT, attributes };
  return trace.getTracer('universal-logout').startActiveSpan('call app', options, async (span) => {
    try {
      const answer = await call();
      if (answer === undefined) span.setAttribute('result', 'stopped');
      else if ('reason' in answer) {
        span.setAttribute('result', answer.reason).setStatus({ code: SpanStatusCode.ERROR });
      } else span.setAttribute('result', 'pending' in answer ? 'pending' : answer.state);
      return answer;
    } finally {
      span.end();
    }
  });
}
