/** `/console/users`: who is in the directory of one tenant, by any identifier or page by page. */
import { Router } from 'express';
import { RequestError } from '../../request-error.js';
import type { Settings } from '../../settings.js';
import type { UserViews } from '../users.js';
import { choose, field, filled, html, nextPage, type Row, sendPage, stateOf, table, tenantIn } from './layout.js';

type Listed = Awaited<ReturnType<UserViews['list']>>['users'][number];

export type UsersPageDependencies = { people: UserViews; settings: Settings };

const kinds = [
  { value: 'userName', label: 'user name' },
  { value: 'email', label: 'e-mail address' },
  { value: 'externalId', label: 'id at the provider' },
  { value: 'id', label: 'id here' },
  { value: 'phoneNumber', label: 'phone number' },
];

export function createUsersPage({ people, settings }: UsersPageDependencies): Router {
  const router = Router();
  const tenants = settings.tenants.map(({ id }) => ({ value: id }));

  router.get('/console/users', async (req, res) => {
    const query = filled(req.query);
    const tenant = tenantIn(query, settings);
    const { by = 'userName', named, cursor } = query;
    if (!kinds.some(({ value }) => value === by)) {
      const detail = `by needs to be one of ${kinds.map(({ value }) => value).join(', ')}.`;
      throw new RequestError(400, 'malformed_request', detail);
    }
    const place = { tenant, ...(cursor !== undefined && { cursor }) };
    const { users, ...rest } = await people.list(named === undefined ? place : { tenant, [String(by)]: named });
    const found = users.map((user) => row(user, tenant));
    sendPage(
      res,
      { title: 'People', section: '/console/users' },
      html`
        <form class="filters" action="/console/users">
          ${choose('tenant', 'Tenant', tenants, tenant)}
          ${choose('by', 'By', kinds, String(by))}
          ${field('named', 'Exactly', String(named ?? ''), { size: 28 })}
          <button>Find</button>
        </form>
        ${table(named === undefined ? everybody : whoever, found)}
        ${'more' in rest && html`<p class="hint">More people have it than are shown.</p>`}
        ${nextPage('/console/users', { tenant }, 'cursor' in rest ? rest.cursor : undefined, 'More people')}
      `,
    );
  });

  return router;
}

const columns = ['Person', 'Name', 'Id at the provider', 'E-mail', 'State'];
const everybody = {
  ...{ caption: 'The oldest entries first', columns },
  empty: 'Nobody is in the directory: provisioning fills it, or universal-logout users import.',
};
const whoever = { caption: 'Whoever has it', columns, empty: 'Nobody has this identifier.' };

function row(user: Listed, tenant: string): Row {
  const { id, userName, displayName = false, externalId, emails } = user;
  const path = `/console/users/${encodeURIComponent(id)}?${new URLSearchParams({ tenant })}`;
  return [
    html`<a href=${path}>${userName}</a>`,
    displayName,
    externalId === undefined ? false : html`<span class="id">${externalId}</span>`,
    emails.length === 0 ? false : emails.join(', '),
    activity(user),
  ];
}

/** Who is not active can be logged out all the same. */
export function activity({ active, deletedAt }: Pick<Listed, 'active' | 'deletedAt'>) {
  if (deletedAt !== undefined) return stateOf('stopped', 'deleted');
  return active ? stateOf('good', 'active') : stateOf('stopped', 'deactivated');
}
