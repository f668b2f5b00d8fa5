/** `/console/users/{id}`: who somebody is, what a revocation would reach and why not, and to log the person out everywhere. */
import { type Request, Router } from 'express';
import { z } from 'zod';
import type { Docs } from '../../connectors/connector.js';
import type { Apps } from '../apps.js';
import { operatorIn } from '../authenticate.js';
import { parse } from '../parse.js';
import type { Revocations } from '../revocations.js';
import type { UserViews } from '../users.js';
import { type Html, html, moment, type Row, sendPage, stateOf, table } from './layout.js';
import { activity } from './users.js';

type Shown = Awaited<ReturnType<UserViews['read']>>;
type Reach = Shown['apps'][number];
type Lane = Awaited<ReturnType<Apps['list']>>['apps'][number];

export type UserPageDependencies = { people: UserViews; revocations: Revocations; apps: Apps };

const placeQuery = z.strictObject({ tenant: z.string().default('default') });

export function createUserPage({ people, revocations, apps }: UserPageDependencies): Router {
  const router = Router();
  const find = ({ params, query }: Request) => people.read(parse(placeQuery, query).tenant, String(params.id));

  router.get('/console/users/:id', async (req, res) => {
    const user = await find(req);
    const history = new URLSearchParams({ tenant: user.tenant, user: user.id });
    sendPage(
      res,
      { title: user.userName, section: '/console/users' },
      html`
        ${facts(user)}
        <p>
          <a class="button" href=${pathOf(user, '/sign-out')}>Log out everywhere …</a>${' '}
          <a href=${`/console?${history}`}>Revocations of this person</a>${' '}
          <a href=${`/console/audit?${history}`}>Audit trail of this person</a>
        </p>
        <h2>What a revocation would reach now</h2>
        ${table(reach, user.apps.map(row))}
      `,
    );
  });

  router.get('/console/users/:id/sign-out', async (req, res) => {
    const user = await find(req);
    const reached = user.apps.filter((one) => one.reached);
    const { apps: lanes } = await apps.list(user.tenant);
    const told = reached.map(({ app, connector }) => {
      const lane = lanes.find((one) => one.app === app);
      const notes = caveats(lane, apps.docsOf({ tenant: user.tenant, app }));
      return html`<li><b>${app}</b> <span class="fine">${connector}</span>${notes}</li>`;
    });
    const ends =
      told.length > 0
        ? html`<p>These apps are told to end what <b>${user.userName}</b> has there:</p><ul class="told">${told}</ul>`
        : html`<p class="notice">No app knows this person. Only apps that ask for the watermark will hear of it.</p>`;
    sendPage(
      res,
      { title: `Log out ${user.userName} everywhere?`, section: '/console/users' },
      html`
        ${ends}
        <p>The person may sign in again at once, unless the identity provider prevents it.</p>
        <form method="post" action=${pathOf(user, '/sign-out')}>
          <button class="grave">Log out ${user.userName} everywhere</button>${' '}<a href=${pathOf(user)}>Leave it</a>
        </form>
      `,
    );
  });

  router.post('/console/users/:id/sign-out', async (req, res) => {
    const { tenant } = parse(placeQuery, req.query);
    const { revocationId } = await revocations.start({ tenant, id: req.params.id }, operatorIn(res));
    res.redirect(303, `/console/revocations/${revocationId}`);
  });

  return router;
}

/** Why somebody may go on being signed in there, a line each. */
function caveats({ state, failed = 0 }: Partial<Lane> = {}, { coverage, livesOn }: Docs): Html[] {
  const lines: string[] = [];
  if (state === 'paused') lines.push('Paused: it is told once somebody resumes it.');
  if (state === 'held') lines.push('Held: it is told once it answers again.');
  if (failed > 0) lines.push(`Failed: ${failed} of its calls ${failed === 1 ? 'is' : 'are'} kept for a retry.`);
  if (coverage === 'observe') lines.push('Ends nothing unless its settings say so.');
  if (coverage !== 'full') lines.push(`Lives on: ${livesOn}`);
  return lines.map((line) => html`<div class="fine">${line}</div>`);
}

function pathOf({ id, tenant }: Shown, more = ''): string {
  return `/console/users/${encodeURIComponent(id)}${more}?${new URLSearchParams({ tenant })}`;
}

function facts(user: Shown): Html {
  const { id, tenant, externalId, displayName, emails, phoneNumbers, groups, formerGroups = [], validAfter } = user;
  const members: [string, unknown][] = [
    ['State', html`<span>${activity(user)} ${user.deletedAt !== undefined && moment(user.deletedAt)}</span>`],
    ['Name', displayName],
    ['Id here', html`<span class="id">${id}</span>`],
    ['Id at the provider', externalId !== undefined && html`<span class="id">${externalId}</span>`],
    ['E-mail', emails.join(', ')],
    ['Phone', phoneNumbers.join(', ')],
    ['Groups', groups.join(', ')],
    ['Left, and still counts', formerGroups.join(', ')],
    ['Tenant', tenant],
    ['Sessions are good from', validAfter !== undefined && moment(validAfter)],
  ];
  const known = members.filter(([, value]) => value !== undefined && value !== false && value !== '');
  return html`<dl>${known.map(([name, value]) => [html`<dt>${name}</dt>`, html`<dd>${value}</dd>`])}</dl>`;
}

const reach = {
  caption: 'In the order of the settings',
  columns: ['App', 'Reached', 'Account there', 'Why'],
  empty: 'The tenant has no apps.',
};

function row(one: Reach): Row {
  return [
    html`<div><b>${one.app}</b> <span class="fine">${one.connector}</span></div>`,
    one.reached ? stateOf('good', 'yes') : stateOf('stopped', 'no'),
    'account' in one ? one.account : false,
    whyOf(one),
  ];
}

function whyOf(one: Reach): string {
  if ('needs' in one) return `it knows its users by ${one.needs}, which this person has not`;
  if ('assignedTo' in one) return `it is for ${conditionsOf(one.assignedTo)}`;
  const { assignment } = one;
  if (assignment.by === 'everyone') return 'it is for everyone';
  if (assignment.by === 'group') return `in the group ${assignment.group}`;
  return assignment.by === 'users' ? 'named in the settings' : `${assignment.name} is ${assignment.value}`;
}

function conditionsOf(assignedTo: Extract<Reach, { assignedTo: unknown }>['assignedTo']): string {
  if (assignedTo === 'everyone') return 'everyone';
  const { groups, users, attribute } = assignedTo;
  return [
    ...(groups ? [`groups ${groups.join(', ')}`] : []),
    ...(users ? ['people named in the settings'] : []),
    ...(attribute ? [`${attribute.name} ${attribute.values.join(', ')}`] : []),
  ].join('; ');
}
