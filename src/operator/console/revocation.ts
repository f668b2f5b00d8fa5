/** `/console/revocations/{id}`: what happened in each app, and another try where one was not reached. */
import { Router } from 'express';
import { durationText } from '../../fanout/summary.js';
import { readBody } from '../../request-body.js';
import { RequestError } from '../../request-error.js';
import type { Apps } from '../apps.js';
import { operatorIn } from '../authenticate.js';
import type { Revocations } from '../revocations.js';
import { pathOfApp } from './apps.js';
import { button, type Html, html, moment, type Row, sendPage, stateOf, table } from './layout.js';
import type { NamesOf } from './names.js';
import { type AppPart, isUnderWay, type LanesByApp, renewAfterSeconds, type Shown } from './renewal.js';
import { askedBy, statusOf } from './revocations.js';

const BODY_BYTES = 4 * 1024;
/** Clocks of two processes may differ by so much. */
const SKEW_MS = 10_000;

export type RevocationPageDependencies = { revocations: Revocations; apps: Apps; namesOf: NamesOf; now: () => number };

export function createRevocationPage({ revocations, apps, namesOf, now }: RevocationPageDependencies): Router {
  const router = Router();

  router.get('/console/revocations/:id', async (req, res) => {
    const shown = await revocations.read(req.params.id);
    const isOver = shown.status === 'completed';
    const [names, lanes] = await Promise.all([
      namesOf(shown.tenant, [shown.user]),
      isOver ? [] : apps.list(shown.tenant).then((own) => own.apps),
    ]);
    const view = {
      ...{ shown, now: now(), isStill: req.query.still !== undefined },
      lanes: new Map(lanes.map((lane) => [lane.app, lane])),
      askedAt: askedAtIn(req.query.retried, now()),
    };
    const afterSeconds = view.isStill ? undefined : renewAfterSeconds(shown, view.lanes, view);
    const query = view.askedAt === undefined ? 'live' : `live&retried=${view.askedAt}`;
    const isOwed = shown.apps.some(isRetriable);
    sendPage(
      res,
      {
        ...{ title: `Revocation of ${names.get(shown.user) ?? shown.user}`, section: '/console' },
        renewal: afterSeconds === undefined ? undefined : { afterSeconds, query },
      },
      html`
        ${view.askedAt !== undefined && html`<p class="notice" role="status">${askedFor(view)}</p>`}
        <p class="lead">${statusOf(shown.status)}: ${shown.summary}</p>
        ${!isOver && renewing(view, afterSeconds)}
        ${facts(shown, names.get(shown.user))}
        <h2>Apps</h2>
        ${appsOf(view, afterSeconds !== undefined)}
        ${isOwed && html`<p>${button(retryPath(shown), 'Retry all')}</p>`}
      `,
    );
  });

  router.post('/console/revocations/:id/retry', async (req, res) => {
    const app = new URLSearchParams((await readBody(req, BODY_BYTES)).toString('utf8')).get('app');
    const { apps: tried } = await revocations.retry(req.params.id, app === null ? {} : { app }, operatorIn(res));
    const gone = tried.flatMap((one) => (one.result === 'gone' ? [one.app] : []));
    if (gone.length > 0) {
      const detail = `What was to be done at ${gone.join(', ')} is no longer kept: log the person out anew.`;
      throw new RequestError(404, 'not_found', detail);
    }
    res.redirect(303, `/console/revocations/${encodeURIComponent(req.params.id)}?retried=${now()}`);
  });

  return router;
}

type View = { shown: Shown; lanes: LanesByApp; now: number; askedAt: number | undefined; isStill: boolean };

function askedAtIn(retried: unknown, now: number): number | undefined {
  const at = Number(retried);
  return retried !== undefined && at <= now + SKEW_MS ? at : undefined;
}

function askedFor({ shown, lanes }: View): string {
  const paused = shown.apps.flatMap((part) =>
    isRetriable(part) && lanes.get(part.app)?.state === 'paused' ? [part.app] : [],
  );
  const waits =
    paused.length === 1 ? 'is paused: it waits until you resume it' : 'are paused: they wait until you resume them';
  return `Another try was asked for.${paused.length === 0 ? '' : ` ${paused.join(', ')} ${waits}.`}`;
}

function renewing({ shown, isStill }: View, afterSeconds: number | undefined): Html | false {
  if (afterSeconds !== undefined) {
    const time = afterSeconds < 120 ? `${afterSeconds} seconds` : durationText(afterSeconds * 1_000);
    return html`<p class="fine">This page renews itself in ${time}. <a href="?still">Keep it still</a></p>`;
  }
  if (isStill) {
    const path = `/console/revocations/${shown.revocationId}`;
    return html`<p class="fine">This page keeps still. <a href=${path}>Show it as it is now</a></p>`;
  }
  return shown.status === 'pending' && html`<p class="fine">What is left waits until somebody resumes the app.</p>`;
}

const retryPath = ({ revocationId }: Shown) => `/console/revocations/${revocationId}/retry`;

function facts(shown: Shown, name: string | undefined): Html {
  const { revocationId, tenant, user, mode, acceptedAt, completedAt, tookMs = 0 } = shown;
  const person = `/console/users/${encodeURIComponent(user)}?${new URLSearchParams({ tenant })}`;
  const trail = `/console/audit?${new URLSearchParams({ tenant, revocationId })}`;
  const over = completedAt === undefined ? 'not yet' : [moment(completedAt), `, after ${durationText(tookMs)}`];
  return html`<dl>
    <dt>Person</dt><dd><a href=${person}>${name ?? user}</a>${name !== undefined && html` <span class="id fine">${user}</span>`}</dd>
    <dt>Tenant</dt><dd>${tenant}</dd>
    <dt>Asked by</dt><dd>${askedBy(shown)}</dd>
    <dt>Ends</dt><dd>${mode === 'full' ? 'sessions and tokens' : 'refresh tokens alone'}</dd>
    <dt>Accepted</dt><dd>${moment(acceptedAt)}</dd>
    <dt>Over</dt><dd>${over}</dd>
    <dt>Id</dt><dd><span class="id">${revocationId}</span> <a class="fine" href=${trail}>Audit trail of it</a></dd>
  </dl>`;
}

function appsOf({ shown, lanes, now, isStill }: View, renewsItself: boolean): Html {
  const since = Date.parse(shown.acceptedAt);
  const took = (part: AppPart) => (isUnderWay(part) ? now : Date.parse(part.at ?? shown.acceptedAt)) - since;
  const longest = Math.max(1, ...shown.apps.map(took));
  const rows = shown.apps.map((part): Row => {
    const lines = [...notes(part, now), ...failureLog(part, renewsItself, isStill)];
    const duration = `${isUnderWay(part) ? 'so far ' : ''}${durationText(took(part))}`;
    return [
      html`<a href=${pathOfApp({ tenant: shown.tenant, app: part.app })}><b>${part.app}</b></a>`,
      stateIn(part, lanes),
      part.attempts,
      [bar(took(part) / longest, kindOf(part)), duration],
      lines.length > 0 && lines,
      isRetriable(part) && button(retryPath(shown), 'Retry', part.app, { app: part.app }),
    ];
  });
  return table(columns, rows);
}

const columns = {
  caption: 'How long each app took, the bars on one scale',
  columns: ['App', 'State', 'Attempts', 'Since acceptance', 'Notes', 'Do'],
  empty: 'No app knows this person, so that there was nothing to do.',
};

function stateIn(part: AppPart, lanes: LanesByApp): Html {
  const lane = lanes.get(part.app);
  const stopped = isUnderWay(part) && lane !== undefined && lane.state !== 'moving' && lane;
  const meaning = MEANINGS[part.state];
  return html`<div>
    ${stateOf(kindOf(part), part.state)}
    ${meaning !== undefined && html`<div class="fine">${meaning}</div>`}
    ${
      stopped &&
      html`<div>${stateOf(stopped.state === 'held' ? 'bad' : 'stopped', stopped.state)}${
        stopped.since !== undefined && html` <span class="fine">since ${moment(stopped.since)}</span>`
      }</div>`
    }
  </div>`;
}

function bar(share: number, kind: string): Html {
  const width = Math.round(Math.max(0.5, Math.min(100, share * 100)) * 10) / 10;
  return html`<svg class=${`bar ${kind}`} viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true"><rect width=${width} height="8" /></svg>`;
}

const isRetriable = ({ state }: AppPart) => state === 'failed' || state === 'retrying';

function kindOf(part: AppPart): 'good' | 'bad' | 'under-way' {
  if (isUnderWay(part)) return 'under-way';
  return part.state === 'failed' ? 'bad' : 'good';
}

const MEANINGS: Partial<Record<AppPart['state'], string>> = {
  retrying: 'the last call did not succeed',
  pending: 'the app has begun, and is asked again',
  accepted: 'the app said that it will',
  none: 'nothing to end, or no such account there',
};

/** What is known of it, a line each. */
function notes(part: AppPart, now: number): Html[] {
  const { reason, fault, nextAttemptAt, partial, what = [], verified, servedBy } = part;
  const lines: Html[] = [];
  if (reason !== undefined) {
    lines.push(html`<div>Reason: <b>${reason}</b>, ${fault === 'ours' ? 'ours to mend' : 'the app’s to mend'}</div>`);
  }
  if (nextAttemptAt !== undefined && Date.parse(nextAttemptAt) > now) {
    lines.push(html`<div>Next try: ${moment(nextAttemptAt)}</div>`);
  }
  if (what.length > 0) {
    lines.push(html`<div>Ended: ${what.join(', ').replaceAll('_', ' ')}${verified && ', verified'}</div>`);
  }
  if (partial !== undefined) lines.push(html`<div>Partial: ${partial}</div>`);
  if (servedBy !== undefined) {
    const path = `/console/revocations/${servedBy}`;
    lines.push(html`<div>Served by <a class="id" href=${path}>${servedBy}</a></div>`);
  }
  return lines;
}

/** What is opened would be closed again by a page that renews itself, so there it leads to one that keeps still. */
function failureLog({ failures = [] }: AppPart, renewsItself: boolean, isOpen: boolean): Html[] {
  if (failures.length === 0) return [];
  const summary = `${failures.length} failed ${failures.length === 1 ? 'call' : 'calls'}`;
  if (renewsItself) return [html`<div><a href="?still">${summary}</a></div>`];
  const entries = failures.map(
    ({ at, reason, tookMs }) => html`<li>${moment(at)}: ${reason}, after ${durationText(tookMs)}</li>`,
  );
  return [html`<details open=${isOpen}><summary>${summary}</summary><ol>${entries}</ol></details>`];
}
