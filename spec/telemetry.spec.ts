/** Traces as a collector gets them: one from the request to each app's call, without whom it is about. */
import { mkdtempSync, readdirSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createDirectory } from '../src/directory/directory.js';
import { createFolder, type RunningCommand, startCommand } from './support/command.js';
import { type Database, openDatabase } from './support/database.js';
import { ADA, ENDPOINT, PATH, SECRET } from './support/endpoint.js';
import { eventually } from './support/eventually.js';
import { CLIENT, type Okta, signRevocation, startOkta } from './support/okta.js';
import { freePort } from './support/redis-server.js';
import { answer, startTargetApp, type TargetApp } from './support/target-app.js';

type Attribute = { key: string; value: { stringValue?: string; intValue?: number | string } };
type Span = { traceId: string; spanId: string; parentSpanId?: string; name: string; attributes: Attribute[] };

/** An OTLP/HTTP receiver that keeps what it is sent. */
async function startCollector() {
  const bodies: string[] = [];
  const server = createServer(async (req, res) => {
    const chunks: Buffer[] = [];
    for await (const chunk of req) chunks.push(chunk as Buffer);
    bodies.push(Buffer.concat(chunks).toString('utf8'));
    res.writeHead(200, { 'content-type': 'application/json' }).end('{}');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  type Sent = { resourceSpans: { scopeSpans: { spans: Span[] }[] }[] };
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    bodies,
    spans: () =>
      bodies.flatMap((body) =>
        (JSON.parse(body) as Sent).resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap(({ spans }) => spans)),
      ),
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

const valuesOf = ({ attributes }: Span) =>
  Object.fromEntries(attributes.map(({ key, value }) => [key, value.stringValue ?? Number(value.intValue)]));

let database: Database;
let okta: Okta;
let intranet: TargetApp;
let wiki: TargetApp;
let serve: RunningCommand | undefined;

beforeEach(async () => {
  [database, okta, intranet, wiki] = await Promise.all([
    openDatabase(),
    startOkta(),
    startTargetApp(),
    startTargetApp((res, call, count) => answer(count === 1 ? 503 : 204)(res, call, count)),
  ]);
  const { put } = createDirectory(database.redis, 'ul', { graceMs: 60_000, now: Date.now });
  await put('default', { userName: 'ada', emails: [{ value: ADA.sub_id.email }] });
});
afterEach(async () => {
  await serve?.stop();
  serve = undefined;
  await Promise.all([okta.close(), intranet.close(), wiki.close()]);
  await database.close();
});

async function start(env: Record<string, string>): Promise<string> {
  const app = (id: string, url: string) => ({ id, connector: 'webhook', options: { url, secret: SECRET } });
  const folder = createFolder({
    tenants: [
      {
        id: 'default',
        trusts: [{ id: 'okta', issuers: [okta.issuer], client: CLIENT, keys: { jwksUri: okta.jwksUri } }],
        apps: [app('intranet', intranet.url), app('wiki', wiki.url)],
      },
    ],
  });
  serve = startCommand(['serve'], { folder, env: { REDIS_URL: database.url, PORT: '0', ...env } });
  return `http://127.0.0.1:${await serve.listening()}`;
}

async function post(url: string, headers: Record<string, string> = {}) {
  const jwt = await signRevocation(okta.key, { issuer: okta.issuer, audience: ENDPOINT });
  const begun = performance.now();
  const { status } = await fetch(url + PATH, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${jwt}`, ...headers },
    body: JSON.stringify(ADA),
  });
  return { status, jwt, ms: performance.now() - begun };
}

const bothCalled = () =>
  eventually(
    () => [intranet.calls.length, wiki.calls.length],
    ([a, b]) => a === 1 && b === 2,
    15_000,
  );

async function stop(): Promise<number | null> {
  serve?.kill('SIGTERM');
  return (await serve?.ended)?.code ?? null;
}

it('one trace leads from the request to every call of each app, and names nobody', async () => {
  const collector = await startCollector();
  const url = await start({ OTEL_EXPORTER_OTLP_ENDPOINT: collector.url });
  const theirs = '0af7651916cd43dd8448eb211c80319c';
  const { status, jwt } = await post(url, { traceparent: `00-${theirs}-b7ad6b7169203331-01` });
  expect(status).toBe(204);
  expect((await fetch(`${url}/tenants/eve@example.com/scim/v2/Users/eve@example.com`)).status).toBe(401);
  await bothCalled();
  // What has not been sent yet is sent at the end.
  expect(await stop()).toBe(0);

  const spans = collector.spans();
  const byId = new Map(spans.map((span) => [span.spanId, span]));
  const [request] = spans.filter(({ name }) => name === `POST ${PATH}`);
  if (!request) throw new Error(`no span of the request among ${spans.map(({ name }) => name).join(', ')}`);
  expect(request.parentSpanId).toBeUndefined();
  expect(request.traceId).not.toBe(theirs);
  expect(valuesOf(request)).toEqual({
    'http.request.method': 'POST',
    'http.route': PATH,
    'http.response.status_code': 204,
  });
  const calls = spans.filter(({ name }) => name === 'call app');
  expect(calls.map(valuesOf).sort((a, b) => `${a.app}${a.attempt}`.localeCompare(`${b.app}${b.attempt}`))).toEqual([
    { tenant: 'default', app: 'intranet', connector: 'webhook', attempt: 1, result: 'revoked' },
    { tenant: 'default', app: 'wiki', connector: 'webhook', attempt: 1, result: 'server' },
    { tenant: 'default', app: 'wiki', connector: 'webhook', attempt: 2, result: 'revoked' },
  ]);
  for (const call of calls) {
    const way: string[] = [];
    for (let span: Span | undefined = call; span; span = byId.get(span.parentSpanId ?? '')) {
      expect(span.traceId).toBe(request.traceId);
      way.unshift(span.name);
    }
    const queue = `{app.default.${valuesOf(call).app}}`;
    expect(way).toEqual([
      `POST ${PATH}`,
      'add {intake}.revocation',
      'process {intake}',
      `add ${queue}.revoke`,
      `process ${queue}`,
      'call app',
    ]);
  }
  const text = collector.bodies.join('\n');
  expect(text).toContain('"universal-logout"');
  // The idling of workers, and the canary of this process, are no traces.
  expect(text).not.toMatch(/getNextJob|canary/);
  expect(text).not.toMatch(/[\w.+-]+@[\w-]+\.\w+|eyJ[\w-]{10,}\./);
  for (const secret of [jwt, SECRET, intranet.url, wiki.url, '"ada']) expect(text).not.toContain(secret);
  await collector.close();
});

it('a collector that is away, or hangs, costs nobody anything', async () => {
  const hanging = createServer(() => {});
  await new Promise<void>((resolve) => hanging.listen(0, '127.0.0.1', resolve));
  const ports = [await freePort(), (hanging.address() as AddressInfo).port];
  for (const port of ports) {
    intranet.calls.length = 0;
    wiki.calls.length = 0;
    const url = await start({ OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${port}` });
    const { status, ms } = await post(url);
    expect(status).toBe(204);
    expect(ms).toBeLessThan(1_000);
    await bothCalled();
    const begun = performance.now();
    expect(await stop()).toBe(0);
    expect(performance.now() - begun).toBeLessThan(10_000);
  }
  hanging.closeAllConnections();
  await new Promise((resolve) => hanging.close(resolve));
});

it('nothing of it is loaded unless it is configured', async () => {
  const loaded = async (env: Record<string, string>) => {
    const folder = mkdtempSync(join(tmpdir(), 'universal-logout-'));
    // Node writes down every script that it has run.
    await start({ NODE_V8_COVERAGE: folder, ...env });
    expect(await stop()).toBe(0);
    const text = readdirSync(folder).map((file) => readFileSync(join(folder, file), 'utf8'));
    return /"url":"[^"]*@opentelemetry\/(sdk-|exporter-)/.test(text.join('\n'));
  };
  expect(await loaded({})).toBe(false);
  expect(await loaded({ OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${await freePort()}` })).toBe(true);
});
