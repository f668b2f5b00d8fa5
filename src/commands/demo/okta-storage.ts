/** What the stand-in Okta remembers, in memory: apps, sign-ins, sessions, codes and tokens. */
import type { AdapterFactory, AdapterPayload } from 'oidc-provider';

export function createOktaStorage() {
  const rows = new Map<string, { payload: AdapterPayload; expiresAtMs: number }>();

  function deleteWhere(matches: (payload: AdapterPayload) => boolean) {
    for (const [key, { payload }] of rows) {
      if (matches(payload)) rows.delete(key);
    }
  }

  const adapter: AdapterFactory = (model) => {
    const keyOf = (id: string) => `${model}:${id}`;

    function find(id: string): AdapterPayload | undefined {
      const row = rows.get(keyOf(id));
      return row && row.expiresAtMs > Date.now() ? row.payload : undefined;
    }

    return {
      async upsert(id, payload, expiresIn) {
        rows.set(keyOf(id), { payload, expiresAtMs: expiresIn ? Date.now() + expiresIn * 1000 : Infinity });
      },
      async find(id) {
        return find(id);
      },
      async findByUid(uid) {
        for (const [key, { payload }] of rows) {
          if (payload.uid === uid && key.startsWith(keyOf(''))) return payload;
        }
        return undefined;
      },
      async findByUserCode() {
        throw new TypeError('the device flow is off');
      },
      async consume(id) {
        const payload = find(id);
        if (payload) payload.consumed = Math.floor(Date.now() / 1000);
      },
      async destroy(id) {
        rows.delete(keyOf(id));
      },
      async revokeByGrantId(grantId) {
        deleteWhere((payload) => payload.grantId === grantId);
      },
    };
  };

  return {
    adapter,
    /** Ends the person's sessions and everything issued from them. */
    clearSessions(accountId: string): void {
      deleteWhere((payload) => payload.accountId === accountId);
    },
  };
}
