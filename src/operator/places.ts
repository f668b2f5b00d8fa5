/** Where a `sub` of the issuer of `operators.oidc` names a person of a directory, as it would in a revocation. */
import type { IdentifierKind } from '../directory/user.js';
import type { Settings } from '../settings.js';

export type Place = { tenant: string; identifiers: IdentifierKind[] };

export function placesOfOperators({ operators: { oidc }, tenants }: Settings): Place[] {
  if (!oidc) return [];
  const issuers = (oidc.subjectIssuers.length > 0 ? oidc.subjectIssuers : [oidc.issuer]).map(bare);
  return tenants.flatMap(({ id: tenant, trusts }) => {
    const own = trusts.filter((trust) =>
      [...trust.issuers, ...trust.subjectIssuers].some((one) => issuers.includes(bare(one))),
    );
    const identifiers = [...new Set(own.flatMap((trust) => trust.identifiers))];
    return identifiers.length === 0 ? [] : [{ tenant, identifiers }];
  });
}

/** What is wrong where a universal logout of an operator would not end the operator's session at the console. */
export function whyOutOfReach(settings: Settings): string | undefined {
  if (!settings.operators.oidc || placesOfOperators(settings).length > 0) return undefined;
  return "a universal logout of an operator does not end the operator's console session: no trust of any tenant has the issuer of operators.oidc, or one of its subjectIssuers";
}

function bare(url: string): string {
  return url.replace(/\/$/, '');
}
