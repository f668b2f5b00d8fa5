/** Every place in Redis where sealed texts are: what a change of data keys has to walk over. */
import { appQueue, INTAKE_QUEUE } from './job.js';

/** In the hash at a key, a field of JSON; in that, members that are sealed. */
export type SealedPlace = {
  key: RegExp;
  field: string;
  members: readonly string[];
  contextOf: (key: RegExpExecArray, value: Readonly<Record<string, unknown>>) => string;
};

export function sealedPlaces(prefix: string): SealedPlace[] {
  const app = literally(appQueue('TENANT', 'APP')).replace('TENANT', '(?<tenant>[^.:]+)').replace('APP', '[^.:]+?');
  return [
    {
      key: jobsOf(prefix, literally(INTAKE_QUEUE)),
      field: 'data',
      members: ['accounts'],
      contextOf: (_key, { tenant }) => String(tenant),
    },
    {
      key: jobsOf(prefix, app),
      field: 'data',
      members: ['account', 'poll'],
      contextOf: ({ groups }) => String(groups?.tenant),
    },
  ];
}

/** Of whatever state: BullMQ keeps a job at one key for all its life. */
function jobsOf(prefix: string, queue: string): RegExp {
  return new RegExp(`^${literally(prefix)}:${queue}:[^:]+$`);
}

function literally(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
}
