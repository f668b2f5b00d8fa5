/** Reads source files for what they import, and says where that is not as the house has it. */
import { dirname, join } from 'node:path/posix';

/** Sources by their path under `src/`. */
export type Sources = Readonly<Record<string, string>>;

const ROOT = [
  'audit.ts',
  'data-key.ts',
  'logger.ts',
  'metrics.ts',
  'redis.ts',
  'request-error.ts',
  'request-body.ts',
  'settings.ts',
  'valid-after.ts',
  'verification-key.ts',
];

/** Of the files of `connectors/`, those that are no connector. */
const NO_CONNECTORS = [
  ...['account.ts', 'api.ts', 'connector.ts', 'described-api.ts', 'json-pointer.ts', 'look-up.ts', 'oauth.ts'],
  ...['registry.ts', 'request.ts', 'rounds.ts', 'template.ts'],
];

/** Who may import what: a file or a folder, and the files and folders that it may name. A new part needs a line. */
const ARROWS: Record<string, string[]> = {
  'main.ts': ['commands/', 'config.ts'],
  'commands/': ['*'],
  'gateway.ts': ['*', '!commands/'],
  'config.ts': ['settings.ts', 'connectors/registry.ts', 'data-key.ts', 'redis-url.ts', 'certificates.ts'],
  'certificates.ts': ['verification-key.ts'],
  'verification-key.ts': [],
  'settings.ts': ['connectors/connector.ts', 'directory/', 'outbound/'],
  'app.ts': ['logger.ts', 'request-error.ts'],
  'health.ts': ['metrics.ts', 'redis.ts'],
  'redis.ts': ['redis-url.ts', 'request-error.ts'],
  'redis-log.ts': ['logger.ts', 'redis.ts'],
  'redis-url.ts': [],
  'acknowledged.ts': ['redis.ts'],
  'request-body.ts': ['request-error.ts'],
  'embedded-redis.ts': ['process-claim.ts', 'redis.ts'],
  'process-claim.ts': [],
  'data-key.ts': [],
  'data-key-file.ts': ['data-key.ts', 'key-file.ts'],
  'data-key-use.ts': ['data-key.ts', 'redis.ts'],
  'key-file.ts': [],
  'audit.ts': ['redis.ts'],
  'audit/': ['audit/', 'audit.ts', 'logger.ts', 'redis.ts', 'outbound/signing-keys.ts'],
  'logger.ts': [],
  'metrics.ts': [],
  'telemetry.ts': [],
  'queue-metrics.ts': ['fanout/enqueue.ts', 'fanout/lanes.ts', 'metrics.ts', 'redis.ts'],
  'request-error.ts': [],
  'valid-after.ts': ['redis.ts'],
  'session-guard.ts': ['session-guard/'],
  'session-guard/': ['redis.ts', 'redis-url.ts'],
  'directory/': ['directory/', 'redis.ts'],
  'outbound/': ['outbound/', 'key-file.ts'],
  'connectors/registry.ts': ['connectors/'],
  'connectors/cerby.ts': ['connectors/cerby/', ...NO_CONNECTORS.map((name) => `connectors/${name}`), 'outbound/'],
  'connectors/cerby/': ['connectors/cerby/', ...NO_CONNECTORS.map((name) => `connectors/${name}`), 'outbound/'],
  'connectors/': [...NO_CONNECTORS.map((name) => `connectors/${name}`), '!connectors/registry.ts', 'outbound/'],
  'fanout/': [
    'fanout/',
    'connectors/connector.ts',
    'connectors/request.ts',
    'outbound/security-event.ts',
    'outbound/signed-headers.ts',
    ...['audit.ts', 'data-key.ts', 'logger.ts', 'metrics.ts', 'redis.ts'],
  ],
  'revocation/': ['revocation/', 'directory/', 'fanout/enqueue.ts', 'fanout/record.ts', 'outbound/', ...ROOT],
  'evidence/': ['evidence/', 'fanout/', 'connectors/connector.ts', ...ROOT],
  'scim/': ['scim/', 'directory/', ...ROOT],
  'operator/': [
    ...['operator/', 'directory/', 'fanout/', 'connectors/connector.ts', 'audit/chain.ts', 'outbound/outbound.ts'],
    ...ROOT,
  ],
};

/** Words that say nothing of what is in a file. */
const EMPTY_WORDS =
  /^(utils?|helpers?|commons?|services?|controllers?|managers?|processors?|base|abstract|impl|data|info|wrappers?|types|constants|lib)$/;

/** These play other parties than the gateway: a browser, Okta, two apps. */
const OTHER_PARTIES = 'commands/demo/';

/** This runs in other people's apps, and asks the gateway that they name. */
const IN_APPS = 'session-guard/watermarks.ts';

/** What a source imports, in whatever way. */
export function importsOf(source: string): string[] {
  const code = source.replace(/\/\*[\s\S]*?\*\//g, '').replace(/^\s*\/\/.*$/gm, '');
  const found = [
    ...code.matchAll(/\b(?:import|export)\s[^'";]*?\bfrom\s*['"]([^'"]+)['"]/g),
    ...code.matchAll(/\bimport\s*\(?\s*['"]([^'"]+)['"]/g),
  ];
  return [...new Set(found.map(([, name]) => name as string))];
}

/** Our own files that a source imports, by their path under `src/`. */
function ownImports(path: string, source: string): string[] {
  return importsOf(source)
    .filter((name) => name.startsWith('.'))
    .map((name) => join(dirname(path), name).replace(/\.js$/, '.ts'));
}

function matches(path: string, pattern: string): boolean {
  return pattern === '*' || (pattern.endsWith('/') ? path.startsWith(pattern) : path === pattern);
}

export function wrongArrows(sources: Sources): string[] {
  return Object.entries(sources).flatMap(([path, source]) => {
    const part = Object.keys(ARROWS).find((one) => matches(path, one));
    if (part === undefined) return [`${path} is in no part of the house`];
    const allowed = ARROWS[part] ?? [];
    return ownImports(path, source)
      .filter((target) => {
        const refused = allowed.some((pattern) => pattern.startsWith('!') && matches(target, pattern.slice(1)));
        return refused || !allowed.some((pattern) => matches(target, pattern));
      })
      .map((target) => `${path} imports ${target}`);
  });
}

/** Every way round, once, from the file that comes first. */
export function circles(sources: Sources): string[] {
  const found = new Set<string>();
  const done = new Set<string>();
  const visit = (path: string, way: string[]): void => {
    const start = way.indexOf(path);
    if (start >= 0) found.add([...way.slice(start), path].join(' → '));
    if (start >= 0 || done.has(path) || sources[path] === undefined) return;
    for (const target of ownImports(path, sources[path])) visit(target, [...way, path]);
    done.add(path);
  };
  for (const path of Object.keys(sources)) visit(path, []);
  return [...found];
}

/** The environment is read in one place; a command may hand it on to there. */
export function environmentReaders(sources: Sources): string[] {
  const handedOn = /\b(?:readConfig|readProcessConfig|parseSettings)\([^()]*\bprocess\.env\b/g;
  return Object.entries(sources).flatMap(([path, source]) => {
    if (path === 'config.ts') return [];
    const code = path.startsWith('commands/') ? source.replace(handedOn, '') : source;
    return /\bprocess\.env\b/.test(code) ? [`${path} reads process.env`] : [];
  });
}

/** HTTP leaves the gateway through `outbound/` alone. */
export function callers(sources: Sources): string[] {
  return Object.entries(sources).flatMap(([path, source]) => {
    if (path.startsWith('outbound/') || path.startsWith(OTHER_PARTIES) || path === IN_APPS) return [];
    const forbidden = [
      [/\bfrom\s*['"](undici|node:https|https|node:http2|http2|axios|got|node-fetch|ky)['"]/, 'an HTTP client'],
      [/\bimport\s*\{[^}]*\b(request|get|Agent)\b[^}]*\}\s*from\s*['"](node:)?http['"]/, 'an HTTP client'],
      [/\bhttps?\.(request|get)\(/, 'an HTTP client'],
      [/(?<![\w.])fetch\(|\bglobalThis\.fetch\b/, 'fetch'],
      [/\bcreateRemoteJWKSet\b/, 'a key set that fetches by itself'],
    ] as const;
    return forbidden.filter(([pattern]) => pattern.test(source)).map(([, what]) => `${path} uses ${what}`);
  });
}

/** Paths under the folder that holds `src` and `spec`. */
export function wrongFiles(sources: Sources): string[] {
  return Object.entries(sources).flatMap(([path, source]) => {
    const problems: string[] = [];
    const lines = source.replace(/^#!.*\n/, '');
    if (!/^\/\*\* \S.*[.:?!)] \*\/\n/.test(lines)) problems.push(`${path} does not open with a sentence`);
    const words = path
      .replace('data-key', 'key')
      .replace(/(\.spec|\.d)?\.ts$/, '')
      .split(/[/-]/);
    const name = path.split('/').at(-1) as string;
    if (name === 'index.ts') problems.push(`${path} hides what it passes on`);
    if (words.some((word) => EMPTY_WORDS.test(word))) problems.push(`${path} says nothing by its name`);
    return problems;
  });
}

/** Connectors that no settings file can name. */
export function unregistered(sources: Sources): string[] {
  const registered = ownImports('connectors/registry.ts', sources['connectors/registry.ts'] ?? '');
  return Object.keys(sources).filter(
    (path) =>
      /^connectors\/[^/]+$/.test(path) &&
      !NO_CONNECTORS.includes(path.slice('connectors/'.length)) &&
      !registered.includes(path),
  );
}

/** Specs look at the real thing. */
export function pretenders(sources: Sources): string[] {
  const pretence =
    /\bjest\.(mock|unstable_mockModule|spyOn|useFakeTimers)\b|\.toMatch(Inline)?Snapshot\b|\bioredis-mock\b/;
  return Object.entries(sources)
    .filter(([, source]) => pretence.test(source))
    .map(([path]) => `${path} pretends`);
}
