/** A page that renews itself does so ever more seldom, and not before anything can have changed. */
import { type AppPart, type Lane, renewAfterSeconds, type Shown } from '../../../src/operator/console/renewal.js';

const NOW = Date.parse('2026-06-01T12:00:00Z');
const iso = (ms: number) => new Date(NOW + ms).toISOString();

const waiting: AppPart = { app: 'wiki', state: 'waiting', attempts: 0 };
const moving: Lane = {
  ...{ tenant: 'default', app: 'wiki', connector: 'webhook', state: 'moving' },
  ...{ waiting: 1, retrying: 0, active: 0, failed: 0 },
};

function seconds(ageMs: number, parts: AppPart[], lane: Partial<Lane> = {}, askedAt?: number): number | undefined {
  const shown: Shown = {
    ...{ revocationId: 'rev_1', tenant: 'default', trust: 'okta', user: '1', mode: 'full', summary: '' },
    ...{ acceptedAt: iso(-ageMs), apps: parts },
    status: parts.some(({ state }) => state === 'waiting' || state === 'retrying') ? 'pending' : 'failed',
  };
  return renewAfterSeconds(shown, new Map([['wiki', { ...moving, ...lane }]]), { now: NOW, askedAt });
}

it.each([
  [0, 2],
  [9_999, 2],
  [10_000, 5],
  [60_000, 15],
  [600_000, 60],
  [72 * 3_600_000, 60],
])('a revocation of %d ms ago is looked at again after %d s', (age, expected) => {
  expect(seconds(age, [waiting])).toBe(expected);
});

it.each<[string, AppPart[], Partial<Lane>, number | undefined]>([
  ['for the next try, where that is later', [{ ...waiting, state: 'retrying', nextAttemptAt: iso(40_000) }], {}, 40],
  ['not for a try that is due', [{ ...waiting, state: 'retrying', nextAttemptAt: iso(-1) }], {}, 2],
  ['for the next probe of an app that is held', [waiting], { state: 'held', nextProbeAt: iso(20_500) }, 21],
  ['for the first of two', [{ ...waiting, app: 'shop' }, waiting], { state: 'held', nextProbeAt: iso(20_000) }, 2],
  ['for nothing, where the app is paused', [waiting], { state: 'paused' }, undefined],
  ['for the call that is under way when it is paused', [waiting], { state: 'paused', active: 1 }, 2],
  ['for nothing, where it is over', [{ ...waiting, state: 'failed' }], {}, undefined],
])('it waits %s', (_what, parts, lane, expected) => {
  expect(seconds(0, parts, lane)).toBe(expected);
});

it('another try is looked at as if all began anew, for a while', () => {
  const failed: AppPart = { ...waiting, state: 'failed' };
  expect(seconds(3_600_000, [failed], {}, NOW - 9_000)).toBe(2);
  expect(seconds(3_600_000, [failed], {}, NOW - 11_000)).toBeUndefined();
  expect(seconds(3_600_000, [waiting], {}, NOW - 11_000)).toBe(5);
});
