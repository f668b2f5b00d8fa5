/** `/console/audit`: the audit trail of one tenant, the newest entry first. */
import { Router } from 'express';
import { auditEvents, NO_TENANT } from '../../audit.js';
import type { Settings } from '../../settings.js';
import type { AuditViews } from '../audit.js';
import { choose, field, filled, html, moment, nextPage, type Row, sendPage, table, tenantIn, utc } from './layout.js';

type Entry = Awaited<ReturnType<AuditViews['list']>>['entries'][number] & Record<string, unknown>;

export type AuditPageDependencies = { trail: AuditViews; settings: Settings };

export function createAuditPage({ trail, settings }: AuditPageDependencies): Router {
  const router = Router();
  const tenants = [...settings.tenants.map(({ id }) => ({ value: id })), { value: NO_TENANT, label: 'of no tenant' }];
  const events = [{ value: '', label: 'any' }, ...auditEvents.map((value) => ({ value }))];

  router.get('/console/audit', async (req, res) => {
    const query = filled(req.query);
    const tenant = tenantIn(query, settings);
    const times = Object.fromEntries(
      ['since', 'until'].flatMap((name) => (query[name] === undefined ? [] : [[name, utc(String(query[name]))]])),
    );
    const { entries, cursor } = await trail.list({ ...query, tenant, ...times });
    const empty = cursor === undefined ? 'No entry like this.' : 'None like this among the latest thousands.';
    const rows = entries.map((entry) => row(entry, tenant));
    const text = (name: string) => String(query[name] ?? '');
    sendPage(
      res,
      { title: 'Audit trail', section: '/console/audit' },
      html`
        <form class="filters" action="/console/audit">
          ${choose('tenant', 'Trail', tenants, tenant)}
          ${choose('event', 'Event', events, text('event'))}
          ${field('user', 'Id of the person', text('user'), { size: 18 })}
          ${field('app', 'App', text('app'), { size: 12 })}
          ${field('revocationId', 'Id of the revocation', text('revocationId'), { size: 18 })}
          ${field('since', 'Since (UTC)', text('since'), { type: 'datetime-local' })}
          ${field('until', 'Until (UTC)', text('until'), { type: 'datetime-local' })}
          <button>Show</button>
        </form>
        ${table({ caption: 'The newest first', columns, empty }, rows)}
        ${nextPage('/console/audit', { ...query, tenant }, cursor, 'Older entries')}
        <p class="hint"><code>universal-logout audit verify</code> finds what was changed in the trail.</p>
      `,
    );
  });

  return router;
}

const columns = ['Time', 'Event', 'Person', 'App', 'By', 'More'];

function row(entry: Entry, tenant: string): Row {
  const { at, event, user, app, operator, trust, revocationId, id, tenant: _, ...more } = entry;
  const person = `/console/users/${encodeURIComponent(String(user))}?${new URLSearchParams({ tenant })}`;
  const revocation = `/console/revocations/${encodeURIComponent(String(revocationId))}`;
  const rest = Object.entries(more).map(([name, value]) => `${name} ${value}`);
  return [
    at === undefined ? id : moment(at),
    html`<code class="whole">${event}</code>`,
    user !== undefined && html`<a class="id whole" href=${person}>${user}</a>`,
    app ?? false,
    operator ?? trust ?? false,
    [revocationId !== undefined && html`<a class="id" href=${revocation}>${revocationId}</a>`, ` ${rest.join(', ')}`],
  ];
}
