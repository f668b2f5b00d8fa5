/** The log: one JSON line an event, on standard output. Headers, bodies and accounts are never handed to it. */
import { type Logger, pino, stdSerializers } from 'pino';

export type { Logger } from 'pino';

export function createLogger(level: string): Logger {
  const options = {
    ...{ level, base: null, timestamp: pino.stdTimeFunctions.isoTime },
    serializers: { error: serializeError },
  };
  // Lines that come while one is written go out with the next; whatever is left goes out when the process exits.
  return pino(options, pino.destination({ dest: 1, sync: false }));
}

/** An error as its class, message, stack and causes; fields that libraries hang on errors may hold requests. */
function serializeError(error: unknown): unknown {
  if (!(error instanceof Error)) return { message: String(error) };
  const { type, message, stack } = stdSerializers.err(error);
  const code = (error as { code?: unknown }).code;
  return {
    type,
    message,
    ...(typeof code === 'string' && { code }),
    stack,
  };
}
