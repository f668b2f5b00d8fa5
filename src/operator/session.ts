/** Console sessions: in a cookie a random id, in Redis its hash and who signed in, until idle, old, voided or ended. */
import { createHash, createHmac, randomBytes } from 'node:crypto';
import { type Audit, NO_TENANT } from '../audit.js';
import type { Lookup, Users } from '../directory/users.js';
import { orUnavailable, type RedisClient } from '../redis.js';
import type { Settings } from '../settings.js';
import type { ValidAfter } from '../valid-after.js';

const IDLE_MS = 3_600_000;
const LIFE_MS = 8 * 3_600_000;

/** Who has signed in: whoever has the ADMIN_TOKEN, or somebody whom the issuer of `operators.oidc` calls `sub`. */
export type Who = { by: 'token' } | { by: 'oidc'; sub: string };

/** `proof` shows that what let the session in is still in the settings: see `proofOf`. */
type Stored = { who: Who; createdAt: number; usedAt: number; proof: string };

export type Sessions = ReturnType<typeof createSessions>;

export type SessionsOfOperatorsDependencies = {
  redis: RedisClient;
  prefix: string;
  users: Pick<Users, 'findWithDeleted'>;
  validAfter: Pick<ValidAfter, 'read'>;
  audit: Audit;
  settings: Settings;
  adminToken: string | undefined;
  now: () => number;
};

export function createSessions(dependencies: SessionsOfOperatorsDependencies) {
  const { redis, prefix, users, validAfter, audit, settings, adminToken, now } = dependencies;
  const { oidc } = settings.operators;
  const key = (id: string) => `${prefix}:console:session:${sha256(id)}`;
  const places = oidc ? placesOf(settings, oidc.issuer) : [];

  /** As long as nobody can guess the id, this tells nothing of the secret to whoever reads Redis. */
  function proofOf(id: string, { by }: Who): string | undefined {
    const secret = by === 'token' ? adminToken : oidc && JSON.stringify(oidc);
    return secret === undefined ? undefined : createHmac('sha256', secret).update(id).digest('base64url');
  }

  async function close(id: string): Promise<boolean> {
    return (await orUnavailable(redis.del(key(id)))) === 1;
  }

  /** Whether a universal logout of this very person has come since: the gateway logs out of its own pages too. */
  async function isVoided({ who, createdAt }: Stored): Promise<boolean> {
    if (who.by !== 'oidc') return false;
    const voided = places.map(async ({ tenant, identifiers }) => {
      const lookups = identifiers.map((kind): Lookup => ({ kind, value: who.sub }));
      const found = await orUnavailable(users.findWithDeleted(tenant, lookups));
      const ids = found.flatMap(({ living, deleted }) => [...living, ...deleted].map(({ resource }) => resource.id));
      return ((await orUnavailable(validAfter.read(tenant, ids))) ?? Number.NEGATIVE_INFINITY) >= createdAt;
    });
    return (await Promise.all(voided)).includes(true);
  }

  return {
    /**
     * Answers the id of a new session. It is as old as the sign-in that led to it, `since`: who is logged out in between
     * stays out.
     */
    async open(who: Who, since = now()): Promise<string> {
      const id = randomBytes(32).toString('base64url');
      const stored = { who, createdAt: since, usedAt: now(), proof: proofOf(id, who) };
      await orUnavailable(redis.set(key(id), JSON.stringify(stored), 'PX', IDLE_MS));
      return id;
    },

    /** Who has this session, if it is one. `isUse`: somebody did something, as opposed to a page that renews itself. */
    async read(id: string | undefined, { isUse }: { isUse: boolean }): Promise<Who | undefined> {
      if (id === undefined) return undefined;
      const text = await orUnavailable(redis.get(key(id)));
      if (text === null) return undefined;
      const stored = JSON.parse(text) as Stored;
      const { who, createdAt, usedAt, proof } = stored;
      const left = Math.min(createdAt + LIFE_MS, usedAt + IDLE_MS) - now();
      if (left <= 0 || proof !== proofOf(id, who)) return undefined;
      if (await isVoided(stored)) {
        const entry = { event: 'operator.signed_out', reason: 'revoked', operator: operatorOf(who) } as const;
        if (await close(id)) await orUnavailable(audit.record({ tenant: NO_TENANT, ...entry }));
        return undefined;
      }
      if (isUse) {
        // Only where it is still there: it may have been ended meanwhile.
        const ttl = Math.max(1, Math.min(createdAt + LIFE_MS - now(), IDLE_MS));
        await orUnavailable(redis.set(key(id), JSON.stringify({ ...stored, usedAt: now() }), 'PX', ttl, 'XX'));
      }
      return who;
    },

    /** Whether there was one. */
    close,
  };
}

/** The stable id under which the audit trail has an operator. Some issuers use an address as `sub`, which is none. */
export function operatorOf(who: Who): string {
  if (who.by === 'token') return 'ADMIN_TOKEN';
  return who.sub.includes('@') ? `sha256:${sha256(who.sub)}` : who.sub;
}

/** Where a `sub` of this issuer names a person of a directory, and by which identifiers, as a revocation would. */
function placesOf({ tenants }: Settings, issuer: string) {
  const bare = (url: string) => url.replace(/\/$/, '');
  return tenants.flatMap(({ id: tenant, trusts }) => {
    const own = trusts.filter(({ issuers, subjectIssuers }) =>
      [...issuers, ...subjectIssuers].some((one) => bare(one) === bare(issuer)),
    );
    const identifiers = [...new Set(own.flatMap((trust) => trust.identifiers))];
    return identifiers.length === 0 ? [] : [{ tenant, identifiers }];
  });
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('base64url');
}
