/** What is wrong with Redis, in words for whoever runs a command: never with an address or a password. */
import { ReplyError } from 'ioredis';
import { Unavailable } from '../request-error.js';

/** By the word that an answer of Redis begins with: what that means, and what to do. */
const MEANINGS: Readonly<Record<string, readonly [what: string, advice: string]>> = {
  NOAUTH: ['asks for a password', 'write one into the address, as in redis://user:password@host:6379'],
  WRONGPASS: ['does not know this user name with this password', 'mend them in the address'],
  OOM: ['has no memory left', 'raise its maxmemory, then run this again'],
  READONLY: ['is a replica, which takes no writes', 'name its master'],
};

/** What passes by itself. */
const PASSING = /^(LOADING|BUSY|MASTERDOWN|CLUSTERDOWN|TRYAGAIN)\b/;

/** What lies behind an error of ioredis, the same in the same words each time. */
function causeOf(error: Error): Error {
  if (error instanceof Unavailable && error.cause instanceof Error) return causeOf(error.cause);
  const { previousErrors, lastNodeError } = error as { previousErrors?: Error[]; lastNodeError?: Error };
  return previousErrors?.[0] ?? lastNodeError ?? error;
}

/** Without a stop at its end. */
export function reasonOf(error: Error): string {
  const { message, code } = causeOf(error) as Error & { code?: string };
  return (message || code || 'no reason is known')
    .replace(/ Retrying from scratch after \d+ms\./, '')
    .replace(/ script: [0-9a-f]{40}, on @user_script:\d+/, '')
    .replace(/\.$/, '');
}

/** Whether Redis has answered with a no that waiting does not change. */
export function isRefusal(error: Error): boolean {
  return causeOf(error) instanceof ReplyError && !PASSING.test(causeOf(error).message);
}

/** One sentence; `redis` is which one. */
export function refusalOf(redis: string, error: Error): string {
  const reason = reasonOf(error);
  const [code = ''] = reason.split(' ');
  const meaning = MEANINGS[code];
  if (meaning) return `${redis} ${meaning[0]} (${code}): ${meaning[1]}.`;
  return `${redis} ${isRefusal(error) ? 'refuses' : 'failed'}: ${reason}.`;
}
