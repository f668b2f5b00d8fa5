/** What a job throws that nothing foresaw: a data key that is missing, replicas that are away, a mistake of ours. */
import { DelayedError, type Job, RateLimitError, UnrecoverableError } from 'bullmq';
import { RetryLater } from './worker-options.js';

/** Those who throw them have told of them, or have nothing to tell. */
const FORESEEN = [RetryLater, UnrecoverableError, DelayedError, RateLimitError];

// By then a job is tried once a minute, so this is an hour: thousands may fail for one reason, for days.
const NEWS_EVERY = 60;

type Attempted = Pick<Job, 'id' | 'failedReason' | 'attemptsMade'>;

export type Unforeseen = {
  job: Attempted;
  /** Names nobody, as far as what threw it does not. */
  error: Error;
  /** The job failed otherwise before, or not at all, or has failed in this way for another hour. */
  news: boolean;
};

/** Carries the job out, and tells of what is unforeseen before it throws that on. */
export function tellUnforeseen<Given extends Attempted>(
  carryOut: (job: Given, token?: string) => Promise<unknown>,
  tell: (what: Unforeseen) => void,
) {
  return async (job: Given, token?: string): Promise<unknown> => {
    const { failedReason, attemptsMade } = job;
    try {
      return await carryOut(job, token);
    } catch (thrown) {
      if (FORESEEN.some((kind) => thrown instanceof kind)) throw thrown;
      const error = withoutQuotation(thrown);
      const news = error.message !== failedReason || (attemptsMade + 1) % NEWS_EVERY === 0;
      tell({ job, error, news });
      // BullMQ keeps the message beside the job, and shows it in traces.
      throw error;
    }
  };
}

/** The engine quotes a text that is no JSON, and that may be a person's. */
function withoutQuotation(thrown: unknown): Error {
  if (!(thrown instanceof Error)) return new Error(`a ${typeof thrown} was thrown`);
  if (!(thrown instanceof SyntaxError)) return thrown;
  const error = new SyntaxError('a text is no JSON');
  const places = (thrown.stack ?? '').split('\n').filter((line) => /^ {4}at \S/.test(line));
  error.stack = [`${error}`, ...places].join('\n');
  return error;
}
