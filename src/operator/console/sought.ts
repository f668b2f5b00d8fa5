/** Whom the field for a person means: whoever has what is in it as any identifier. */
import { identifierKinds, type UserResource } from '../../directory/user.js';
import type { Users } from '../../directory/users.js';
import { orUnavailable } from '../../redis.js';
import type { Settings } from '../../settings.js';
import { type Html, html } from './layout.js';

/** More than so many people with one identifier are not told apart here. */
const SHARING = 20;

export type Sought = {
  /** Asked of what is kept of each person: also an id of which the directory knows nothing any more. */
  user?: string;
  /** Where it is not one person. */
  people?: UserResource[];
};

export type WhoIs = ReturnType<typeof createWhoIs>;

export function createWhoIs(users: Pick<Users, 'find'>, { tenants }: Settings) {
  return async function whoIs(tenant: string, typed: unknown): Promise<Sought> {
    if (typeof typed !== 'string') return {};
    if (!tenants.some(({ id }) => id === tenant)) return { user: typed };
    const lookups = identifierKinds.map((kind) => ({ kind, value: typed }));
    const found = await orUnavailable(users.find(tenant, lookups, SHARING));
    const people = [...new Map(found.flat().map(({ resource }) => [resource.id, resource])).values()];
    const [one] = people;
    if (one && people.length === 1) return { user: one.id };
    return one ? { people } : { user: typed, people };
  };
}

export const isSeveral = ({ people = [] }: Sought): boolean => people.length > 1;

/** What is to be said about it; `path` and `query` are those of the page. */
export function aboutSought({ people }: Sought, path: string, query: Record<string, unknown>): Html | false {
  if (people === undefined) return false;
  if (people.length === 0) {
    return html`<p class="notice">Nobody in the directory has the identifier <b>${query.user}</b>.</p>`;
  }
  const { cursor: _, ...same } = query;
  const choices = people.map(({ id, userName }) => {
    const href = `${path}?${new URLSearchParams({ ...(same as Record<string, string>), user: id })}`;
    return html`<li><a href=${href}>${userName}</a> <span class="id fine">${id}</span></li>`;
  });
  return html`<div class="notice">Several people have the identifier <b>${query.user}</b>:<ul>${choices}</ul></div>`;
}
