/**
 * Usage: npx tsx bench/connectors.ts [--calls 10000] [--rounds 7] [--concurrency 10]
 * CPU time of a connector's call beside a bare undici call with the same method, path, headers and body to the same local
 * server, in turns in one process; the server is another one. Where each call has a signature of its own, also beside a
 * bare call that makes it too, by the same library: no call to such an app can do without.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { createHmac, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { generateKeyPair, SignJWT } from 'jose';
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
// As long as that of the webhook.
const BODY = 'x'.repeat(240);
const ADDRESS = fileURLToPath(import.meta.url);

type Kind = {
  what: string;
  name: string;
  options: object;
  /** What each call has of its own, made by the library alone. */
  sign?: (body: string) => unknown;
};

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
      calls: { type: 'string', default: '10000' },
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
  const key = Buffer.from(secret.slice('whsec_'.length), 'base64');
  const { privateKey } = await generateKeyPair('RS256', { modulusLength: 2048 });
  const kinds: Kind[] = [
    { what: 'a token', name: 'notion', options: { url, token: 't' } },
    {
      what: 'an access token that is kept',
      name: 'zoom',
      options: { url, tokenUrl: `${url}/oauth/token`, accountId: 'a', clientId: 'c', clientSecret: 's' },
    },
    {
      what: 'an HMAC of the body',
      name: 'webhook',
      options: { url, secret },
      sign: (body) => createHmac('sha256', key).update(body).digest('base64'),
    },
    {
      what: 'a JWT signed for each call',
      name: 'oidc-backchannel-logout',
      options: { url, clientId: 'c' },
      sign: () =>
        new SignJWT({ iss: url, aud: 'c', sub: ACCOUNT, iat: 0, exp: 120, jti: randomUUID() })
          .setProtectedHeader({ alg: 'RS256', typ: 'logout+jwt', kid: 'k' })
          .sign(privateKey),
    },
  ];

  /** The bare call that sends what the connector sends. */
  async function bareCallOf(connector: Connector<unknown>, parsed: unknown) {
    let last: [string, OutboundRequest] | undefined;
    await connector.revoke(ACCOUNT, parsed, {
      ...call,
      send(to, message) {
        last = [to, message];
        return outbound.send(to, message);
      },
    });
    if (!last) throw new Error(`${connector.name} made no call`);
    const [to, { method = 'GET', headers = {}, body }] = last;
    const all = { 'user-agent': 'universal-logout', 'accept-encoding': 'identity', ...headers };
    return async () => {
      const response = await request(to, { method, headers: all, body: body ?? null, dispatcher: agent });
      await response.body.text();
    };
  }

  // What the engine makes for every attempt, the deadline with it, is no part of the connector.
  const call: Call = {
    ...{ revocationId: 'rev_1', idempotencyKey: 'rev_1_app', tenant: 'default', app: 'app', mode: 'full' as const },
    ...{ via: [], acceptedAt: Date.now(), attempt: 1, publicUrl: 'https://logout.example.com', signingKeys },
    ...{ now: () => new Date(), evidence: async () => [], send: outbound.send, signal: new AbortController().signal },
  };

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
  const ratiosOf = new Map<string, string[]>();
  for (const { what, name, options: raw, sign } of kinds) {
    const connector = registry.find((one) => one.name === name);
    if (!connector) throw new Error(`there is no connector ${name}`);
    const parsed: unknown = connector.options.parse(raw);
    const bare = await bareCallOf(connector, parsed);
    const signing = async () => {
      await sign?.(BODY);
      await bare();
    };
    const sides = [() => connector.revoke(ACCOUNT, parsed, call), bare, ...(sign ? [signing] : [])];
    for (const side of sides) await cpuOf(side);
    const us: number[][] = sides.map(() => []);
    for (let round = 0; round < rounds; round += 1) {
      // In turns, and each round begins with another.
      for (let turn = 0; turn < sides.length; turn += 1) {
        const index = (round + turn) % sides.length;
        us[index]?.push(await cpuOf(sides[index] as () => Promise<unknown>));
      }
    }
    const [ours = [], ...baselines] = us;
    ratiosOf.set(name, []);
    for (const [index, theirs] of baselines.entries()) {
      const ratios = ours.map((one, round) => one / (theirs[round] ?? Number.NaN));
      ratiosOf.get(name)?.push(median(ratios).toFixed(2));
      rows.push([
        ...[`${name} (${what})`, index === 0 ? 'bare undici' : 'bare undici that signs'],
        ...[median(theirs).toFixed(0), median(ours).toFixed(0), median(ratios).toFixed(2)],
        `${Math.min(...ratios).toFixed(2)} – ${Math.max(...ratios).toFixed(2)}`,
      ]);
    }
  }
  console.log(`\n${table([['', 'beside', 'CPU µs a call', 'connector', 'ratio', 'by round'], ...rows])}\n`);
  console.log(`aim ${TARGET}`);
  const ratios = (index: number, names: readonly string[]) =>
    names.map((name) => ratiosOf.get(name)?.[index] ?? '–').join(', ');
  writeFigures('connectors', [
    [
      'CPU time of a connector’s call beside a bare undici call with the same request: a token, an OAuth token that is kept, an HMAC, a JWT signed each time',
      ratios(0, ['notion', 'zoom', 'webhook', 'oidc-backchannel-logout']),
    ],
    [
      'the same beside a bare undici call that makes the signature too: an HMAC, a JWT',
      ratios(1, ['webhook', 'oidc-backchannel-logout']),
    ],
  ]);
  process.exit(0);
}
