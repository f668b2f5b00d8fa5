/** Our clock beside those of the issuers and of Redis: a JWT of five minutes forgives a minute. */
import type { Outbound, OutboundResponse } from '../../outbound/outbound.js';
import type { RedisClient } from '../../redis.js';
import { type Finding, ok, problem, warning } from './finding.js';

const FORGIVEN_S = 60;
const NOTED_S = 15;

/** A `send` that looks at the Date of each answer, and what it has seen by host: seconds that we are ahead. */
export function watchDates(send: Outbound['send']) {
  const ahead = new Map<string, number>();
  return {
    ahead,
    async send(...[url, request]: Parameters<Outbound['send']>): Promise<OutboundResponse> {
      const at = Date.now();
      const answer = await send(url, request);
      const date = Date.parse(answer.headers.date ?? '');
      // From a cache it is as old as that says; a Date is cut to whole seconds.
      const theirs = date + 1_000 * Number(answer.headers.age ?? 0) + 500;
      if (!Number.isNaN(theirs)) ahead.set(new URL(url).host, ((at + Date.now()) / 2 - theirs) / 1_000);
      return answer;
    },
  };
}

export async function aheadOf(redis: RedisClient): Promise<number> {
  const at = Date.now();
  const [seconds, micros] = await redis.time();
  return ((at + Date.now()) / 2 - (Number(seconds) * 1_000 + Number(micros) / 1_000)) / 1_000;
}

export function checkClock(whose: string, aheadS: number): Finding {
  const check = 'clock';
  const apart = Math.abs(aheadS);
  const what = `ours is ${Math.round(apart)} s ${aheadS > 0 ? 'ahead of' : 'behind'} that of ${whose}`;
  const todo = 'find out which is wrong, and set it by NTP';
  if (apart > FORGIVEN_S) return problem(check, `${what}: JWTs are refused beyond ${FORGIVEN_S} s`, todo);
  return apart > NOTED_S ? warning(check, what, todo) : ok(check, `agrees with that of ${whose}`);
}
