/** Every HTTP call that the gateway makes: guarded addresses, no redirects, a deadline, and a cap on the answer. */
import { isIP, type LookupFunction } from 'node:net';
import { Agent, buildConnector, type Dispatcher } from 'undici';
import { createAddressGuard } from './address-guard.js';
import { createLookup } from './lookup.js';

const TIMEOUT_MS = 10_000;
const CONNECT_TIMEOUT_MS = 5_000;
const MAX_RESPONSE_BYTES = 1024 * 1024;
/** As many as `delivery.concurrency` may be: a call that waits for a connection has its deadline run out unsent. */
export const CONNECTIONS_PER_ORIGIN = 1_000;

export type OutboundRequest = {
  method?: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  headers?: Record<string, string>;
  body?: string;
  /** The caller's deadline; without one a call ends after `timeoutMs`. */
  signal?: AbortSignal;
  timeoutMs?: number;
  maxBytes?: number;
};

/** An answer of any status. A redirect arrives as its 3xx: nothing is followed. */
export type OutboundResponse = { status: number; headers: Record<string, string>; body: string };

/** Why no answer came. `message` names the host at most, never a path, a query or a body. */
export class OutboundError extends Error {
  readonly reason: 'refused_address' | 'network' | 'timeout' | 'too_large';
  constructor(reason: OutboundError['reason'], message: string, cause?: unknown) {
    super(message, { cause });
    this.name = 'OutboundError';
    this.reason = reason;
  }
}

export type Outbound = ReturnType<typeof createOutbound>;

/** Outbound calls under one address policy. `allowNetworks` is in CIDR notation. */
export function createOutbound(options: { allowNetworks: readonly string[] }) {
  const refusal = createAddressGuard(options.allowNetworks);
  const connect = guardedConnect(refusal);
  const agent = new Agent({
    connect,
    connections: CONNECTIONS_PER_ORIGIN,
    maxResponseSize: -1,
    allowH2: false,
  });

  // Handed to the dispatcher itself: streams and abort signals of its `request` cost more than the call does.
  function send(url: string, call: OutboundRequest = {}): Promise<OutboundResponse> {
    return new Promise((resolve, reject) => {
      const { signal, timeoutMs = signal ? undefined : TIMEOUT_MS, maxBytes = MAX_RESPONSE_BYTES } = call;
      const chunks: Buffer[] = [];
      let bytes = 0;
      let response: Omit<OutboundResponse, 'body'> | undefined;
      let controller: Dispatcher.DispatchController | undefined;
      let cutOff: Error | undefined;
      const timer = timeoutMs === undefined ? undefined : setTimeout(endInTime, timeoutMs);
      signal?.addEventListener('abort', endInTime);
      if (signal?.aborted) return endInTime();

      function endInTime(): void {
        fail(new OutboundError('timeout', `${hostOf(url)} did not answer in time`, signal?.reason));
      }

      /** Also where the call still waits for a connection, which is then not used for it. */
      function fail(error: unknown): void {
        cutOff = toOutboundError(error, url);
        settle();
        reject(cutOff);
        controller?.abort(cutOff);
      }

      function settle(): void {
        clearTimeout(timer);
        signal?.removeEventListener('abort', endInTime);
      }

      try {
        const { origin, pathname, search } = new URL(url);
        const sent = {
          ...{ origin, path: pathname + search, method: call.method ?? 'GET', body: call.body ?? null },
          // The size cap counts what arrives, so nothing may arrive compressed.
          headers: { 'user-agent': 'universal-logout', 'accept-encoding': 'identity', ...call.headers },
          ...{ headersTimeout: 0, bodyTimeout: 0 },
        };
        agent.dispatch(sent, {
          onRequestStart(started) {
            controller = started;
            if (cutOff) controller.abort(cutOff);
          },
          onResponseStart(_, status, headers) {
            response = { status, headers: flatten(headers) };
          },
          onResponseData(_, chunk) {
            bytes += chunk.length;
            chunks.push(chunk);
            if (bytes > maxBytes) fail(new OutboundError('too_large', `the answer is larger than ${maxBytes} bytes`));
          },
          onResponseEnd() {
            settle();
            if (response) resolve({ ...response, body: Buffer.concat(chunks).toString('utf8') });
          },
          onResponseError: (_, error) => fail(error),
        });
      } catch (error) {
        fail(error);
      }
    });
  }

  /** Connects, guarded as a call is, and says nothing. Rejects with an OutboundError. */
  function reach(url: string): Promise<void> {
    const { protocol, host, hostname, port } = new URL(url);
    return new Promise((resolve, reject) => {
      connect({ protocol, host, hostname: hostname.replace(/^\[|\]$/g, ''), port }, (error, socket) => {
        socket?.destroy();
        if (error) reject(toOutboundError(error, url));
        else resolve();
      });
    });
  }

  return { send, reach, close: () => agent.destroy() };
}

function guardedConnect(refusal: ReturnType<typeof createAddressGuard>): buildConnector.connector {
  const lookUp = createLookup();
  const connectors = { 'http:': connectorFor('http:'), 'https:': connectorFor('https:') };

  function connectorFor(protocol: 'http:' | 'https:') {
    const guardedLookup: LookupFunction = (hostname, options, callback) => {
      lookUp(hostname, (error, addresses) => {
        if (error) return callback(error, []);
        const refused = addresses.map(({ address }) => refusal(address, protocol)).find(Boolean);
        if (refused) return callback(new OutboundError('refused_address', `${hostname}: ${refused}`), []);
        const [first] = addresses;
        if (options.all || !first) return callback(null, addresses);
        return callback(null, first.address, first.family);
      });
    };
    return buildConnector({ timeout: CONNECT_TIMEOUT_MS, lookup: guardedLookup } as buildConnector.BuildOptions);
  }

  return (options, callback) => {
    const protocol = options.protocol === 'http:' ? 'http:' : 'https:';
    // A literal address is never looked up, so it is judged here.
    const literal = options.hostname.replace(/^\[|\]$/g, '');
    const refused = isIP(literal) ? refusal(literal, protocol) : undefined;
    if (refused) return callback(new OutboundError('refused_address', `${literal}: ${refused}`), null);
    return connectors[protocol](options, callback);
  };
}

function flatten(headers: Record<string, string | string[] | undefined>): Record<string, string> {
  const flat: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers)) {
    if (value !== undefined) flat[name] = Array.isArray(value) ? value.join(', ') : value;
  }
  return flat;
}

function hostOf(url: string): string {
  return URL.canParse(url) ? new URL(url).host : 'the configured URL';
}

function toOutboundError(error: unknown, url: string): OutboundError {
  if (error instanceof OutboundError) return error;
  const code = (error as { code?: string }).code ?? (error as { cause?: { code?: string } }).cause?.code;
  if (code === 'UND_ERR_CONNECT_TIMEOUT') {
    return new OutboundError('timeout', `${hostOf(url)} did not answer in time`, error);
  }
  return new OutboundError('network', `${hostOf(url)} cannot be reached (${code ?? 'connection failed'})`, error);
}
