/** A vendor's API as its pages describe it: a real HTTP server that knows these calls, in this form, and no others. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { equals, iterableEquality } from '@jest/expect-utils';

export type VendorRequest = {
  /** The route that it met, such as `DELETE /users/{}/sessions`. */
  call: string;
  /** What stands where the route has `{}`, decoded. */
  segments: string[];
  query: Record<string, string>;
  headers: Record<string, string>;
  body: string;
  /** The body, where it is JSON. */
  json: unknown;
  /** The body, where it is a form. */
  form: Record<string, string>;
};

export type VendorAnswer = { status?: number; headers?: Record<string, string>; json?: unknown; text?: string };

/**
 * What a request has to look like, to the letter: asymmetric matchers of jest may stand in it. Headers that are not
 * named here, and that no HTTP client sends by itself, are a violation; so are a query and a body.
 */
export type Expects = {
  headers?: Record<string, unknown>;
  query?: Record<string, unknown>;
  json?: unknown;
  form?: Record<string, unknown>;
  text?: unknown;
};

/** One documented call. */
export type Route = {
  /** Method and path; `{}` is one segment. */
  call: string;
  /** One of these, where the same call is made in several forms. */
  expects: Expects | readonly Expects[];
  answer(request: VendorRequest): VendorAnswer;
  /** A POST that changes nothing at the vendor, or gives a token. */
  changesNothing?: true;
};

/** What is done instead of the answer of one route. */
export type Fault = (
  res: import('node:http').ServerResponse,
  request: VendorRequest,
  usual: () => VendorAnswer,
) => void;

const OF_THE_CLIENT = ['host', 'connection', 'user-agent', 'accept', 'accept-encoding', 'content-length'];

export type Vendor = Awaited<ReturnType<typeof startVendor>>;

export async function startVendor(initial: readonly Route[] = []) {
  let routes = initial;
  let fault: { call: string; act: Fault } | undefined;
  const requests: VendorRequest[] = [];
  const violations: string[] = [];

  const server = createServer(async (req, res) => {
    const chunks: Buffer[] = [];
    for await (const chunk of req) chunks.push(chunk as Buffer);
    const body = Buffer.concat(chunks).toString('utf8');
    const url = new URL(req.url ?? '/', 'http://vendor');
    const headers = Object.fromEntries(Object.entries(req.headers).map(([name, value]) => [name, String(value)]));
    const found = routes.flatMap((route) => {
      const segments = match(route.call, req.method ?? '', url.pathname);
      return segments ? [{ route, segments }] : [];
    })[0];
    const type = headers['content-type'] ?? '';
    const request: VendorRequest = {
      call: found?.route.call ?? `${req.method} ${url.pathname}`,
      segments: found?.segments ?? [],
      query: Object.fromEntries(url.searchParams),
      headers,
      body,
      json: /json/.test(type) && body !== '' ? JSON.parse(body) : undefined,
      form: type.startsWith('application/x-www-form-urlencoded') ? Object.fromEntries(new URLSearchParams(body)) : {},
    };
    requests.push(request);
    if (!found) {
      violations.push(`${request.call} is not documented`);
      res.writeHead(501).end();
      return;
    }
    check(found.route, request);
    const usual = () => found.route.answer(request);
    if (fault?.call === found.route.call) fault.act(res, request, usual);
    else give(res, usual());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));

  function check({ call, expects }: Route, request: VendorRequest): void {
    const alternatives: readonly Expects[] =
      'length' in expects ? (expects as readonly Expects[]) : [expects as Expects];
    if (alternatives.some((one) => fits(request, one))) return;
    violations.push(`${call}: ${alternatives.map((one) => problemOf(request, one)).join('; or: ')}`);
  }

  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    /** Every request since the last reset. */
    requests,
    /** What was sent that the pages do not have. */
    violations,
    reset(fresh: readonly Route[]) {
      routes = fresh;
      fault = undefined;
      requests.length = 0;
      violations.length = 0;
    },
    failAt(call: string, act: Fault) {
      fault = { call, act };
    },
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** By name, what a request is and what it has to be. */
function comparisons(request: VendorRequest, { headers = {}, query = {}, json, form, text }: Expects) {
  const isUsual = (name: string) => OF_THE_CLIENT.includes(name) || (name === 'content-type' && request.body !== '');
  const named = Object.entries(request.headers).filter(([name]) => name in headers || !isUsual(name));
  const bodies: [unknown, unknown][] = [];
  if (json !== undefined) bodies.push([request.json, json]);
  else if (form !== undefined) bodies.push([request.form, form]);
  else bodies.push([request.body, text ?? '']);
  return [[Object.fromEntries(named), headers] as const, [request.query, query] as const, ...bodies];
}

/** The same as of what `expect` says, which costs more than the request. */
function fits(request: VendorRequest, expects: Expects): boolean {
  return comparisons(request, expects).every(([is, has]) => equals(is, has, [iterableEquality]));
}

function problemOf(request: VendorRequest, expects: Expects): string | undefined {
  try {
    for (const [is, has] of comparisons(request, expects)) expect(is).toEqual(has);
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

/** Writes an answer; of a status that has no body, none. */
export function give(res: import('node:http').ServerResponse, { status = 200, headers, json, text }: VendorAnswer) {
  const body = json === undefined ? text : JSON.stringify(json);
  const type = json === undefined ? {} : { 'content-type': 'application/json' };
  res.writeHead(status, { ...type, ...headers }).end([204, 205, 304].includes(status) ? undefined : body);
}

function match(call: string, method: string, pathname: string): string[] | undefined {
  const [wantedMethod = '', wantedPath = ''] = call.split(' ');
  if (method !== wantedMethod) return undefined;
  const [wanted, got] = [wantedPath.split('/'), pathname.split('/')];
  if (wanted.length !== got.length) return undefined;
  const segments: string[] = [];
  for (const [index, part] of wanted.entries()) {
    const [before = '', after] = part.split('{}');
    const text = decodeURIComponent(got[index] ?? '');
    if (after === undefined) {
      if (part !== text) return undefined;
    } else {
      if (!text.startsWith(before) || !text.endsWith(after) || text.length <= before.length + after.length)
        return undefined;
      segments.push(text.slice(before.length, text.length - after.length));
    }
  }
  return segments;
}
