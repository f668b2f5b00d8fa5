/** Console sessions: in a cookie a random id, in Redis its hash and who signed in, until idle, old, voided or ended. */
import { createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { type Audit, NO_TENANT } from '../audit.js';
import type { Lookup, Users } from '../directory/users.js';
import { orUnavailable, type RedisClient } from '../redis.js';
import type { Settings } from '../settings.js';
import type { ValidAfter } from '../valid-after.js';
import { placesOfOperators } from './places.js';

const IDLE_MS = 3_600_000;
const LIFE_MS = 8 * 3_600_000;
/** So many are looked at who share the identifier by which a directory knows an operator. */
const PEOPLE = 100;

/** Who has signed in: whoever has the ADMIN_TOKEN, or somebody whom the issuer of `operators.oidc` calls `sub`. */
export type Who = { by: 'token' } | { by: 'oidc'; sub: string };

/** `proof` shows that what let the session in is still in the settings: see `proofOf`. */
type Stored = { who: Who; createdAt: number; usedAt: number; proof?: string };

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
  const places = placesOfOperators(settings);

  /**
   * As long as nobody can guess the id, this tells nothing of the secret to whoever reads Redis. Whoever writes there
   * cannot make a session, nor one of somebody else or a younger one of another.
   */
  function proofOf(id: string, { who, createdAt }: Pick<Stored, 'who' | 'createdAt'>): string | undefined {
    const secret = who.by === 'token' ? adminToken : oidc && JSON.stringify(oidc);
    if (secret === undefined) return undefined;
    return createHmac('sha256', secret)
      .update(JSON.stringify([id, operatorOf(who), createdAt]))
      .digest('base64url');
  }

  async function close(id: string): Promise<boolean> {
    return (await orUnavailable(redis.del(key(id)))) === 1;
  }

  /**
   * Why the session is over before its time: a universal logout of this very person has come since, for the gateway logs
   * out of its own pages too; or the directory knows the person, and that nobody of that name works here any more.
   */
  async function endOf({ who, createdAt }: Stored): Promise<'revoked' | 'deactivated' | undefined> {
    if (who.by !== 'oidc') return undefined;
    const found = await Promise.all(places.map((place) => peopleAt(place, who.sub)));
    if (found.some(({ validAfter: since }) => since !== undefined && since >= createdAt)) return 'revoked';
    const people = found.flatMap((one) => one.people);
    return people.length > 0 && !people.some(({ isActive }) => isActive) ? 'deactivated' : undefined;
  }

  async function peopleAt({ tenant, identifiers }: (typeof places)[number], sub: string) {
    const lookups = identifiers.map((kind): Lookup => ({ kind, value: sub }));
    const found = await orUnavailable(users.findWithDeleted(tenant, lookups, PEOPLE));
    const people = found.flatMap(({ living, deleted }) => [
      ...living.map(({ resource }) => ({ id: resource.id, isActive: resource.active !== false })),
      ...deleted.map(({ resource }) => ({ id: resource.id, isActive: false })),
    ]);
    const ids = people.map(({ id }) => id);
    return { people, validAfter: await orUnavailable(validAfter.read(tenant, ids)) };
  }

  return {
    /**
     * Answers the id of a new session. It is as old as the sign-in that led to it, `since`: who is logged out in between
     * stays out.
     */
    async open(who: Who, since = now()): Promise<string> {
      const id = randomBytes(32).toString('base64url');
      const stored = { who, createdAt: since, usedAt: now(), proof: proofOf(id, { who, createdAt: since }) };
      await orUnavailable(redis.set(key(id), JSON.stringify(stored), 'PX', IDLE_MS));
      return id;
    },

    /** Who has this session, if it is one. `isUse`: somebody did something, as opposed to a page that renews itself. */
    async read(id: string | undefined, { isUse }: { isUse: boolean }): Promise<Who | undefined> {
      if (id === undefined) return undefined;
      const text = await orUnavailable(redis.get(key(id)));
      if (text === null) return undefined;
      const stored = JSON.parse(text) as Stored;
      const { who, createdAt, usedAt } = stored;
      const left = Math.min(createdAt + LIFE_MS, usedAt + IDLE_MS) - now();
      if (left <= 0 || !isSame(stored.proof, proofOf(id, stored))) return undefined;
      const reason = await endOf(stored);
      if (reason !== undefined) {
        const entry = { event: 'operator.signed_out', reason, operator: operatorOf(who) } as const;
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

/**
 * The stable id under which the audit trail has an operator, and never that of an operator of another kind. Some issuers
 * use an address as `sub`, which is none.
 */
export function operatorOf(who: Who): string {
  if (who.by === 'token') return 'ADMIN_TOKEN';
  return /@|%40/.test(who.sub) ? `oidc:sha256:${sha256(who.sub)}` : `oidc:${who.sub}`;
}

function isSame(proof: string | undefined, expected: string | undefined): boolean {
  if (proof === undefined || expected === undefined || proof.length !== expected.length) return false;
  return timingSafeEqual(Buffer.from(proof), Buffer.from(expected));
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('base64url');
}
