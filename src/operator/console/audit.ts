/** `/console/audit`: the audit trail of one tenant, the newest entry first. */
import { Router } from 'express';
import { timeOf } from '../../audit/chain.js';
import { auditEvents, NO_TENANT } from '../../audit.js';
import type { Settings } from '../../settings.js';
import type { AuditViews } from '../audit.js';
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
  table,
  tenantIn,
  utc,
} from './layout.js';
import type { NamesOf } from './names.js';
import { aboutSought, isSeveral, type WhoIs } from './sought.js';

type Entry = Awaited<ReturnType<AuditViews['list']>>['entries'][number] & Record<string, unknown>;

export type AuditPageDependencies = { trail: AuditViews; namesOf: NamesOf; whoIs: WhoIs; settings: Settings };

export function createAuditPage({ trail, namesOf, whoIs, settings }: AuditPageDependencies): Router {
  const router = Router();
  const tenants = [...settings.tenants.map(({ id }) => ({ value: id })), { value: NO_TENANT, label: 'of no tenant' }];
  const events = [{ value: '', label: 'any' }, ...auditEvents.map((value) => ({ value }))];

  router.get('/console/audit', async (req, res) => {
    const query = filled(req.query);
    const tenant = tenantIn(query, settings);
    const times = Object.fromEntries(
      ['since', 'until'].flatMap((name) => (query[name] === undefined ? [] : [[name, utc(String(query[name]))]])),
    );
    const sought = await whoIs(tenant, query.user);
    const asked = { ...query, tenant, ...times, ...(sought.user !== undefined && { user: sought.user }) };
    const { entries, cursor = undefined } = isSeveral(sought) ? { entries: [] } : await trail.list(asked);
    const names = await namesOf(
      tenant,
      entries.flatMap((entry) => ('user' in entry ? [String(entry.user)] : [])),
    );
    const empty = cursor === undefined ? 'No entry like this.' : 'No entry like this so far.';
    const rows = entries.map((entry) => row(entry, tenant, names));
    const text = (name: string) => String(query[name] ?? '');
    sendPage(
      res,
      { title: 'Audit trail', section: '/console/audit' },
      html`
        ${aboutSought(sought, '/console/audit', { ...query, tenant })}
        <form class="filters" action="/console/audit">
          ${choose('tenant', 'Trail', tenants, tenant)}
          ${choose('event', 'Event', events, text('event'))}
          ${field('user', 'Person, by any identifier', text('user'), { size: 22 })}
          ${field('app', 'App', text('app'), { size: 12 })}
          ${field('revocationId', 'Id of the revocation', text('revocationId'), { size: 18 })}
          ${field('since', 'Since (UTC)', text('since'), { type: 'datetime-local' })}
          ${field('until', 'Until (UTC)', text('until'), { type: 'datetime-local' })}
          <button>Show</button>
        </form>
        ${table({ caption: 'The newest first', columns, empty }, rows)}
        ${nextPage('/console/audit', { ...query, tenant }, cursor, 'Older entries', timeIn(cursor))}
        <p class="hint"><code>universal-logout audit verify</code> finds what was changed in the trail.</p>
      `,
    );
  });

  return router;
}

function personOf(user: string, path: string, names: ReadonlyMap<string, string>): Html {
  const name = names.get(user);
  if (name === undefined) return html`<a class="id whole" href=${path}>${user}</a>`;
  return html`<a href=${path} title=${`id ${user}`}>${name}</a>`;
}

const columns = ['Time', 'Event', 'Person', 'App', 'By', 'More'];

/** None where somebody with access to Redis made up an entry's id. */
function timeIn(cursor: string | undefined): string | undefined {
  const time = new Date(Number(timeOf(cursor ?? '')));
  return Number.isNaN(time.getTime()) ? undefined : time.toISOString();
}

function row(entry: Entry, tenant: string, names: ReadonlyMap<string, string>): Row {
  const { at, event, user, app, operator, trust, revocationId, id, tenant: _, ...more } = entry;
  const person = `/console/users/${encodeURIComponent(String(user))}?${new URLSearchParams({ tenant })}`;
  const revocation = `/console/revocations/${encodeURIComponent(String(revocationId))}`;
  const rest = Object.entries(more).map(([name, value]) => `${name} ${value}`);
  return [
    at === undefined ? id : moment(at),
    html`<code class="whole">${event}</code>`,
    user !== undefined && personOf(String(user), person, names),
    app ?? false,
    operator ?? trust ?? false,
    [
      revocationId !== undefined &&
        html`<a class="id" href=${revocation} title=${revocationId}>${`${String(revocationId).slice(0, 12)}…`}</a>`,
      ` ${rest.join(', ')}`,
    ],
  ];
}
