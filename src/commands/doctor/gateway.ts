/** The gateway that runs: asked from outside, at publicUrl, as Okta would ask it. */
import type { Config } from '../../config.js';
import { readKeyUse } from '../../data-key-use.js';
import { createOidc } from '../../operator/oidc.js';
import { createOutbound, OutboundError, type OutboundRequest, type OutboundResponse } from '../../outbound/outbound.js';
import { readPeerCertificate } from '../../outbound/peer-certificate.js';
import type { SigningKeys } from '../../outbound/signing-keys.js';
import type { RedisClient } from '../../redis.js';
import { Unavailable } from '../../request-error.js';
import { endpoints } from '../../revocation/trust.js';
import { day, daysUntil, type Finding, notChecked, ok, problem, warning, whyNot } from './finding.js';

const ANSWER_WITHIN_MS = 5_000;
const SOON_DAYS = 30;
const PROXY = 'look at what stands in front of the gateway';

type OidcSettings = Parameters<typeof createOidc>[0];
type Read = Pick<Config, 'configFile' | 'settingsDigest'>;

export async function checkProcesses(redis: RedisClient, prefix: string, read: Read): Promise<Finding[]> {
  const check = 'gateways';
  const told = await readKeyUse(redis, prefix);
  const running = told.flatMap(({ process: where, gateway }) => (gateway ? [{ where, ...gateway }] : []));
  if (running.length === 0) {
    const what = 'none runs with this Redis: nothing is accepted or carried out';
    return [problem(check, what, 'start `universal-logout serve`')];
  }
  const findings: Finding[] = [];
  for (const [role, what] of [
    ['api', 'none receives: no revocation is accepted'],
    ['worker', 'none carries anything out: what is accepted waits'],
  ] as const) {
    if (running.some(({ roles }) => roles.includes(role))) continue;
    findings.push(problem(check, what, `start \`universal-logout serve --role ${role}\`, or one without --role`));
  }
  for (const { where, settings } of running) {
    if (settings === undefined || settings === read.settingsDigest) continue;
    const what = `${where} runs with other settings than are in ${read.configFile} now`;
    findings.push(problem(check, what, 'restart it, or run this where its settings are'));
  }
  if (findings.length > 0) return findings;
  return [ok(check, running.map(({ where, roles }) => `${where} (${roles.join(', ')})`).join(', '))];
}

/** Asks the issuer what the first sign-in would ask it. */
export async function checkSignIn(oidc: OidcSettings, context: Parameters<typeof createOidc>[1]): Promise<Finding> {
  const check = 'operators';
  try {
    await createOidc(oidc, context).begin();
    return ok(check, 'the issuer of operators.oidc answers');
  } catch (error) {
    const why = whyNot(error instanceof Unavailable ? error.cause : error);
    const what = `nobody can sign in at /console, since its issuer cannot be asked: ${why}`;
    return problem(check, what, 'look at operators.oidc in the settings, and at the issuer');
  }
}

type Ask = (path: string, request?: OutboundRequest) => Promise<OutboundResponse>;

/** Asked of each tenant: a request without a token, which is refused and written into the audit trail. */
export async function checkPublicUrl(
  publicUrl: string,
  tenants: readonly string[],
  ours: Pick<SigningKeys, 'jwks'>,
): Promise<Finding[]> {
  // Seen from here, our own address may be a private one.
  const outbound = createOutbound({ allowNetworks: ['0.0.0.0/0', '::/0'] });
  const ask: Ask = (url, request) => outbound.send(url, { timeoutMs: ANSWER_WITHIN_MS, ...request });
  try {
    const certificate = await checkCertificate(publicUrl);
    const ready = await checkReady(publicUrl, ask);
    if (ready.state === 'not checked') {
      const unasked = tenants.map((tenant) =>
        notChecked(`endpoint ${tenant}`, 'publicUrl cannot be reached from here'),
      );
      const todo = 'it may be so on purpose; else look at DNS, TLS and what stands in front of the gateway';
      return [...certificate, warning(ready.check, `${publicUrl}: ${ready.what}`, todo), ...unasked];
    }
    const answers = tenants.map((tenant) =>
      Promise.all([
        unlessSilent(`endpoint ${tenant}`, (check) => checkEndpoint(check, publicUrl, tenant, ask)),
        unlessSilent(`metadata ${tenant}`, (check) => checkMetadata(check, publicUrl, tenant, ask)),
      ]),
    );
    const whose =
      ours.jwks.keys.length > 0
        ? [await unlessSilent('public URL', (check) => checkWhose(check, publicUrl, ours, ask))]
        : [];
    return [...certificate, ready, ...whose, ...(await Promise.all(answers)).flat()];
  } finally {
    await outbound.close();
  }
}

/** Another request was answered there. */
async function unlessSilent(check: string, look: (check: string) => Promise<Finding>): Promise<Finding> {
  try {
    return await look(check);
  } catch (error) {
    if (!(error instanceof OutboundError)) throw error;
    return problem(check, error.message, PROXY);
  }
}

/** `not checked` where nobody answers. */
async function checkReady(publicUrl: string, ask: Ask): Promise<Finding> {
  const check = 'public URL';
  try {
    const { status, body } = await ask(`${publicUrl}/readyz`);
    const { reason } = (jsonOf(body) ?? {}) as { reason?: unknown };
    if (status === 200) return ok(check, `${publicUrl} answers and is ready`);
    if (status === 503 && typeof reason === 'string' && /^\w+$/.test(reason)) {
      return problem(check, `/readyz says ${reason}`, 'docs/operate.md says what to do about each reason');
    }
    if (status >= 500)
      return problem(check, `${publicUrl} answers ${status}, not by the gateway`, `is it running? ${PROXY}`);
    return warning(check, `/readyz is not shown there (${status})`, 'ask the process itself: HOST and PORT');
  } catch (error) {
    if (!(error instanceof OutboundError)) throw error;
    return notChecked(check, error.message);
  }
}

/** Another gateway, with another Redis, answers like ours; but it has other keys. */
async function checkWhose(check: string, publicUrl: string, { jwks }: Pick<SigningKeys, 'jwks'>, ask: Ask) {
  const { status, body } = await ask(`${publicUrl}/.well-known/jwks.json`);
  const shown = (jsonOf(body) as { keys?: { n?: unknown }[] } | undefined)?.keys;
  if (status !== 200 || !Array.isArray(shown)) {
    return notChecked(check, 'whether the gateway there is ours, which its signing keys would tell');
  }
  if (jwks.keys.some(({ n }) => shown.some((key) => key?.n === n))) return ok(check, 'shows our signing keys');
  const what = 'another gateway answers there: it has none of the keys of DATA_DIR/signing-keys.json';
  return problem(check, what, 'mend publicUrl or what stands in front, or give all gateways the same file');
}

async function checkEndpoint(check: string, publicUrl: string, tenant: string, ask: Ask): Promise<Finding> {
  const [url = ''] = endpoints(publicUrl, tenant);
  const headers = { 'content-type': 'application/json' };
  const { status, headers: answered } = await ask(url, { method: 'POST', headers, body: '{}' });
  if (status === 401) {
    if (/^bearer\b/i.test(answered['www-authenticate'] ?? '')) return ok(check, `${url} refuses who has no token`);
    return problem(check, `${url}: 401 without WWW-Authenticate: Bearer, so it is not ours, or was rewritten`, PROXY);
  }
  if (status === 429)
    return warning(check, `${url} answers 429: too many refused requests from here`, 'ask again in a minute');
  if (status === 404 || status === 405) {
    return problem(check, `${url} answers ${status}: another path or service is there`, `${PROXY}, and at publicUrl`);
  }
  return problem(check, `${url} answers ${status} to a request without a token, not 401`, PROXY);
}

async function checkMetadata(check: string, publicUrl: string, tenant: string, ask: Ask): Promise<Finding> {
  const suffix = tenant === 'default' ? '' : `/tenants/${tenant}`;
  const { status, body } = await ask(`${publicUrl}/.well-known/oauth-authorization-server${suffix}`);
  const named = (jsonOf(body) as { global_token_revocation_endpoint?: unknown } | undefined)
    ?.global_token_revocation_endpoint;
  if (status !== 200 || typeof named !== 'string') {
    return warning(
      check,
      `the metadata of RFC 8414 is not shown (${status})`,
      `callers who look for it need it; ${PROXY}`,
    );
  }
  if (named === endpoints(publicUrl, tenant)[0]) return ok(check, 'names the endpoint as the settings do');
  const todo = 'restart the gateway if publicUrl was changed, or mend it';
  return problem(check, `names another endpoint than these settings: ${JSON.stringify(named.slice(0, 200))}`, todo);
}

async function checkCertificate(publicUrl: string): Promise<Finding[]> {
  const check = 'certificate';
  if (!publicUrl.startsWith('https:')) return [];
  const seen = await readPeerCertificate(publicUrl, ANSWER_WITHIN_MS).catch(() => undefined);
  if (!seen) return [notChecked(check, 'no TLS server answers at publicUrl from here')];
  const { goodUntil, refused } = seen;
  const days = daysUntil(goodUntil);
  if (days < 0) return [problem(check, `ran out on ${day(goodUntil)}: Okta does not call`, 'renew it')];
  if (refused)
    return [
      problem(check, `clients do not trust it (${refused})`, 'install one of a public authority, with its chain'),
    ];
  const what = `good until ${day(goodUntil)}, for ${days} days`;
  return [days < SOON_DAYS ? warning(check, what, 'renew it') : ok(check, what)];
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
