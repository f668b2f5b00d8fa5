/** What REDIS_URL may name: one Redis, the master that some Sentinels know, or a Cluster. */

export type Node = { host: string; port: number };

export type RedisAddress =
  | { kind: 'single'; url: string }
  | { kind: 'socket'; path: string }
  | ({
      kind: 'sentinel';
      /** What the Sentinels call the master. */
      name: string;
      db: number;
      /** Of the Sentinels themselves, where they ask for it. */
      sentinelUsername: string | undefined;
      sentinelPassword: string | undefined;
    } & Nodes)
  | ({ kind: 'cluster' } & Nodes);

type Nodes = { nodes: Node[]; tls: boolean; username: string | undefined; password: string | undefined };

const FORMS =
  'redis://host:6379, rediss://…, unix:///path/to/socket, redis+sentinel://host:26379,host:26379/master-name or redis+cluster://host:6379,host:6379';
const SEVERAL_NODES = /^(rediss?)\+(sentinel|cluster):\/\/(?:([^/?]*)@)?([^/?]*)(?:\/([^?]*))?(?:\?(.*))?$/;
const DEFAULT_PORT = { sentinel: 26379, cluster: 6379 };
const PARAMETERS = { sentinel: ['db', 'sentinelUsername', 'sentinelPassword'], cluster: [] as string[] };

/** Reports every problem in words that follow `REDIS_URL `, and never with a piece of the value. */
export function parseRedisUrl(url: string, report: (problem: string) => void): RedisAddress | undefined {
  if (/^unix:\/\/./.test(url)) return { kind: 'socket', path: url.slice('unix://'.length) };
  if (/^rediss?:\/\//.test(url) && URL.canParse(url)) return { kind: 'single', url };
  const [, scheme, kind, userInfo = '', hosts = '', path = '', query = ''] = SEVERAL_NODES.exec(url) ?? [];
  if (kind !== 'sentinel' && kind !== 'cluster') {
    report(`is not a Redis address: use ${FORMS}`);
    return undefined;
  }

  let problems = 0;
  const wrong = (problem: string): undefined => {
    problems += 1;
    report(problem);
  };
  const decoded = (text: string, what: string): string | undefined => {
    try {
      return decodeURIComponent(text) || undefined;
    } catch {
      return wrong(`is not percent-encoded as it should be in its ${what}: write % as %25`);
    }
  };
  const [user = '', ...rest] = userInfo.split(':');
  const nodes = hosts.split(',').flatMap((host, index) => {
    const node = parseNode(host, DEFAULT_PORT[kind]);
    if (!node) wrong(`is wrong at its ${ordinal(index)} address: use host:port, separated by commas`);
    return node ?? [];
  });
  const parameters = new URLSearchParams(query);
  for (const name of new Set(parameters.keys())) {
    if (!PARAMETERS[kind].includes(name)) {
      wrong(`is not to have this parameter after its "?": use ${PARAMETERS[kind].join(', ') || 'none'}`);
    }
  }
  const common = {
    nodes,
    tls: scheme === 'rediss',
    username: decoded(user, 'user name'),
    password: decoded(rest.join(':'), 'password'),
  };
  if (kind === 'cluster') {
    if (path !== '') wrong('is not to have a path: a Redis Cluster has the one database 0');
    return problems > 0 ? undefined : { kind, ...common };
  }
  const name = decoded(path, 'path');
  if (!name && path === '') wrong('is without the name of the master: use redis+sentinel://host:26379/master-name');
  const db = parameters.get('db') ?? '0';
  if (!/^\d{1,4}$/.test(db)) wrong('is wrong in its parameter db: use the number of a database');
  if (problems > 0 || name === undefined) return undefined;
  return {
    kind,
    ...common,
    name,
    db: Number(db),
    sentinelUsername: parameters.get('sentinelUsername') || undefined,
    sentinelPassword: parameters.get('sentinelPassword') || undefined,
  };
}

function parseNode(text: string, defaultPort: number): Node | undefined {
  const url = `redis://${text}`;
  if (/[@/?#\s]/.test(text) || !URL.canParse(url)) return undefined;
  const { hostname, port } = new URL(url);
  return hostname === '' ? undefined : { host: hostname.replace(/^\[|\]$/g, ''), port: Number(port || defaultPort) };
}

function ordinal(index: number): string {
  return ['first', 'second', 'third'][index] ?? `${index + 1}th`;
}
