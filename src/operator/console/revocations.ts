/** `/console`: what is under way and in trouble, and the revocations of one tenant, the newest first. */
import { Router } from 'express';
import { appStates } from '../../fanout/record.js';
import { durationText } from '../../fanout/summary.js';
import type { Settings } from '../../settings.js';
import type { Overview } from '../overview.js';
import type { Revocations } from '../revocations.js';
import {
  choose,
  field,
  filled,
  type Html,
  html,
  moment,
  nextPage,
  type Row,
  sendPage,
  stateOf,
  table,
  tenantIn,
  utc,
} from './layout.js';
import type { NamesOf } from './names.js';
import { aboutSought, isSeveral, type WhoIs } from './sought.js';

type Listed = Awaited<ReturnType<Revocations['list']>>['revocations'][number];

export type RevocationsPageDependencies = {
  revocations: Revocations;
  overview: Overview;
  namesOf: NamesOf;
  whoIs: WhoIs;
  settings: Settings;
};

export function createRevocationsPage(dependencies: RevocationsPageDependencies): Router {
  const { revocations, overview, namesOf, whoIs, settings } = dependencies;
  const router = Router();
  const tenants = settings.tenants.map(({ id }) => ({ value: id }));

  router.get('/console', async (req, res) => {
    const query = filled(req.query);
    const tenant = tenantIn(query, settings);
    const since = query.since === undefined ? {} : { since: utc(String(query.since)) };
    const sought = await whoIs(tenant, query.user);
    const asked = { ...query, tenant, ...since, ...(sought.user !== undefined && { user: sought.user }) };
    const { revocations: found, cursor = undefined } = isSeveral(sought)
      ? { revocations: [] }
      : await revocations.list(asked);
    const people = found.map(({ user }) => user);
    const [figures, names, lookedBackTo] = await Promise.all([
      overview(tenant),
      namesOf(tenant, people),
      timeOf(cursor, found.at(-1)),
    ]);
    const empty = cursor === undefined ? 'No revocation like this.' : 'No revocation like this so far.';
    const rows = found.map((one) => row(one, names));
    sendPage(
      res,
      { title: 'Revocations', section: '/console' },
      html`
        ${figuresOf(figures, tenant)}
        ${aboutSought(sought, '/console', { ...query, tenant })}
        ${filters(query, tenant)}
        ${table({ caption: 'The newest first', columns, empty }, rows)}
        ${nextPage('/console', { ...query, tenant }, cursor, 'Older revocations', lookedBackTo)}
      `,
    );
  });

  /** Until when a page has looked that goes on at `cursor`. */
  async function timeOf(cursor: string | undefined, last: Listed | undefined): Promise<string | undefined> {
    if (cursor === undefined || cursor === last?.revocationId) return last?.acceptedAt;
    return (await revocations.read(cursor)).acceptedAt;
  }

  function filters(query: Record<string, unknown>, tenant: string): Html {
    const apps = settings.tenants.find(({ id }) => id === tenant)?.apps ?? [];
    const text = (name: string) => String(query[name] ?? '');
    const anyOf = (values: readonly string[]) => [{ value: '', label: 'any' }, ...values.map((value) => ({ value }))];
    return html`<form class="filters" action="/console">
      ${choose('tenant', 'Tenant', tenants, tenant)}
      ${choose('status', 'Status', anyOf(['pending', 'completed', 'failed']), text('status'))}
      ${choose('state', 'State of an app', anyOf(appStates), text('state'))}
      ${choose('app', 'App', anyOf(apps.map(({ id }) => id)), text('app'))}
      ${field('user', 'Person, by any identifier', text('user'), { size: 22 })}
      ${field('since', 'Since (UTC)', text('since'), { type: 'datetime-local' })}
      <button>Show</button>
    </form>`;
  }

  return router;
}

const columns = ['Status', 'Person', 'Asked by', 'Accepted', 'Took', 'Apps'];

function row(revocation: Listed, names: ReadonlyMap<string, string>): Row {
  const { revocationId, tenant, status, user, acceptedAt, tookMs, apps } = revocation;
  const person = `/console/users/${encodeURIComponent(user)}?${new URLSearchParams({ tenant })}`;
  return [
    html`<a href=${`/console/revocations/${revocationId}`}>${statusOf(status)}</a>`,
    html`<a href=${person} class=${names.has(user) ? undefined : 'id'}>${names.get(user) ?? user}</a>`,
    askedBy(revocation),
    moment(acceptedAt),
    tookMs === undefined ? 'not over' : durationText(tookMs),
    apps.length === 0 ? 'none to tell' : progress(apps),
  ];
}

/** Done, failed and under way side by side; in words on hover and for who hears it. */
function progress(apps: Listed['apps']): Html {
  const failed = apps.flatMap(({ app, state }) => (state === 'failed' ? [`${app} failed`] : []));
  const done = apps.filter(({ state }) => ['revoked', 'accepted', 'none'].includes(state)).length;
  const left = apps.length - done - failed.length;
  const words = [`${done} of ${apps.length}`, ...failed].join(', ');
  return html`<div title=${words}>
    <svg class="bar" viewBox=${`0 0 ${apps.length} 1`} preserveAspectRatio="none" aria-hidden="true">
      <rect class="good" width=${done} height="1" />
      <rect class="bad" x=${done} width=${failed.length} height="1" />
      <rect class="under-way" x=${done + failed.length} width=${left} height="1" />
    </svg>
    ${done} of ${apps.length}${
      failed.length > 0 && [
        html`<span class="state bad" aria-hidden="true"> ✕ ${failed.length}</span>`,
        html`<span class="unseen">, ${failed.join(', ')}</span>`,
      ]
    }
  </div>`;
}

/** Whoever begins many from the command line has no name there. */
export function askedBy({ trust, operator, bulk }: Pick<Listed, 'trust' | 'operator' | 'bulk'>): string {
  if (operator === undefined && trust !== 'operator') return `the trust ${trust}`;
  return `${operator ?? 'the command line'}, by hand${bulk ? ', as one of many' : ''}`;
}

export function statusOf(status: Listed['status']): Html {
  if (status === 'completed') return stateOf('good', 'completed');
  return status === 'failed' ? stateOf('bad', 'failed') : stateOf('under-way', 'pending');
}

function figuresOf({ open, waiting, failed, held, paused }: Awaited<ReturnType<Overview>>, tenant: string): Html {
  const figures: [number, string, string][] = [
    [open, 'pending', `/console?${new URLSearchParams({ tenant, status: 'pending' })}`],
    [waiting, 'waiting at an app', '/console/apps'],
    [failed, 'failed at an app, for you to retry', `/console?${new URLSearchParams({ tenant, state: 'failed' })}`],
    [held, 'of the apps held, since they fail', '/console/apps'],
    [paused, 'of the apps paused by hand', '/console/apps'],
  ];
  return html`<ul class="figures" aria-label="At a glance">
    ${figures.map(([count, what, path]) => html`<li><a href=${path}><b>${count}</b> ${what}</a></li>`)}
  </ul>`;
}
