/** How long it takes to find the user whom a subject identifier names, in directories of several sizes, in turns. */
import { once } from 'node:events';
import { createDirectory } from '../../src/directory/directory.js';
import { resolve, type SubjectIdentifier } from '../../src/directory/resolve.js';
import { connectForRequests } from '../../src/redis.js';
import { addressOf, externalIdOf, phoneOf, TENANT, uriOf } from './people.js';
import { median, percentile, table } from './statistics.js';

const LOOKUPS = 1_500;
const WARM_UP = 500;
const ISSUER = 'https://acme.okta.com';

const policy = {
  subjectIssuers: [ISSUER],
  identifiers: ['externalId', 'userName'] as const,
  emailLocalPart: 'any-case' as const,
};

const email = (index: number) => ({ format: 'email', email: addressOf(index) }) as const;
const issSub = (index: number) => ({ format: 'iss_sub', iss: ISSUER, sub: externalIdOf(index) }) as const;

const samples: { name: string; of: (index: number) => SubjectIdentifier }[] = [
  { name: 'email', of: email },
  { name: 'iss_sub, an externalId', of: issSub },
  { name: 'opaque, an externalId', of: (index) => ({ format: 'opaque', id: externalIdOf(index) }) },
  { name: 'account', of: (index) => ({ format: 'account', uri: `acct:${addressOf(index)}` }) },
  { name: 'phone_number', of: (index) => ({ format: 'phone_number', phone_number: phoneOf(index) }) },
  { name: 'uri, a userName', of: (index) => ({ format: 'uri', uri: uriOf(index - (index % 10)) }) },
  {
    name: 'aliases, email and iss_sub',
    of: (index) => ({ format: 'aliases', identifiers: [email(index), issSub(index)] }),
  },
];

export type ResolutionOptions = {
  redisUrl: string;
  /** Two of them: ratios are those of the second to the first. */
  sizes: { prefix: string; count: number }[];
  rounds: number;
  onBegin: (text: string) => void;
};

type Percentiles = { p50: number; p99: number };

/** One after the other: a look-up in the first directory, then one in the second. Answers the ratios of the p99s too. */
export async function measureResolution({ redisUrl, sizes, rounds, onBegin }: ResolutionOptions) {
  const connection = connectForRequests({ url: redisUrl });
  await once(connection, 'ready');
  const grace = { graceMs: 30 * 86_400_000, now: Date.now };
  const usersOf = sizes.map(({ prefix }) => createDirectory(connection, prefix, grace).users);

  async function time(which: number, { of }: (typeof samples)[number]): Promise<number> {
    const identifier = of(Math.floor(Math.random() * (sizes[which]?.count ?? 0)));
    const startedAt = performance.now();
    const resolution = await resolve(usersOf[which] as (typeof usersOf)[number], TENANT, policy, identifier);
    const took = performance.now() - startedAt;
    if (!('user' in resolution)) throw new Error(`${identifier.format}: ${resolution.refused}`);
    return took;
  }

  async function measure(sample: (typeof samples)[number], lookups: number): Promise<Percentiles[]> {
    const times = sizes.map((): number[] => []);
    for (let index = 0; index < lookups; index++) {
      for (const [which, list] of times.entries()) list.push(await time(which, sample));
    }
    return times.map((list) => {
      const sorted = list.toSorted((a, b) => a - b);
      return { p50: percentile(sorted, 0.5), p99: percentile(sorted, 0.99) };
    });
  }

  const rows: string[][] = [];
  const ratios: number[] = [];
  for (const sample of samples) {
    onBegin(`resolving by ${sample.name}`);
    await measure(sample, WARM_UP);
    const perRound: Percentiles[][] = [];
    for (let round = 0; round < rounds; round++) perRound.push(await measure(sample, LOOKUPS));
    const all = (which: number, part: keyof Percentiles) => perRound.map((of) => of[which]?.[part] ?? Number.NaN);
    const ratio = (part: keyof Percentiles) =>
      median(all(1, part).map((ms, round) => ms / (all(0, part)[round] ?? Number.NaN)));
    const cells = [all(0, 'p50'), all(0, 'p99'), all(1, 'p50'), all(1, 'p99')].map(micros);
    rows.push([sample.name, ...cells, ratio('p50').toFixed(2), ratio('p99').toFixed(2)]);
    ratios.push(ratio('p99'));
  }
  connection.disconnect();
  const heads = sizes.flatMap(({ count }) => [`${count.toLocaleString('en-US')} p50`, 'p99']);
  return { ratios, text: table([['µs to resolve, of users', ...heads, 'ratio p50', 'ratio p99'], ...rows]) };
}

function micros(list: readonly number[]): string {
  return (median(list) * 1_000).toFixed(0);
}
