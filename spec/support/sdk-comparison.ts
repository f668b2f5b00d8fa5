/** A vendor's own SDK beside our connector: each calls a loopback server, and what both have sent has to be the same. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Connector, Mode } from '../../src/connectors/connector.js';
import { createCalls } from './call.js';
import { revokeToTheEnd } from './connector-contract.js';

export type Sent = {
  /** Method and decoded path, such as `DELETE /users/1/sessions`. */
  call: string;
  query: Readonly<Record<string, string>>;
  /** The headers that prove who calls, or say for whom; a scheme in lower case, since capitals do not matter to it. */
  proof: string | undefined;
  /** Of the body: JSON or a form. */
  type: string | undefined;
  body: Readonly<Record<string, unknown>> | undefined;
};

/** By what is not compared: why. */
type Whys = Readonly<Record<string, string>>;

export type Row = {
  /** The npm package. */
  sdk: string;
  /** Where one connector has several rows: what is particular to this one. */
  way?: string;
  // biome-ignore lint/suspicious/noExplicitAny: each connector has options of its own.
  connector: Connector<any>;
  account: string;
  mode?: Mode;
  options: (url: string) => Record<string, unknown>;
  /** By call: what the app answers, to both. A function is told what was sent, and how often this call was made before. */
  answers: Readonly<Record<string, unknown>>;
  /** Has the SDK make the calls. */
  calls: (url: string) => Promise<unknown>;
  /** Calls that the connector makes and this SDK does not have. */
  unknownToSdk?: Whys;
  /** Members in which the two differ, such as `query.limit` of all calls, or `GET /users query.limit` of one. */
  differs?: Whys;
  /** Where the app takes the same call in several forms: what is the same in all of them. */
  read?: (sent: Sent) => Sent;
  /** Where one request makes several calls. */
  split?: (sent: Sent) => readonly Sent[];
};

export async function compare(row: Row) {
  const ofConnector = await record(row, (url) => revoke(row, url));
  const ofSdk = await record(row, row.calls);

  const { unknownToSdk = {}, differs = {} } = row;
  const known = ofConnector.filter(({ call }) => !(call in unknownToSdk));
  return {
    connector: withoutMembers(known, differs),
    sdk: withoutMembers(ofSdk, differs),
    /** Reasons for what is the same after all, or is not there. */
    idle: [
      ...Object.keys(unknownToSdk).filter((call) => !ofConnector.some((one) => one.call === call)),
      ...Object.keys(unknownToSdk).filter((call) => ofSdk.some((one) => one.call === call)),
      ...Object.keys(differs).filter((member) => {
        const others = Object.fromEntries(Object.entries(differs).filter(([one]) => one !== member));
        return isSame(withoutMembers(known, others), withoutMembers(ofSdk, others));
      }),
    ],
  };
}

async function revoke({ connector, account, mode = 'full', options }: Row, url: string): Promise<void> {
  const calls = await createCalls();
  try {
    const parsed = connector.options.parse(options(url));
    const outcome = await revokeToTheEnd(connector as never, account, parsed as never, () => calls.call({ mode }));
    expect(outcome.state).not.toBe('none');
  } finally {
    await calls.close();
  }
}

const isSame = (one: unknown, other: unknown) => JSON.stringify(one) === JSON.stringify(other);

type Act = (url: string) => Promise<unknown>;

async function record({ answers, read = (sent) => sent, split = (sent) => [sent] }: Row, act: Act): Promise<Sent[]> {
  const all: Sent[] = [];
  const server = createServer(async (req, res) => {
    const chunks: Buffer[] = [];
    for await (const chunk of req) chunks.push(chunk as Buffer);
    const sent = read(sentIn(req.method, req.url, req.headers, Buffer.concat(chunks).toString('utf8')));
    const before = all.filter(({ call }) => call === sent.call).length;
    all.push(sent);
    const answer = answers[sent.call];
    const json = typeof answer === 'function' ? answer(sent, before) : answer;
    res.writeHead(json === undefined ? 501 : 200, { 'content-type': 'application/json' }).end(JSON.stringify(json));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  try {
    await act(url);
  } catch (error) {
    const last = all.at(-1);
    throw new Error(`${error instanceof Error ? error.message : error}, after ${JSON.stringify(last)}`, {
      cause: error,
    });
  } finally {
    server.closeAllConnections();
    await new Promise((closed) => server.close(closed));
  }
  // An audience may be the address itself, which is another one for each.
  return JSON.parse(JSON.stringify(all.flatMap(split)).replaceAll(url, 'https://app.example.com'));
}

function sentIn(
  method: string | undefined,
  target: string | undefined,
  headers: NodeJS.Dict<string | string[]>,
  body: string,
): Sent {
  const url = new URL(target ?? '/', 'http://vendor');
  const path = url.pathname.split('/').map(decodeURIComponent).join('/');
  const proof = PROOFS.filter((name) => headers[name] !== undefined).map(
    (name) => `${name}: ${withPlainScheme(String(headers[name]))}`,
  );
  // An object of nothing is what some SDKs put where there is no body.
  const type = ['', '{}'].includes(body) ? undefined : String(headers['content-type']).replace(/;.*/, '');
  return {
    call: `${method} ${path}`,
    query: Object.fromEntries(url.searchParams),
    proof: proof.join(', ') || undefined,
    type,
    body: type && (type.endsWith('json') ? JSON.parse(body) : Object.fromEntries(new URLSearchParams(body))),
  };
}

const withPlainScheme = (proof: string) => proof.replace(/^\S+(?= )/, (scheme) => scheme.toLowerCase());

const PROOFS = ['authorization', 'private-token', 'x-fusionauth-tenantid'];

/** Each call once, in the order of their names, since the two may list or look up as often as they like. */
function withoutMembers(sent: readonly Sent[], differs: Whys): unknown[] {
  const texts = sent.map((one) => {
    const members = Object.keys(differs).map((member) => member.replace(`${one.call} `, ''));
    const left = Object.entries(one).map(([part, value]) => [part, without(part, value, members)]);
    return JSON.stringify(Object.fromEntries(left), sortKeys);
  });
  return [...new Set(texts)].sort(byText).map((text) => JSON.parse(text));
}

function without(part: string, value: unknown, members: readonly string[]): unknown {
  if (members.includes(part)) return undefined;
  if (typeof value !== 'object' || value === null) return value;
  const left = Object.entries(value).filter(([name]) => !members.includes(`${part}.${name}`));
  return left.length === 0 ? undefined : Object.fromEntries(left);
}

const byText = (one: string, other: string) => (one < other ? -1 : 1);

const sortKeys = (_key: string, value: unknown) =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
    ? Object.fromEntries(Object.entries(value).sort(([one], [other]) => byText(one, other)))
    : value;

/** OAuth takes the credentials of a client in a header or among the parameters, and some apps those in the query. */
export function credentialsAnywhere(sent: Sent): Sent {
  const { call, query, proof = '', type, body } = sent;
  if (!('grant_type' in { ...query, ...body })) return sent;
  const [, basic] = /^authorization: basic (.+)$/.exec(proof) ?? [];
  if (basic === undefined) return { call, query: {}, proof, type, body: { ...query, ...body } };
  const [client_id, client_secret] = Buffer.from(basic, 'base64').toString('utf8').split(':');
  return { call, query: {}, proof: '', type, body: { ...query, ...body, client_id, client_secret } };
}

/** For SDKs that know but their vendor's own addresses: those, by way of the loopback server. */
export const fetchFrom =
  (url: string): typeof fetch =>
  (input, init) => {
    const { pathname, search } = new URL(input instanceof Request ? input.url : input);
    return fetch(`${url}${pathname}${search}`, init);
  };
