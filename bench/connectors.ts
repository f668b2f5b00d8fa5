/**
 * Usage: npx tsx bench/connectors.ts [--calls 2000] [--rounds 7] [--concurrency 10]
 * CPU time of a connector's call beside a bare undici call with the same method, path, headers and body to the same local
 * server, in turns in one process; the server is another one.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Agent, request } from 'undici';
import type { Call, Connector } from '../src/connectors/connector.js';
import type { OutboundRequest } from '../src/outbound/outbound.js';
import { keep, temporaryDirectory } from './support/children.js';
import { writeFigures } from './support/figure.js';
import { build } from './support/gateway.js';
import { describeMachine } from './support/machine.js';
import { median, table } from './support/statistics.js';

const TARGET = 1.25;
const ACCOUNT = 'ada@example.com';
const ADDRESS = fileURLToPath(import.meta.url);

if (process.send) serve();
else await measure();

/** The apps: each answers at once what lets the connector go on. */
function serve(): void {
  const server = createServer((req, res) => {
    req.resume().on('end', () => {
      res.setHeader('content-type', 'application/json');
      if (req.url?.startsWith('/oauth/token')) res.end('{"access_token":"t","token_type":"bearer","expires_in":36000}');
      else if (req.method === 'DELETE') res.writeHead(204).end();
      else res.end('{"status":"revoked"}');
    });
  }).listen(0, '127.0.0.1', () => process.send?.((server.address() as AddressInfo).port));
  process.once('disconnect', () => process.exit(0));
}

async function measure(): Promise<void> {
  const { values: options } = parseArgs({
    options: {
      calls: { type: 'string', default: '2000' },
      rounds: { type: 'string', default: '7' },
      concurrency: { type: 'string', default: '10' },
    },
  });
  const [calls, rounds, concurrency] = [Number(options.calls), Number(options.rounds), Number(options.concurrency)];
  const app = keep(fork(ADDRESS, { execArgv: process.execArgv })) as ChildProcess;
  const [port] = (await once(app, 'message')) as [number];
  const url = `http://127.0.0.1:${port}`;
  console.log(describeMachine('no Redis'));

  // As it runs, not as it is loaded for this script.
  build();
  const dist = (path: string) => import(new URL(`../dist/${path}`, import.meta.url).href);
  const { registry } = (await dist('connectors/registry.js')) as typeof import('../src/connectors/registry.js');
  const { createOutbound } = (await dist('outbound/outbound.js')) as typeof import('../src/outbound/outbound.js');
  const { loadSigningKeys } = (await dist(
    'outbound/signing-keys.js',
  )) as typeof import('../src/outbound/signing-keys.js');
  const outbound = createOutbound({ allowNetworks: ['127.0.0.0/8'] });
  const agent = new Agent({ connections: 64 });
  const signingKeys = await loadSigningKeys(join(temporaryDirectory(), 'keys.json'));
  const secret = `whsec_${Buffer.alloc(32, 'bench').toString('base64')}`;
  const kinds: [what: string, name: string, options: object][] = [
    ['a token', 'notion', { url, token: 't' }],
    [
      'an access token that is kept',
      'zoom',
      { url, tokenUrl: `${url}/oauth/token`, accountId: 'a', clientId: 'c', clientSecret: 's' },
    ],
    ['an HMAC of the body', 'webhook', { url, secret }],
    ['a JWT signed for each call', 'oidc-backchannel-logout', { url, clientId: 'c' }],
  ];

  /** What the connector sends, for the bare calls to send too. */
  async function recorded(connector: Connector<unknown>, parsed: unknown) {
    let last: [string, OutboundRequest] | undefined;
    await connector.revoke(
      ACCOUNT,
      parsed,
      callOf((to, message) => {
        last = [to, message];
        return outbound.send(to, message);
      }),
    );
    if (!last) throw new Error(`${connector.name} made no call`);
    const [to, { method = 'GET', headers = {}, body }] = last;
    const all = { 'user-agent': 'universal-logout', 'accept-encoding': 'identity', ...headers };
    return async () => {
      const response = await request(to, { method, headers: all, body: body ?? null, dispatcher: agent });
      await response.body.text();
    };
  }

  const same = {
    ...{ revocationId: 'rev_1', idempotencyKey: 'rev_1_app', tenant: 'default', app: 'app', mode: 'full' as const },
    ...{ via: [], acceptedAt: Date.now(), attempt: 1, publicUrl: 'https://logout.example.com', signingKeys },
    ...{ now: () => new Date(), evidence: async () => [] },
  };

  /** The timer of the deadline is the engine's part. */
  function callOf(send: Call['send'] = outbound.send): Call {
    return { ...same, send, signal: new AbortController().signal };
  }

  /** µs of this process a call. */
  async function cpuOf(act: () => Promise<unknown>): Promise<number> {
    let left = calls;
    const before = process.cpuUsage();
    await Promise.all(
      Array.from({ length: concurrency }, async () => {
        while (left-- > 0) await act();
      }),
    );
    const { user, system } = process.cpuUsage(before);
    return (user + system) / calls;
  }

  const rows: string[][] = [];
  const ratiosOf = new Map<string, number[]>();
  for (const [what, name, raw] of kinds) {
    const connector = registry.find((one) => one.name === name);
    if (!connector) throw new Error(`there is no connector ${name}`);
    const parsed: unknown = connector.options.parse(raw);
    const bare = await recorded(connector, parsed);
    const ours = () => connector.revoke(ACCOUNT, parsed, callOf());
    for (const side of [bare, ours]) await cpuOf(side);
    const pairs: [number, number][] = [];
    for (let round = 0; round < rounds; round += 1) {
      // In turns, and every second time the other way round.
      const first = await cpuOf(round % 2 === 0 ? bare : ours);
      const second = await cpuOf(round % 2 === 0 ? ours : bare);
      pairs.push(round % 2 === 0 ? [first, second] : [second, first]);
    }
    const ratios = pairs.map(([one, other]) => other / one);
    ratiosOf.set(name, ratios);
    const cells = [median(pairs.map(([one]) => one)), median(pairs.map(([, other]) => other))].map((us) =>
      us.toFixed(0),
    );
    rows.push([
      `${name} (${what})`,
      ...cells,
      median(ratios).toFixed(2),
      `${Math.min(...ratios).toFixed(2)} – ${Math.max(...ratios).toFixed(2)}`,
    ]);
  }
  console.log(`\n${table([['CPU µs a call', 'bare undici', 'connector', 'ratio', 'by round'], ...rows])}\n`);
  console.log(`aim ${TARGET}`);
  const text = (name: string) => median(ratiosOf.get(name) ?? []).toFixed(2);
  writeFigures('connectors', [
    [
      'CPU time of a connector’s call beside a bare undici call with the same request: a token, an OAuth token that is kept, an HMAC, a JWT signed each time',
      ['notion', 'zoom', 'webhook', 'oidc-backchannel-logout'].map((name) => `${text(name)}`).join(', '),
    ],
  ]);
  process.exit(0);
}
