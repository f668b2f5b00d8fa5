/** What one check of the doctor found: how it is, in words, and what to do about it. */
import { OutboundError } from '../../outbound/outbound.js';
import { isRedisFailure } from '../../redis.js';
import { Unavailable } from '../../request-error.js';
import { fileFailure } from '../file-failure.js';
import { reasonOf } from '../redis-failure.js';

export const states = ['ok', 'warning', 'problem', 'not checked'] as const;
export type State = (typeof states)[number];

/** No secret and no address of a person is in it. `todo` is there unless all is well, or `what` says it. */
export type Finding = { check: string; state: State; what: string; todo?: string };

export const ok = (check: string, what: string): Finding => ({ check, state: 'ok', what });
export const warning = (check: string, what: string, todo: string): Finding => ({
  check,
  state: 'warning',
  what,
  todo,
});
export const notChecked = (check: string, what: string): Finding => ({ check, state: 'not checked', what });

export function problem(check: string, what: string, todo?: string): Finding {
  return { check, state: 'problem', what, ...(todo !== undefined && { todo }) };
}

/** One check, or several; whatever it throws is a finding too, so that the others are made all the same. */
export async function examine(check: string, look: () => Promise<Finding | Finding[]>): Promise<Finding[]> {
  try {
    return [await look()].flat();
  } catch (error) {
    if (error instanceof Unavailable || isRedisFailure(error)) {
      return [problem(check, `asking Redis failed: ${reasonOf(error as Error)}`)];
    }
    const { expected, message, name, code } = error as Error & { expected?: boolean; code?: string };
    const sentence = expected ? message : fileFailure(error);
    if (sentence) return [problem(check, sentence.replace(/\.$/, ''))];
    // Its message may be about anything.
    return [problem(check, `could not be looked at (${code ?? name})`, 'this is a mistake of ours: report it')];
  }
}

/** Why somebody could not be asked; nothing of what was answered is shown. */
export function whyNot(error: unknown): string {
  for (let one = error; one instanceof Error; one = one.cause) {
    if (one instanceof OutboundError) return one.message;
    if (one instanceof SyntaxError) return 'the answer is not JSON';
    if (!one.cause) return one.message;
  }
  return 'no reason is known';
}

/** `1 user`, `2,000 users`. */
export function counted(count: number, noun: string): string {
  return `${count.toLocaleString('en-US')} ${noun}${count === 1 ? '' : 's'}`;
}

const DAY_MS = 86_400_000;

/** Whole days from now until `at`, negative when it is over. */
export function daysUntil(at: number): number {
  return Math.floor((at - Date.now()) / DAY_MS);
}

/** A moment as a day, UTC. */
export function day(at: number): string {
  return new Date(at).toISOString().slice(0, 10);
}
