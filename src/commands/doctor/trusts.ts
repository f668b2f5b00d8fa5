/** Each trust: whether its keys can be had now, which of them are of use, and when its certificates run out. */
import { X509Certificate } from 'node:crypto';
import type { JWK } from 'jose';
import type { Outbound } from '../../outbound/outbound.js';
import { Unavailable } from '../../request-error.js';
import { createKeySource, MAX_CANDIDATES } from '../../revocation/keys.js';
import type { TrustSettings } from '../../settings.js';
import { counted, day, daysUntil, type Finding, ok, problem, warning, whyNot } from './finding.js';

const SOON_DAYS = 30;

export async function checkTrust(tenant: string, trust: TrustSettings, send: Outbound['send']): Promise<Finding[]> {
  const check = `keys ${tenant}/${trust.id}`;
  const source = createKeySource(trust.keys, { send, now: Date.now, onFetch: () => {} });
  const found = new Set<JWK>();
  const without: string[] = [];
  let isAll = true;
  try {
    for (const alg of trust.algorithms) {
      const candidates = await source.candidates({ alg, kid: undefined });
      if (candidates.length === 0) without.push(alg);
      for (const key of candidates) found.add(key);
      isAll &&= candidates.length < MAX_CANDIDATES;
    }
  } catch (error) {
    if (!(error instanceof Unavailable)) throw error;
    const what = `cannot be fetched: ${whyNot(error.cause)}`;
    return [problem(check, what, 'requests are 503 without them: look at keys in the settings, and at the issuer')];
  }
  const certificates = 'certificates' in trust.keys ? checkCertificates(check, trust.keys.certificates) : [];
  const count = `${isAll ? '' : 'at least '}${counted(found.size, 'usable key')}`;
  if (found.size === 0) {
    const what = `${count} for ${trust.algorithms.join(', ')}: every request is refused`;
    return [problem(check, what, 'name the keys with which the issuer signs, or its algorithms'), ...certificates];
  }
  if (without.length > 0) {
    return [
      warning(check, `${count}, none for ${without.join(', ')}`, 'take those out of algorithms'),
      ...certificates,
    ];
  }
  return [ok(check, `${count} for ${trust.algorithms.join(', ')}`), ...certificates];
}

function checkCertificates(of: string, pems: readonly string[]): Finding[] {
  const check = of.replace('keys', 'certificates');
  const ends = pems.map((pem) => Date.parse(new X509Certificate(pem).validTo)).toSorted((a, b) => a - b);
  const until = (list: readonly number[]) => list.map(day).join(', ');
  const over = ends.filter((end) => end < Date.now());
  const soon = ends.filter((end) => end >= Date.now() && daysUntil(end) < SOON_DAYS);
  const todo = "list the one that Okta's app signs with now, beside the old one";
  if (over.length === ends.length)
    return [problem(check, `all ran out (${until(over)}): Okta signs with others by now`, todo)];
  if (over.length > 0)
    return [warning(check, `ran out on ${until(over)}; good until ${until(ends.slice(over.length))}`, todo)];
  if (soon.length > 0) return [warning(check, `run out soon: ${until(soon)}`, todo)];
  return [ok(check, `good until ${until(ends)}`)];
}
