/** The keys of one tenant's revocations in Redis: in one slot of a cluster, so that one script can write several. */
export type TenantKeys = ReturnType<typeof tenantKeys>;

export function tenantKeys(prefix: string, tenant: string) {
  const start = `${prefix}:{${tenant}}`;
  return {
    record: (revocationId: string) => `${start}:revocation:${revocationId}`,
    /** All revocations by time of acceptance. */
    index: `${start}:revocations`,
    /** Those of one person, likewise. */
    ofUser: (user: string) => `${start}:revocations:${user}`,
    /** Those that are not over, by time of acceptance. */
    open: `${start}:open`,
    /** Those of them that the operators were told of, because they take long. */
    overdue: `${start}:overdue`,
    /** What waits and what runs for one account of an app. */
    account: (app: string, digest: string) => `${start}:account:${app}:${digest}`,
    /** What an app has reported about one of its accounts or jobs. */
    evidence: (app: string, about: string) => `${start}:evidence:${app}:${about}`,
    /** An app's breaker, and whether it is paused. */
    lane: (app: string) => `${start}:lane:${app}`,
  };
}
