/** `/console/revocations/{id}`: what happened in each app, and another try where one was not reached. */
import { Router } from 'express';
import { durationText } from '../../fanout/summary.js';
import { readBody } from '../../request-body.js';
import { RequestError } from '../../request-error.js';
import { operatorIn } from '../authenticate.js';
import type { Revocations } from '../revocations.js';
import { button, type Html, html, moment, type Row, sendPage, stateOf, table } from './layout.js';
import type { NamesOf } from './names.js';
import { statusOf } from './revocations.js';

const BODY_BYTES = 4 * 1024;
const RENEW_AFTER_SECONDS = 2;

type Shown = Awaited<ReturnType<Revocations['read']>>;
type AppPart = Shown['apps'][number];

export type RevocationPageDependencies = { revocations: Revocations; namesOf: NamesOf; now: () => number };

export function createRevocationPage({ revocations, namesOf, now }: RevocationPageDependencies): Router {
  const router = Router();

  router.get('/console/revocations/:id', async (req, res) => {
    const shown = await revocations.read(req.params.id);
    const names = await namesOf(shown.tenant, [shown.user]);
    const isAsked = req.query.retried !== undefined;
    const isStill = req.query.still !== undefined;
    const renewAfter = !isStill && (shown.status === 'pending' || isAsked) ? RENEW_AFTER_SECONDS : undefined;
    const isOwed = shown.apps.some(isRetriable);
    sendPage(
      res,
      { title: `Revocation of ${names.get(shown.user) ?? shown.user}`, section: '/console', renewAfter },
      html`
        ${isAsked && html`<p class="notice" role="status">Another try was asked for.</p>`}
        <p class="lead">${statusOf(shown.status)}: ${shown.summary}</p>
        ${facts(shown)}
        <h2>Apps</h2>
        ${appsOf(shown, now())}
        ${isOwed && html`<p>${button(retryPath(shown), 'Retry all that are not reached')}</p>`}
        ${renewAfter !== undefined && renewing()}
      `,
    );
  });

  router.post('/console/revocations/:id/retry', async (req, res) => {
    const app = new URLSearchParams((await readBody(req, BODY_BYTES)).toString('utf8')).get('app');
    const { apps } = await revocations.retry(req.params.id, app === null ? {} : { app }, operatorIn(res));
    const gone = apps.flatMap((one) => (one.result === 'gone' ? [one.app] : []));
    if (gone.length > 0) {
      const detail = `What was to be done at ${gone.join(', ')} is no longer kept: sign the person out anew.`;
      throw new RequestError(404, 'not_found', detail);
    }
    res.redirect(303, `/console/revocations/${encodeURIComponent(req.params.id)}?retried`);
  });

  return router;
}

const renewing = () => html`<p class="fine">
  This page renews itself every ${RENEW_AFTER_SECONDS} seconds. <a href="?still">Keep it still</a>
</p>`;

const retryPath = ({ revocationId }: Shown) => `/console/revocations/${revocationId}/retry`;

function facts(shown: Shown): Html {
  const { revocationId, tenant, user, trust, operator, mode, acceptedAt, completedAt, tookMs = 0, bulk } = shown;
  const person = `/console/users/${encodeURIComponent(user)}?${new URLSearchParams({ tenant })}`;
  const by = operator === undefined ? `the trust ${trust}` : `${operator}, by hand`;
  const over = completedAt === undefined ? 'not yet' : [moment(completedAt), `, after ${durationText(tookMs)}`];
  return html`<dl>
    <dt>Person</dt><dd><a class="id" href=${person}>${user}</a></dd>
    <dt>Tenant</dt><dd>${tenant}</dd>
    <dt>Asked by</dt><dd>${by}${bulk && ', as one of many'}</dd>
    <dt>Ends</dt><dd>${mode === 'full' ? 'sessions and tokens' : 'refresh tokens alone'}</dd>
    <dt>Accepted</dt><dd>${moment(acceptedAt)}</dd>
    <dt>Over</dt><dd>${over}</dd>
    <dt>Id</dt><dd class="id">${revocationId}</dd>
  </dl>`;
}

function appsOf(shown: Shown, now: number): Html {
  const since = Date.parse(shown.acceptedAt);
  const took = (part: AppPart) => (isUnderWay(part) ? now : Date.parse(part.at ?? shown.acceptedAt)) - since;
  const longest = Math.max(1, ...shown.apps.map(took));
  const rows = shown.apps.map((part): Row => {
    const duration = `${isUnderWay(part) ? 'so far ' : ''}${durationText(took(part))}`;
    return [
      html`<b>${part.app}</b>`,
      stateOf(kindOf(part), WORDS[part.state]),
      part.attempts,
      [bar(took(part) / longest, kindOf(part)), duration],
      notes(part, now),
      isRetriable(part) && button(retryPath(shown), 'Retry', part.app, { app: part.app }),
    ];
  });
  return table(apps, rows);
}

const apps = {
  caption: 'How long each app took, the bars on one scale',
  columns: ['App', 'State', 'Attempts', 'Since acceptance', 'Notes', 'Do'],
  empty: 'No app knows this person, so that there was nothing to do.',
};

function bar(share: number, kind: string): Html {
  const width = Math.round(Math.max(0.5, Math.min(100, share * 100)) * 10) / 10;
  return html`<svg class=${`bar ${kind}`} viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true"><rect width=${width} height="8" /></svg>`;
}

const isRetriable = ({ state }: AppPart) => state === 'failed' || state === 'retrying';
const isUnderWay = ({ state }: AppPart) => state === 'waiting' || state === 'retrying' || state === 'pending';

function kindOf(part: AppPart): 'good' | 'bad' | 'under-way' {
  if (isUnderWay(part)) return 'under-way';
  return part.state === 'failed' ? 'bad' : 'good';
}

const WORDS: Record<AppPart['state'], string> = {
  waiting: 'waiting',
  retrying: 'not reached yet',
  pending: 'under way in the app',
  failed: 'failed',
  revoked: 'signed out',
  accepted: 'promised by the app',
  none: 'nothing to end',
};

/** What is known of it, a line each. */
function notes(part: AppPart, now: number): Html[] {
  const { reason, fault, nextAttemptAt, partial, what = [], verified, servedBy, failures = [] } = part;
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
  if (failures.length > 0) lines.push(failureLog(failures));
  return lines;
}

function failureLog(failures: NonNullable<AppPart['failures']>): Html {
  const entries = failures.map(
    ({ at, reason, tookMs }) => html`<li>${moment(at)}: ${reason}, after ${durationText(tookMs)}</li>`,
  );
  const summary = `${failures.length} failed ${failures.length === 1 ? 'call' : 'calls'}`;
  return html`<details><summary>${summary}</summary><ol>${entries}</ol></details>`;
}
