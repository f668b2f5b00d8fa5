/** `/api/revocations/{id}/events`: one revocation as it is, and again when it has changed, until it is over (server-sent events). */
import { createHash } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { type Request, type Response, Router } from 'express';
import type { RevocationRecords, RevocationStatus } from '../fanout/record.js';
import { orUnavailable } from '../redis.js';
import { RequestError, Unavailable } from '../request-error.js';

const FULL_RETRY_SECONDS = 30;

const LIMITS = {
  /** At once, in this process. */
  streams: 100,
  lookEveryMs: 500,
  /** What is said of an app's queue changes also where the revocation does not; and sessions end. */
  viewEveryMs: 5_000,
  /** Proxies end what says nothing for a minute. */
  heartbeatMs: 15_000,
  /** Then the client comes again, and is authenticated again. */
  lifeMs: 15 * 60_000,
  /** After how long a client is to come again. */
  retryMs: 3_000,
};

type View = { tenant: string; status: RevocationStatus };

/** `id` is that of the event: the same for the same view. */
type State = { id: string; text: string; status: RevocationStatus };

type Stream = {
  req: Request;
  res: Response;
  since: number;
  authenticatedAt: number;
  wroteAt: number;
  sent: string | undefined;
};

/** One for all who follow the same revocation. */
type Watch = { tenant: string; state: State; isAway: boolean; streams: Set<Stream> };

export type EventsDependencies = {
  /** As `GET /api/revocations/{id}` answers. */
  read: (id: string) => Promise<View>;
  records: Pick<RevocationRecords, 'read'>;
  /** Of who follows already. Throws where they no longer may. */
  authenticate: (req: Request) => Promise<unknown>;
  /** Ends every stream. */
  stopping: AbortSignal;
};

export function createEventsRouter(dependencies: EventsDependencies, limits = LIMITS): Router {
  const { read, records, authenticate, stopping } = dependencies;
  const router = Router();
  const watches = new Map<string, Watch>();
  let open = 0;
  stopping.addEventListener('abort', () => {
    for (const watch of watches.values()) endAll(watch);
  });

  router.get('/api/revocations/:id/events', async (req, res) => {
    if (open >= limits.streams) throw tooMany();
    open += 1;
    res.once('close', () => {
      open -= 1;
    });
    const view = await read(req.params.id);
    if (res.destroyed) return;
    const state = stateOf(view);
    const seen = req.get('last-event-id');
    // Nobody is to wait for this connection when the process stops.
    res.set({ 'cache-control': 'no-store', 'x-accel-buffering': 'no', connection: 'close' });
    // A client that knows no event `end` comes again and again, until it is told so.
    if (isOver(state) && seen === state.id) {
      res.status(204).end();
      return;
    }
    res.type('text/event-stream');
    if (req.method === 'HEAD') {
      res.end();
      return;
    }
    // What is written to somebody who has just gone fails; `close` comes a moment later.
    res.on('error', () => {});
    res.write(`retry: ${limits.retryMs}\n\n`);
    const now = performance.now();
    const stream = { req, res, since: now, authenticatedAt: now, wroteAt: now, sent: seen };
    join(req.params.id, { tenant: view.tenant, state }, stream);
  });

  function join(id: string, first: Pick<Watch, 'tenant' | 'state'>, stream: Stream): void {
    const watch = watches.get(id) ?? { ...first, isAway: false, streams: new Set<Stream>() };
    watch.streams.add(stream);
    stream.res.once('close', () => watch.streams.delete(stream));
    if (!watches.has(id)) {
      watches.set(id, watch);
      void follow(id, watch);
    }
    deliver(watch);
    if (stopping.aborted) endAll(watch);
  }

  /** Until nobody follows it any more. */
  async function follow(id: string, watch: Watch): Promise<void> {
    let known: string | undefined;
    let viewedAt = 0;
    for (;;) {
      await delay(limits.lookEveryMs, undefined, { ref: false });
      await authenticateAgain(watch);
      if (watch.streams.size === 0) break;
      try {
        const record = JSON.stringify(await orUnavailable(records.read(watch.tenant, id)));
        if (record !== known || performance.now() - viewedAt >= limits.viewEveryMs) {
          watch.state = stateOf(await read(id));
          viewedAt = performance.now();
          known = record;
        }
        watch.isAway = false;
        deliver(watch);
      } catch (error) {
        // Whoever comes again is told, as by an answer: the revocation may be past its retention.
        if (!(error instanceof Unavailable)) endAll(watch);
        else if (!watch.isAway) tellAway(watch, error);
      }
      tend(watch);
    }
    watches.delete(id);
  }

  /** A stream ends with the session that opened it. Where Redis is away, it is asked again at the next look. */
  async function authenticateAgain({ streams }: Watch): Promise<void> {
    const now = performance.now();
    const due = [...streams].filter(({ authenticatedAt }) => now - authenticatedAt >= limits.viewEveryMs);
    const asked = due.map(async (stream) => {
      try {
        await authenticate(stream.req);
        stream.authenticatedAt = now;
      } catch (error) {
        if (error instanceof Unavailable) return;
        stream.res.end();
        streams.delete(stream);
      }
    });
    await Promise.all(asked);
  }

  function deliver({ state, streams }: Watch): void {
    for (const stream of streams) {
      // Whoever reads slowly gets the state of then, instead of all between.
      if (stream.res.writableNeedDrain) continue;
      if (stream.sent !== state.id) write(stream, `event: revocation\nid: ${state.id}\ndata: ${state.text}\n\n`);
      stream.sent = state.id;
      if (!isOver(state)) continue;
      write(stream, `event: end\ndata: ${JSON.stringify({ status: state.status })}\n\n`);
      stream.res.end();
      streams.delete(stream);
    }
  }

  /** Once: when it is back, the state is sent again, changed or not. */
  function tellAway(watch: Watch, { reason }: Unavailable): void {
    watch.isAway = true;
    for (const stream of watch.streams) {
      write(stream, `event: unavailable\ndata: ${JSON.stringify({ reason })}\n\n`);
      stream.sent = undefined;
    }
  }

  function tend({ streams }: Watch): void {
    const now = performance.now();
    for (const stream of streams) {
      if (now - stream.since >= limits.lifeMs) {
        stream.res.end();
        streams.delete(stream);
      } else if (now - stream.wroteAt >= limits.heartbeatMs) {
        write(stream, ': still here\n\n');
      }
    }
  }

  return router;
}

function write(stream: Stream, text: string): void {
  stream.res.write(text);
  stream.wroteAt = performance.now();
}

function endAll({ streams }: Watch): void {
  for (const { res } of streams) res.end();
  streams.clear();
}

function stateOf(view: View): State {
  const text = JSON.stringify(view);
  return { id: createHash('sha256').update(text).digest('base64url').slice(0, 22), text, status: view.status };
}

function isOver({ status }: State): boolean {
  return status !== 'pending';
}

function tooMany(): RequestError {
  const detail = 'So many streams are open already as one process has: look at the revocation itself now and then.';
  return new RequestError(429, 'too_many_requests', detail, {
    headers: { 'retry-after': String(FULL_RETRY_SECONDS) },
  });
}
