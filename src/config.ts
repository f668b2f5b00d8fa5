/** Reads the environment and the settings file once: every setting, or every problem with them at once. */
import { hash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { isMap, LineCounter, parseDocument } from 'yaml';
import type { z } from 'zod';
import { readCertificates } from './certificates.js';
import { registry } from './connectors/registry.js';
import { type DataKey, parseDataKeys } from './data-key.js';
import { parseRedisUrl } from './redis-url.js';
import { type Settings, settingsSchema } from './settings.js';

const MAX_CERTIFICATES = 5;
const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const;

export type Environment = Readonly<Record<string, string | undefined>>;

/** What the process itself is told by its environment. */
export type ProcessConfig = {
  port: number;
  host: string;
  redisUrl: string | undefined;
  /** So many replicas have to have an accepted revocation before it is answered. */
  redisWaitReplicas: number;
  configFile: string;
  dataDir: string;
  adminToken: string | undefined;
  /** The first seals; none where DATA_KEY is not set. */
  dataKeys: readonly DataKey[];
  logLevel: (typeof LOG_LEVELS)[number];
  /** Where set, traces are sent; the SDK of OpenTelemetry reads the variable itself. */
  otlpEndpoint: string | undefined;
};

export type Config = Readonly<
  ProcessConfig & {
    settings: Settings;
    /** Of the file as it is written, `${NAME}` and all; undefined where the settings are from no file. */
    settingsDigest?: string;
  }
>;

/** Everything that is wrong with the settings: one line each, with its place. Values are never shown. */
export class ConfigError extends Error {
  readonly problems: readonly string[];
  constructor(problems: readonly string[]) {
    super(problems.join('\n'));
    this.name = 'ConfigError';
    this.problems = problems;
  }
}

/** Reads every setting. Throws a ConfigError that lists every problem of the environment and of the file. */
export function readConfig(env: Environment = process.env): Config {
  const problems: string[] = [];
  const own = readProcessConfig(env, problems);
  const read = readSettingsFile(own.configFile, env, problems);
  if (problems.length > 0 || !read) throw new ConfigError(problems);
  return Object.freeze({ ...own, ...read });
}

/** The settings of the process alone, for commands that need no settings file. */
export function readProcessConfig(env: Environment, problems: string[]): ProcessConfig {
  const port = env.PORT || '3000';
  if (!/^\d{1,5}$/.test(port) || Number(port) > 65_535) problems.push('PORT is not a port: use 0 to 65535');
  const redisUrl = env.REDIS_URL || undefined;
  if (redisUrl) parseRedisUrl(redisUrl, (problem) => problems.push(`REDIS_URL ${problem}`));
  const waitReplicas = env.REDIS_WAIT_REPLICAS || '0';
  if (!/^\d{1,2}$/.test(waitReplicas)) problems.push('REDIS_WAIT_REPLICAS is not a number of replicas: use 0 to 99');
  else if (Number(waitReplicas) > 0 && !redisUrl) {
    problems.push('REDIS_WAIT_REPLICAS is set without REDIS_URL: the private Redis has no replicas');
  }
  const adminToken = env.ADMIN_TOKEN || undefined;
  if (adminToken && adminToken.length < 20) problems.push('ADMIN_TOKEN is too short: use at least 20 characters');
  const reportKey = (problem: string) => problems.push(`DATA_KEY is not usable: ${problem}`);
  const dataKeys = env.DATA_KEY ? parseDataKeys(env.DATA_KEY, reportKey) : [];
  const logLevel = LOG_LEVELS.find((level) => level === (env.LOG_LEVEL || 'info'));
  if (!logLevel) problems.push(`LOG_LEVEL is not a level: use one of ${LOG_LEVELS.join(', ')}`);
  const otlpEndpoint = env.OTEL_EXPORTER_OTLP_ENDPOINT || undefined;
  if (otlpEndpoint && !/^https?:\/\/./.test(otlpEndpoint)) {
    problems.push('OTEL_EXPORTER_OTLP_ENDPOINT is not an http(s) URL: use one such as http://127.0.0.1:4318');
  }
  return {
    port: Number(port),
    host: env.HOST || '127.0.0.1',
    redisUrl,
    redisWaitReplicas: Number(waitReplicas),
    configFile: resolve(env.CONFIG_FILE || 'universal-logout.yaml'),
    dataDir: resolve(env.DATA_DIR || 'data'),
    adminToken,
    dataKeys,
    logLevel: logLevel ?? 'info',
    otlpEndpoint,
  };
}

function readSettingsFile(file: string, env: Environment, problems: string[]) {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    const missing = (error as { code?: string }).code === 'ENOENT';
    problems.push(
      missing
        ? `There is no settings file at ${file}: run \`universal-logout init\` to write one, or name one with CONFIG_FILE.`
        : `The settings file ${file} cannot be read (${(error as { code?: string }).code ?? 'unknown error'}).`,
    );
    return undefined;
  }
  const settings = parseSettings(text, file, env, problems);
  return settings && { settings, settingsDigest: hash('sha256', text).slice(0, 16) };
}

/** Parses YAML or JSON text; `file` names it in problems and is where relative paths start. */
export function parseSettings(text: string, file: string, env: Environment, problems: string[]): Settings | undefined {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, uniqueKeys: true, prettyErrors: false });
  const at = (offset: number | undefined) => {
    const { line, col } = lines.linePos(offset ?? 0);
    return `${file}:${line}:${col}`;
  };
  // What follows a colon in these messages is a piece of the file, and may be one of a secret.
  for (const error of document.errors) problems.push(`${at(error.pos[0])} ${error.message.replace(/: .*$/s, '')}`);
  if (document.errors.length > 0) return undefined;

  /** The offset of the deepest node on the way to `path` that exists. */
  const offsetOf = (path: readonly PropertyKey[]): number => {
    for (let length = path.length; length >= 0; length--) {
      const node = length === 0 ? document.contents : document.getIn(path.slice(0, length), true);
      const range = (node as { range?: [number, number, number] } | undefined)?.range;
      if (range) return range[0];
    }
    return 0;
  };
  const report = (path: readonly PropertyKey[], problem: string) =>
    problems.push(`${at(offsetOf(path))} ${pathText(path)} ${problem}`.replace('  ', ' '));

  const before = problems.length;
  const unset = new Set<string>();
  let filled: unknown;
  try {
    filled = fillIn(document.toJS(), env, [], (path, problem) => {
      unset.add(pathText(path));
      report(path, problem);
    });
  } catch {
    problems.push(`${file} has an alias (*name) that leads nowhere: put a value that begins with * in quotes`);
    return undefined;
  }
  const reportSet: Report = (path, problem) => {
    if (!unset.has(pathText(path))) report(path, problem);
  };
  const parsed = settingsSchema(registry).safeParse(filled);
  checkAcross(filled, reportSet);
  const putCertificates = readAllCertificates(filled, dirname(file), reportSet);
  for (const issue of (parsed.error?.issues ?? []).flatMap((one) => meant(one, filled))) {
    if (issue.code === 'unrecognized_keys') {
      const map = document.getIn(issue.path, true);
      for (const key of issue.keys) {
        const pair = isMap(map) ? map.items.find((item) => String(item.key) === key) : undefined;
        const place = (pair?.key as { range?: [number] } | undefined)?.range?.[0] ?? offsetOf(issue.path);
        problems.push(`${at(place)} ${pathText([...issue.path, key])} is not a setting`);
      }
    } else {
      reportSet(issue.path, wording(issue));
    }
  }
  if (!parsed.success || problems.length > before) return undefined;
  putCertificates(parsed.data);
  return parsed.data;
}

type Report = (path: readonly PropertyKey[], problem: string) => void;

/** Replaces `${NAME}` in every string by the environment's value. */
function fillIn(value: unknown, env: Environment, path: PropertyKey[], report: Report): unknown {
  if (typeof value === 'string') {
    return value.replace(/\$\{([A-Za-z_][A-Za-z0-9_]*)\}/g, (_, name: string) => {
      if (env[name]) return env[name];
      report(path, `names \${${name}}, which the environment does not have`);
      return `\${${name}}`;
    });
  }
  if (Array.isArray(value)) return value.map((item, index) => fillIn(item, env, [...path, index], report));
  if (value !== null && typeof value === 'object') {
    return Object.fromEntries(
      Object.entries(value).map(([key, item]) => [key, fillIn(item, env, [...path, key], report)]),
    );
  }
  return value;
}

type Raw = Readonly<Record<string, unknown>>;

const record = (value: unknown): Raw => (value !== null && typeof value === 'object' ? (value as Raw) : {});
const list = (value: unknown): Raw[] => (Array.isArray(value) ? value.map(record) : []);

/** What the schema cannot say of one value alone; over the raw settings, so that one mistake does not hide another. */
function checkAcross(settings: unknown, report: Report): void {
  const { outbound, tenants, alerts, operators } = record(settings);
  const networks = record(outbound).allowNetworks ?? [];
  const noHttp = Array.isArray(networks) && networks.length === 0;
  const checkScheme = (path: readonly PropertyKey[], url: unknown) => {
    if (noHttp && typeof url === 'string' && url.startsWith('http:')) {
      report(path, 'is plain http, which is allowed only to networks listed in outbound.allowNetworks');
    }
  };
  checkScheme(['alerts', 'webhook', 'url'], record(record(alerts).webhook).url);
  checkScheme(['operators', 'oidc', 'issuer'], record(record(operators).oidc).issuer);
  checkUnique(list(tenants), ['tenants'], report);
  list(tenants).forEach((tenant, t) => {
    checkUnique(list(tenant.trusts), ['tenants', t, 'trusts'], report);
    checkUnique(list(tenant.apps), ['tenants', t, 'apps'], report);
    checkUnique(list(tenant.events), ['tenants', t, 'events'], report);
    list(tenant.events).forEach((receiver, i) => {
      for (const kind of ['webhook', 'caep']) {
        checkScheme(['tenants', t, 'events', i, kind, 'url'], record(receiver[kind]).url);
      }
    });
    const pairs = new Set<string>();
    list(tenant.trusts).forEach((trust, i) => {
      const path = ['tenants', t, 'trusts', i];
      const issuers = Array.isArray(trust.issuers) ? trust.issuers : [];
      issuers.forEach((issuer, j) => {
        const pair = JSON.stringify([issuer, trust.client]);
        if (pairs.has(pair)) report([...path, 'issuers', j], 'is already trusted with the same client in this tenant');
        pairs.add(pair);
      });
      for (const source of ['jwksUri', 'discovery']) checkScheme([...path, 'keys', source], record(trust.keys)[source]);
    });
    const askers = list(tenant.trusts).flatMap(({ issuers }) => (Array.isArray(issuers) ? issuers : []).map(originOf));
    list(tenant.apps).forEach((app, i) => {
      const path = ['tenants', t, 'apps', i];
      const connector = registry.find(({ name }) => name === app.connector);
      for (const [option, value] of Object.entries(record(app.options))) {
        if (/url$/i.test(option)) checkScheme([...path, 'options', option], value);
      }
      if (app.mode === 'refresh-only' && connector && !connector.modes.includes('refresh-only')) {
        report([...path, 'mode'], `needs to be full: ${connector.name} cannot leave sessions alone`);
      }
      const origin = originOf(record(app.options).url);
      if (connector?.identityProvider && origin !== undefined && askers.includes(origin)) {
        report(
          [...path, 'options', 'url'],
          'is an issuer that asks this tenant for revocations: it must not be asked back',
        );
      }
    });
  });
}

function originOf(url: unknown): string | undefined {
  return typeof url === 'string' && URL.canParse(url) ? new URL(url).origin : undefined;
}

function checkUnique(items: readonly Raw[], path: readonly PropertyKey[], report: Report): void {
  const seen = new Set<unknown>();
  items.forEach(({ id }, index) => {
    if (id !== undefined && seen.has(id)) report([...path, index, 'id'], 'is used twice');
    seen.add(id);
  });
}

/** Reports what is wrong with the certificates; answers what puts their text in the place of paths, and all of a file. */
function readAllCertificates(settings: unknown, folder: string, report: Report): (parsed: Settings) => void {
  const found: { t: number; i: number; pems: string[] }[] = [];
  list(record(settings).tenants).forEach((tenant, t) => {
    list(tenant.trusts).forEach((trust, i) => {
      const { certificates } = record(trust.keys);
      if (!Array.isArray(certificates)) return;
      const path = ['tenants', t, 'trusts', i, 'keys', 'certificates'];
      const { algorithms = ['RS256'] } = trust;
      const pems = certificates.flatMap((certificate: unknown, c) => {
        // Whatever is no text the schema tells.
        if (typeof certificate !== 'string' || certificate === '') return [];
        const read = readCertificates(certificate, folder, Array.isArray(algorithms) ? algorithms.map(String) : []);
        if ('pems' in read) return read.pems;
        report([...path, c], read.problem);
        return [];
      });
      if (pems.length > MAX_CERTIFICATES) {
        const problem = `has ${pems.length} certificates, and a JWT is tried with ${MAX_CERTIFICATES} at most`;
        report(path, `${problem}: keep those that Okta signs with`);
      }
      found.push({ t, i, pems });
    });
  });
  return ({ tenants }) => {
    for (const { t, i, pems } of found) {
      const keys = tenants[t]?.trusts[i]?.keys;
      if (keys && 'certificates' in keys) keys.certificates = pems;
    }
  };
}

type Issue = z.core.$ZodIssue;

/**
 * What is wrong with the one alternative that is meant: the one that lacks the fewest of its keys. The issue itself where
 * that is none, or more than one.
 */
function meant(issue: Issue, settings: unknown): Issue[] {
  if (issue.code !== 'invalid_union') return [issue];
  const value = issue.path.reduce<unknown>((inner, part) => record(inner)[part as string], settings);
  const lacking = issue.errors.map((issues) => {
    if (issues.some(({ code, path }) => path.length === 0 && /^invalid_(type|value)$/.test(code))) return Number.NaN;
    return issues.filter(({ path }) => path.length === 1 && !(String(path[0]) in record(value))).length;
  });
  const fewest = Math.min(...lacking.filter((count) => !Number.isNaN(count)));
  const [only, ...others] = issue.errors.filter((_, index) => lacking[index] === fewest);
  if (!only || others.length > 0) return [issue];
  return only.flatMap((one) => meant({ ...one, path: [...issue.path, ...one.path] } as Issue, settings));
}

/** A problem in words that name what would be right, never the value. */
function wording(issue: Issue): string {
  if (issue.code === 'invalid_type') return `is missing or is not ${withArticle(issue.expected)}`;
  if (issue.code === 'invalid_value') return `needs to be one of ${issue.values.map(String).join(', ')}`;
  if (issue.code === 'too_small' && issue.origin === 'array') return `needs at least ${issue.minimum} entry`;
  if (issue.code === 'too_small' && issue.origin === 'string' && issue.minimum === 1) return 'is empty';
  return issue.message;
}

function withArticle(noun: string): string {
  return /^[aeiou]/.test(noun) ? `an ${noun}` : `a ${noun}`;
}

/** tenants[0].trusts[1].client */
function pathText(path: readonly PropertyKey[]): string {
  return path.reduce<string>(
    (text, part) => (typeof part === 'number' ? `${text}[${part}]` : text ? `${text}.${String(part)}` : String(part)),
    '',
  );
}
