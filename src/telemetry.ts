/** OpenTelemetry traces, sent to the OTLP/HTTP receiver that the standard variables name. Loaded only where one is set. */
import { context, ROOT_CONTEXT, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { BatchSpanProcessor, NodeTracerProvider, type SpanProcessor } from '@opentelemetry/sdk-trace-node';
import type { Telemetry } from 'bullmq';
import { BullMQOtel } from 'bullmq-otel';
import type { Request, RequestHandler } from 'express';

const FLUSH_WITHIN_MS = 1_000;

export type Tracing = { queues: Telemetry; traceRequests: RequestHandler; close(): Promise<void> };

/** The SDK reads OTEL_EXPORTER_OTLP_ENDPOINT and its other variables by itself. One for the whole process. */
export function startTelemetry(): Tracing {
  const provider = new NodeTracerProvider({
    resource: resourceFromAttributes({ 'service.name': 'universal-logout' }),
    spanProcessors: [withoutIdling(new BatchSpanProcessor(new OTLPTraceExporter()))],
  });
  provider.register();
  return {
    queues: new BullMQOtel({ tracerName: 'bullmq' }),
    traceRequests,
    /** Sends what is left; where the receiver is away, what is left is lost. */
    async close(): Promise<void> {
      const late = new Promise((resolve) => setTimeout(resolve, FLUSH_WITHIN_MS).unref());
      await Promise.race([provider.shutdown().catch(() => {}), late]);
    },
  };
}

/** BullMQ's workers say each time that they look for a job; nobody needs a trace of that. */
function withoutIdling(processor: SpanProcessor): SpanProcessor {
  return {
    onStart: (span, parent) => processor.onStart(span, parent),
    onEnd(span) {
      if (span.kind !== SpanKind.INTERNAL || span.parentSpanContext) processor.onEnd(span);
    },
    forceFlush: () => processor.forceFlush(),
    shutdown: () => processor.shutdown(),
  };
}

/** Every trace begins here: whoever calls is not believed yet, so neither is its traceparent. */
const traceRequests: RequestHandler = (req, res, next) => {
  const span = trace.getTracer('universal-logout').startSpan(req.method, { kind: SpanKind.SERVER }, ROOT_CONTEXT);
  res.once('close', () => {
    const route = routeOf(req);
    if (route !== undefined) span.updateName(`${req.method} ${route}`).setAttribute('http.route', route);
    span.setAttributes({ 'http.request.method': req.method, 'http.response.status_code': res.statusCode });
    if (res.statusCode >= 500) span.setStatus({ code: SpanStatusCode.ERROR });
    span.end();
  });
  context.with(trace.setSpan(ROOT_CONTEXT, span), next);
};

/** As we wrote it, with placeholders: the path itself is the caller's. */
function routeOf(req: Request): string | undefined {
  const path: unknown = req.route?.path;
  return Array.isArray(path) ? String(path[0]) : typeof path === 'string' ? path : undefined;
}
