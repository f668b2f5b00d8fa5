/** Who may ask: each exact pair of issuer and client of a tenant, with its keys and what it is allowed. */
import type { Logger } from '../logger.js';
import type { Metrics } from '../metrics.js';
import type { Outbound } from '../outbound/outbound.js';
import type { Settings, TenantSettings, TrustSettings } from '../settings.js';
import { createKeySource, type KeySource, type OnFetch } from './keys.js';

export type Trust = Omit<TrustSettings, 'keys'> & {
  tenant: string;
  keys: KeySource;
  emailLocalPart: TenantSettings['emailLocalPart'];
};

export type Trusts = ReturnType<typeof createTrusts>;

export type TrustDependencies = { send: Outbound['send']; now: () => number; metrics: Metrics; logger: Logger };

const TOLD_EVERY_MS = 60_000;

export function createTrusts(settings: Settings, { send, now, metrics, logger }: TrustDependencies) {
  // Issuer and client are two keys, never one composed string: no value of one can spell a part of the other.
  const byTenant = new Map<string, Map<string, Map<string, Trust>>>();
  for (const tenant of settings.tenants) {
    const byIssuer = new Map<string, Map<string, Trust>>();
    byTenant.set(tenant.id, byIssuer);
    for (const trust of tenant.trusts) {
      const ids = { tenant: tenant.id, trust: trust.id };
      let toldAt = Number.NEGATIVE_INFINITY;
      const onFetch: OnFetch = (outcome, error) => {
        metrics.keyFetches.inc({ ...ids, outcome });
        if (outcome === 'fetched') metrics.keysFetchedAt.set(ids, now() / 1_000);
        else if (now() - toldAt >= TOLD_EVERY_MS) {
          toldAt = now();
          logger.error({ ...ids, error }, 'keys.not_fetched');
        }
      };
      const ready = createTrust(settings, tenant, trust, createKeySource(trust.keys, { send, now, onFetch }));
      for (const issuer of trust.issuers) {
        const byClient = byIssuer.get(issuer) ?? new Map<string, Trust>();
        byIssuer.set(issuer, byClient.set(trust.client, ready));
      }
    }
  }
  /** The trust of this tenant for exactly this issuer and this client. */
  return function find(tenant: string, iss: string, client: string): Trust | undefined {
    return byTenant.get(tenant)?.get(iss)?.get(client);
  };
}

function createTrust(settings: Settings, tenant: TenantSettings, trust: TrustSettings, keys: KeySource): Trust {
  return {
    ...trust,
    tenant: tenant.id,
    keys,
    audiences: trust.audiences.length > 0 ? trust.audiences : endpoints(settings.publicUrl, tenant.id),
    ...subjectPolicyOf(tenant, trust),
  };
}

/** Which subjects the trust may name, and by what. */
export function subjectPolicyOf(tenant: TenantSettings, trust: TrustSettings) {
  return {
    emailLocalPart: tenant.emailLocalPart,
    identifiers: trust.identifiers,
    subjectIssuers: trust.subjectIssuers.length > 0 ? trust.subjectIssuers : trust.issuers,
  };
}

/** The URLs of a tenant's endpoint; the default tenant has the short one too. */
export function endpoints(publicUrl: string, tenant: string): string[] {
  const url = `${publicUrl}/tenants/${tenant}/global-token-revocation`;
  return tenant === 'default' ? [`${publicUrl}/global-token-revocation`, url] : [url];
}
