/** Every HTTP call that the gateway makes: guarded addresses, no redirects, a deadline, and a cap on the answer. */
import { lookup } from 'node:dns';
import { isIP, type LookupFunction } from 'node:net';
import { Agent, buildConnector, request } from 'undici';
import { createAddressGuard } from './address-guard.js';

const CONNECT_TIMEOUT_MS = 5_000;
const MAX_RESPONSE_BYTES = 1024 * 1024;
const CONNECTIONS_PER_ORIGIN = 64;

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
  const agent = new Agent({
    connect: guardedConnect(refusal),
    connections: CONNECTIONS_PER_ORIGIN,
    maxResponseSize: -1,
    allowH2: false,
  });

  async function send(url: string, call: OutboundRequest = {}): Promise<OutboundResponse> {
    const deadline = AbortSignal.timeout(call.timeoutMs ?? 10_000);
    const signal = call.signal ? AbortSignal.any([call.signal, deadline]) : deadline;
    try {
      const response = await request(url, {
        method: call.method ?? 'GET',
        // The size cap counts what arrives, so nothing may arrive compressed.
        headers: { 'user-agent': 'universal-logout', 'accept-encoding': 'identity', ...call.headers },
        ...(call.body !== undefined && { body: call.body }),
        dispatcher: agent,
        signal,
        headersTimeout: 0,
        bodyTimeout: 0,
      });
      const body = await readBody(response.body, call.maxBytes ?? MAX_RESPONSE_BYTES);
      return { status: response.statusCode, headers: flatten(response.headers), body };
    } catch (error) {
      throw toOutboundError(error, signal, url);
    }
  }

  return { send, close: () => agent.destroy() };
}

function guardedConnect(refusal: ReturnType<typeof createAddressGuard>): buildConnector.connector {
  const connectors = { 'http:': connectorFor('http:'), 'https:': connectorFor('https:') };

  function connectorFor(protocol: 'http:' | 'https:') {
    const guardedLookup: LookupFunction = (hostname, options, callback) => {
      lookup(hostname, { ...options, all: true }, (error, addresses) => {
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

async function readBody(body: AsyncIterable<Buffer> & { destroy(): unknown }, maxBytes: number): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of body) {
    bytes += chunk.length;
    if (bytes > maxBytes) {
      body.destroy();
      throw new OutboundError('too_large', `the answer is larger than ${maxBytes} bytes`);
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function flatten(headers: Record<string, string | string[] | undefined>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers).flatMap(([name, value]) =>
      value === undefined ? [] : [[name, Array.isArray(value) ? value.join(', ') : value]],
    ),
  );
}

function toOutboundError(error: unknown, signal: AbortSignal, url: string): OutboundError {
  if (error instanceof OutboundError) return error;
  const host = URL.canParse(url) ? new URL(url).host : 'the configured URL';
  const code = (error as { code?: string }).code ?? (error as { cause?: { code?: string } }).cause?.code;
  if (signal.aborted || code === 'UND_ERR_CONNECT_TIMEOUT') {
    return new OutboundError('timeout', `${host} did not answer in time`, error);
  }
  return new OutboundError('network', `${host} cannot be reached (${code ?? 'connection failed'})`, error);
}
