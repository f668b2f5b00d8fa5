/** Finds the app's own id of a user, remembers it for a while, and forgets it where it proves wrong. */
import { LRUCache } from 'lru-cache';
import { type Account, ConnectorError, NONE, type Outcome, type Pending, unlessNotFound } from './connector.js';

const REMEMBERED = 10_000;
// Short, since an address may be given to somebody else.
const REMEMBERED_FOR_MS = 10 * 60_000;

const idsOf = new WeakMap<object, LRUCache<Account, string>>();

/**
 * Acts on the one user whom the account names. `find` answers the ids of all who match exactly, which `isSame` is for:
 * none is nothing to do, and several are nobody. An id that the app does not know (any more) is looked up anew, once.
 * `isNew`: the id was found in this very attempt. Where the app may say 404 to a wrong path, or to whom it will not let,
 * that is `refused` then, and no success: somebody who was there a moment ago has hardly gone.
 */
export async function withUserId(
  of: { connector: string; options: object; account: Account },
  find: () => Promise<readonly string[]>,
  act: (id: string, isNew: boolean) => Promise<Outcome | Pending>,
): Promise<Outcome | Pending> {
  const { connector, options, account } = of;
  const ids = idsOf.get(options) ?? new LRUCache({ max: REMEMBERED, ttl: REMEMBERED_FOR_MS });
  idsOf.set(options, ids);

  const remembered = ids.get(account);
  if (remembered !== undefined) {
    const outcome = await unlessNotFound(act(remembered, false));
    if (outcome) return outcome;
    ids.delete(account);
  }
  const [id, ...others] = new Set(await find());
  if (id === undefined) return NONE;
  if (others.length > 0) {
    throw new ConnectorError('refused', `${connector}: several users match the account, so none was called for`);
  }
  const outcome = await unlessNotFound(act(id, true));
  if (outcome) ids.set(account, id);
  return outcome ?? NONE;
}
