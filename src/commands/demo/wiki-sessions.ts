/** The wiki's sessions, in memory, which a logout token ends by `sid` or by `sub`. */
import type { ConfigParams } from 'express-openid-connect';
import { decodeJwt } from 'jose';

type Store = NonNullable<NonNullable<ConfigParams['session']>['store']>;
type Payload = Parameters<Store['set']>[1];

export function createWikiSessions() {
  const live = new Map<string, Payload>();
  const ended = new Set<string>();

  function end(id: string) {
    live.delete(id);
    ended.add(id);
  }

  const store: Store = {
    get(id, callback) {
      callback(null, live.get(id));
    },
    set(id, payload, callback) {
      // Every response writes its session back, and one that was under way when the session ended must not revive it.
      if (!ended.has(id)) live.set(id, payload);
      callback?.();
    },
    destroy(id, callback) {
      end(id);
      callback?.();
    },
  };

  /** Back-Channel Logout 1.0 §2.4: a token with a `sid` names one session, one with only a `sub` all of the person's. */
  function endAll(logoutToken: { sub?: string; sid?: string }): void {
    for (const [id, { data }] of live) {
      const claims = decodeJwt(data.id_token);
      if (logoutToken.sid ? claims.sid === logoutToken.sid : claims.sub === logoutToken.sub) end(id);
    }
  }

  return { store, endAll };
}
