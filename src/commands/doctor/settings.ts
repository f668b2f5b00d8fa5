/** The settings: every mistake in them, what they leave open, and who else can read their files. */
import { readFileSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseDocument, visit } from 'yaml';
import type { Config } from '../../config.js';
import { whyOutOfReach } from '../../operator/places.js';
import { endpoints } from '../../revocation/trust.js';
import type { TenantSettings } from '../../settings.js';
import { type Finding, ok, problem, warning } from './finding.js';

const OTHERS_READ = 0o004;
const NOT_OURS = 0o077;
const SECRET_NAME = /(secret|token|password|bearer|apiKey|privateKey)s?$/i;

export function mistakes(problems: readonly string[]): Finding[] {
  return problems.map((text) => problem('settings', text));
}

export function checkSettings(config: Config, tenants: readonly TenantSettings[]): Finding[] {
  const { adminToken, settings } = config;
  const outOfReach = whyOutOfReach(settings);
  return [
    ok('settings', `${config.configFile} and the environment are good`),
    checkOperators(adminToken, settings.operators),
    ...(outOfReach ? [warning('operators', outOfReach, 'name the issuer by which a trust knows them there')] : []),
    ...(settings.alerts.webhook
      ? []
      : [warning('alerts', 'nobody is told when a revocation fails', 'set alerts.webhook')]),
    ...tenants.flatMap((tenant) => checkTenant(tenant, settings.publicUrl)),
  ];
}

function checkOperators(adminToken: string | undefined, { oidc }: Config['settings']['operators']): Finding {
  if (adminToken !== undefined) return ok('operators', 'ADMIN_TOKEN is set');
  const open = oidc
    ? 'nobody comes in while the issuer of operators.oidc is away'
    : '/api and /console refuse everybody';
  return warning('operators', `ADMIN_TOKEN is not set: ${open}`, 'set it: `openssl rand -hex 24` makes one');
}

function checkTenant({ id, trusts, apps }: TenantSettings, publicUrl: string): Finding[] {
  const off = trusts.filter(({ enabled }) => !enabled).map((trust) => trust.id);
  const check = `tenant ${id}`;
  const findings: Finding[] = [];
  if (trusts.length === 0) findings.push(warning(check, 'has no trusts: nobody may ask for a revocation', 'add one'));
  if (off.length > 0) {
    const requests = `its requests are answered 403 (${off.join(', ')})`;
    findings.push(warning(check, `a trust is disabled: ${requests}`, 'take out `enabled: false`, or the trust'));
  }
  const ours = endpoints(publicUrl, id);
  for (const { id: trust, audiences } of trusts.filter(({ enabled }) => enabled)) {
    if (audiences.length === 0 || audiences.some((audience) => ours.includes(audience))) continue;
    const what = `audiences of ${trust} lack the endpoint: a JWT of Okta, made for ${ours[0]}, is answered 401`;
    findings.push(warning(check, what, 'add it, or take audiences out'));
  }
  if (apps.length === 0) findings.push(warning(check, 'has no apps: a revocation logs out nowhere', 'add one'));
  return findings.length > 0 ? findings : [ok(check, `trusts: ${trusts.length}, apps: ${apps.length}`)];
}

/** `.env` and the settings file, if others may read secrets in them, and DATA_DIR with its keys. */
export function checkFiles({ configFile, dataDir }: Pick<Config, 'configFile' | 'dataDir'>): Finding[] {
  const findings: Finding[] = [];
  const env = resolve('.env');
  if (modeOf(env) & OTHERS_READ) findings.push(warning('files', `everybody may read ${env}`, `chmod 600 ${env}`));
  const secrets = modeOf(configFile) & OTHERS_READ ? secretsIn(configFile) : [];
  if (secrets.length > 0) {
    const where = secrets.slice(0, 3).join(', ') + (secrets.length > 3 ? ', …' : '');
    const todo = `put \${NAME} in their place and the values into the environment, or chmod 600 ${configFile}`;
    findings.push(warning('files', `everybody may read ${configFile}, which has secrets in it (${where})`, todo));
  }
  const mode = modeOf(dataDir);
  if (mode === 0) return [...findings, ok('data directory', `there is no ${dataDir} yet: \`serve\` makes it`)];
  if (mode & NOT_OURS) findings.push(warning('files', `others may look into ${dataDir}`, `chmod 700 ${dataDir}`));
  for (const name of ['signing-keys.json', 'data-keys.json']) {
    const file = join(dataDir, name);
    if (modeOf(file) & NOT_OURS) findings.push(warning('files', `others may read ${file}`, `chmod 600 ${file}`));
  }
  return findings.length > 0 ? findings : [ok('files', 'nobody else may read secrets')];
}

/** 0 where there is none. */
function modeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.mode ?? 0;
}

/** The names of what looks like a secret and is written out. */
function secretsIn(file: string): string[] {
  const found: string[] = [];
  visit(parseDocument(readFileSync(file, 'utf8')), {
    Pair(_, { key, value }) {
      const name = String(key);
      const text = String(value);
      if (SECRET_NAME.test(name) && !text.includes('${') && !/^(null|)$/.test(text)) found.push(name);
    },
  });
  return [...new Set(found)];
}
