/** `/console`: what is under way and in trouble, and the revocations of one tenant, the newest first. */
import { Router } from 'express';
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

type Listed = Awaited<ReturnType<Revocations['list']>>['revocations'][number];

export type RevocationsPageDependencies = {
  revocations: Revocations;
  overview: Overview;
  namesOf: NamesOf;
  settings: Settings;
};

export function createRevocationsPage(dependencies: RevocationsPageDependencies): Router {
  const { revocations, overview, namesOf, settings } = dependencies;
  const router = Router();
  const tenants = settings.tenants.map(({ id }) => ({ value: id }));

  router.get('/console', async (req, res) => {
    const query = filled(req.query);
    const tenant = tenantIn(query, settings);
    const asked = { ...query, tenant, ...(query.since !== undefined && { since: utc(String(query.since)) }) };
    const { revocations: found, cursor } = await revocations.list(asked);
    const people = found.map(({ user }) => user);
    const [figures, names] = await Promise.all([overview(tenant), namesOf(tenant, people)]);
    const empty = cursor === undefined ? 'No revocation like this.' : 'None like this among the latest thousand.';
    const rows = found.map((one) => row(one, names));
    sendPage(
      res,
      { title: 'Revocations', section: '/console' },
      html`
        ${figuresOf(figures, tenant)}
        ${filters(query, tenant)}
        ${table({ caption: 'The newest first', columns, empty }, rows)}
        ${nextPage('/console', { ...query, tenant }, cursor, 'Older revocations')}
      `,
    );
  });

  function filters(query: Record<string, unknown>, tenant: string): Html {
    const apps = settings.tenants.find(({ id }) => id === tenant)?.apps ?? [];
    const text = (name: string) => String(query[name] ?? '');
    const anyOf = (values: readonly string[]) => [{ value: '', label: 'any' }, ...values.map((value) => ({ value }))];
    return html`<form class="filters" action="/console">
      ${choose('tenant', 'Tenant', tenants, tenant)}
      ${choose('status', 'Status', anyOf(['pending', 'completed', 'failed']), text('status'))}
      ${choose('app', 'App', anyOf(apps.map(({ id }) => id)), text('app'))}
      ${field('user', 'Id of the person', text('user'), { size: 18 })}
      ${field('since', 'Since (UTC)', text('since'), { type: 'datetime-local' })}
      <button>Show</button>
    </form>`;
  }

  return router;
}

const columns = ['Status', 'Person', 'Asked by', 'Accepted', 'Took', 'Apps'];

function row(revocation: Listed, names: ReadonlyMap<string, string>): Row {
  const { revocationId, status, user, acceptedAt, tookMs, apps } = revocation;
  const done = apps.filter(({ state }) => ['revoked', 'accepted', 'none'].includes(state)).length;
  const failed = apps.flatMap(({ app, state }) => (state === 'failed' ? [`${app} failed`] : []));
  return [
    html`<a href=${`/console/revocations/${revocationId}`}>${statusOf(status)}</a>`,
    names.get(user) ?? html`<span class="id">${user}</span>`,
    askedBy(revocation),
    moment(acceptedAt),
    tookMs === undefined ? 'not over' : durationText(tookMs),
    apps.length === 0 ? 'none to tell' : [`${done} of ${apps.length}`, ...failed].join(', '),
  ];
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
    [failed, 'failed at an app, for you to retry', `/console?${new URLSearchParams({ tenant, status: 'failed' })}`],
    [held, 'of the apps held, since they fail', '/console/apps'],
    [paused, 'of the apps paused by hand', '/console/apps'],
  ];
  return html`<ul class="figures" aria-label="At a glance">
    ${figures.map(([count, what, path]) => html`<li><a href=${path}><b>${count}</b> ${what}</a></li>`)}
  </ul>`;
}
