/** Where a process spent its time: the self time of a `.cpuprofile` by package and by function. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { table } from './statistics.js';

const SHOWN = 30;

type Frame = { functionName: string; url: string; lineNumber: number };

type CpuProfile = {
  nodes: { id: number; callFrame: Frame; children?: number[] }[];
  samples: number[];
  timeDeltas: number[];
};

/** Tables for the one profile in the directory; `requests` turns times into µs a request. */
export function summarizeProfile(directory: string, requests: number): string {
  const [file] = readdirSync(directory).filter((name) => name.endsWith('.cpuprofile'));
  if (!file) throw new Error('no profile was written');
  const { nodes, samples, timeDeltas } = JSON.parse(readFileSync(join(directory, file), 'utf8')) as CpuProfile;
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const parents = new Map(nodes.flatMap(({ id, children }) => (children ?? []).map((child) => [child, id] as const)));
  const byPlace = new Map<string, number>();
  const byFunction = new Map<string, number>();
  let busy = 0;

  /** What Node does itself counts for whoever called it. */
  function placeOf(id: number): string {
    for (let at: number | undefined = id; at !== undefined; at = parents.get(at)) {
      const place = packageOf(byId.get(at)?.callFrame.url ?? '');
      if (place) return place;
    }
    const { functionName = '', url = '' } = byId.get(id)?.callFrame ?? {};
    return functionName.startsWith('(') ? functionName : url.startsWith('node:') ? 'Node itself' : 'native code';
  }

  samples.forEach((id, index) => {
    const frame = byId.get(id)?.callFrame;
    const time = timeDeltas[index] ?? 0;
    if (!frame || frame.functionName === '(idle)') return;
    busy += time;
    const place = placeOf(id);
    byPlace.set(place, (byPlace.get(place) ?? 0) + time);
    const name = `${frame.functionName || '(anonymous)'} ${lineOf(frame)}`;
    byFunction.set(name, (byFunction.get(name) ?? 0) + time);
  });
  const rows = (times: Map<string, number>) =>
    [...times]
      .sort(([, a], [, b]) => b - a)
      .slice(0, SHOWN)
      .map(([name, time]) => [name, (time / requests).toFixed(1), `${((100 * time) / busy).toFixed(1)} %`]);
  return `${table([['time on the main thread, with what Node does for it', 'µs/request', 'share'], ...rows(byPlace)])}\n\n${table(
    [['function, self time', 'µs/request', 'share'], ...rows(byFunction)],
  )}`;
}

function lineOf({ url, lineNumber }: Frame): string {
  if (url === '') return '';
  return `${packageOf(url) ?? ''} ${url.split('/').at(-1)}:${lineNumber + 1}`.trim();
}

/** The package or the file of ours; nothing for Node's own code. */
function packageOf(url: string): string | undefined {
  const inPackage = /.*\/node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(url);
  if (inPackage) return inPackage[1];
  const ours = /\/dist\/(.*)\.js$/.exec(url);
  return ours ? `src/${ours[1]}.ts` : undefined;
}
