/** An app's HTTP API: JSON or forms out, JSON in, each call authorized, each path built from whole segments. */
import type { ZodType } from 'zod';
import type { OutboundRequest, OutboundResponse } from '../outbound/outbound.js';
import { type Call, ConnectorError, type Reason, type Secret } from './connector.js';
import { type Exceptions, request } from './request.js';

/** A path whose variable parts are one segment each. Its template names a call without naming whom it is about. */
export type Path = { template: string; parts: readonly string[]; segments: readonly string[] };

export function path(parts: TemplateStringsArray, ...segments: string[]): Path {
  return { template: parts.join('{}'), parts, segments };
}

type ApiCall = Pick<Call, 'send' | 'signal' | 'now' | 'onRequest'>;

/** The headers that prove who calls. `stale` is there where they were kept from before, and makes them be forgotten. */
export type Authorize = (call: ApiCall) => Proof | Promise<Proof>;
export type Proof = { headers: Record<string, string>; stale?: () => void };

export const bearer =
  (token: Secret, scheme = 'Bearer'): Authorize =>
  () => ({ headers: { authorization: `${scheme} ${token()}` } });

export const basic =
  (user: string, password: Secret): Authorize =>
  () => ({
    headers: { authorization: `Basic ${Buffer.from(`${user}:${password()}`).toString('base64')}` },
  });

export type ApiOptions = {
  /** What every path is appended to: an `apiUrl`. */
  url: string;
  authorize: Authorize;
  headers?: Record<string, string>;
  exceptions?: Exceptions;
  /**
   * Why an answer of 2xx is a failure all the same: a reason, and a word for it that is the connector's own, since what
   * an app writes may name the person; `forbidden` where a 403 would say it.
   */
  refusal?: (body: unknown) => { reason: Reason; word: string; forbidden?: boolean } | undefined;
};

type Message<T> = {
  query?: Readonly<Record<string, string | undefined>>;
  json?: unknown;
  form?: Readonly<Record<string, string>>;
  headers?: Record<string, string>;
  /** The form of the answer; without it the answer is not read. */
  answer?: ZodType<T>;
  exceptions?: Exceptions;
};

type Answer<T> = { status: number; headers: Record<string, string>; data: T };

/** Throws a ConnectorError for every answer but a 2xx of the form that `answer` asks for. */
export type Api = <T = undefined>(
  method: NonNullable<OutboundRequest['method']>,
  path: Path,
  message?: Message<T>,
) => Promise<Answer<T>>;

// A wrong URL must not look as if nobody had an account there: it is a web page, or nothing, that says 404 then.
const unfound = ({ headers }: OutboundResponse): Reason =>
  /\bjson\b/i.test(headers['content-type'] ?? '') ? 'not_found' : 'refused';
const UNFOUND: Exceptions = { 404: unfound, 410: unfound };

export function createApi(connector: string, options: ApiOptions, call: ApiCall): Api {
  const { authorize, refusal } = options;
  const base = options.url.replace(/\/+$/, '');

  return async (method, { template, parts, segments }, message = {}) => {
    const operation = `${connector}: ${method} ${template}`;
    const url = base + join(operation, parts, segments) + queryOf(message.query);
    const body = bodyOf(message);
    const type = contentTypeOf(message);
    const meaning = (status: number) => message.exceptions?.[status] ?? options.exceptions?.[status] ?? UNFOUND[status];

    async function send(again: boolean): Promise<OutboundResponse> {
      const { headers: proof, stale } = await authorize(call);
      const headers = Object.assign({ accept: 'application/json' }, options.headers, type, message.headers, proof);
      try {
        return await request(
          operation,
          url,
          body === undefined ? { method, headers } : { method, headers, body },
          call,
          meaning,
        );
      } catch (error) {
        // A token that was kept may have been taken back, or a permission given since: a new one tells.
        const isRefused = error instanceof ConnectorError && (error.reason === 'auth' || error.forbidden);
        if (again || !stale || !isRefused) throw error;
        stale();
        return send(true);
      }
    }

    const response = await send(false);
    const data = refusal || message.answer ? parse(operation, response.body) : undefined;
    const refused = refusal?.(data);
    if (refused) {
      const { reason, word, forbidden } = refused;
      throw new ConnectorError(reason, `${operation} answered ${response.status}, but ${word}`, { forbidden });
    }
    const read = message.answer?.safeParse(data);
    if (read && !read.success) {
      throw new ConnectorError('server', `${operation} answered ${response.status} in another form than documented`);
    }
    return { status: response.status, headers: response.headers, data: read?.data as never };
  };
}

function join(operation: string, parts: readonly string[], segments: readonly string[]): string {
  return parts.reduce((built, part, index) => {
    const segment = segments[index - 1] ?? '';
    // An id from an app's answer is no better than one from elsewhere.
    if (segment.trim() === '' || /^\.+$/.test(segment)) {
      throw new ConnectorError('refused', `${operation} was not called, since an id in its path is empty`);
    }
    return built + encodeURIComponent(segment) + part;
  });
}

function queryOf(query: Message<unknown>['query']): string {
  if (query === undefined) return '';
  const given = Object.entries(query).filter((pair): pair is [string, string] => pair[1] !== undefined);
  return given.length === 0 ? '' : `?${new URLSearchParams(given)}`;
}

function bodyOf({ json, form }: Message<unknown>): string | undefined {
  if (json !== undefined) return JSON.stringify(json);
  return form && new URLSearchParams(form).toString();
}

const JSON_TYPE = { 'content-type': 'application/json' };
const FORM_TYPE = { 'content-type': 'application/x-www-form-urlencoded' };

function contentTypeOf({ json, form }: Message<unknown>): Record<string, string> | undefined {
  if (json !== undefined) return JSON_TYPE;
  return form && FORM_TYPE;
}

function parse(operation: string, body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    throw new ConnectorError('server', `${operation} answered with what is not JSON`);
  }
}
