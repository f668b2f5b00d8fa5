/** What an answer's status and headers mean, over all apps alike. */
import { classify, notForThisUser, retryAfterMs, saying } from '../../src/connectors/request.js';

const NOW = new Date('2026-10-21T07:28:00Z');
const EPOCH = NOW.getTime() / 1000;

it('has a reason for every status that is not 2xx', () => {
  const reasons = new Map<string, number[]>();
  for (let status = 300; status < 600; status += 1) {
    const reason = classify(status);
    reasons.set(reason, [...(reasons.get(reason) ?? []), status]);
  }
  expect(reasons.get('auth')).toEqual([401, 403]);
  expect(reasons.get('not_found')).toEqual([404, 410]);
  expect(reasons.get('timeout')).toEqual([408, 425]);
  expect(reasons.get('rate_limited')).toEqual([429]);
  expect(reasons.get('server')).toEqual(
    Array.from({ length: 100 }, (_, index) => 500 + index).filter((status) => status !== 501 && status !== 505),
  );
  expect([...reasons.values()].flat()).toHaveLength(300);
});

describe('when the app wants to be called again', () => {
  it.each([
    ['seconds', { 'retry-after': '7' }, 7_000],
    ['decimals, as Microsoft Graph sends them', { 'retry-after': '2.128' }, 2_128],
    ['a date', { 'retry-after': 'Wed, 21 Oct 2026 07:28:30 GMT' }, 30_000],
    ['a date that has passed', { 'retry-after': 'Wed, 21 Oct 2020 07:28:00 GMT' }, 0],
    ['words', { 'retry-after': 'soon' }, undefined],
    ['nothing', { 'retry-after': '' }, undefined],
    ['a negative number', { 'retry-after': '-5' }, undefined],
    ['seconds since the epoch, as Okta sends them', { 'x-rate-limit-reset': String(EPOCH + 12) }, 12_000],
    ['the same, as GitHub spells it', { 'x-ratelimit-reset': String(EPOCH + 12) }, 12_000],
    [
      'milliseconds since the epoch, as Linear sends them',
      { 'x-ratelimit-requests-reset': String((EPOCH + 12) * 1000) },
      12_000,
    ],
    ['a reset that has passed', { 'x-rate-limit-reset': String(EPOCH - 12) }, 0],
    ['seconds from now, as PagerDuty sends them', { 'ratelimit-reset': '30' }, 30_000],
    ['both: Retry-After is the one that is asked for', { 'retry-after': '1', 'ratelimit-reset': '30' }, 1_000],
    ['a reset of words', { 'ratelimit-reset': 'soon' }, undefined],
    ['neither', {}, undefined],
  ])('it says so in %s', (_what, headers, expected) => {
    expect(retryAfterMs(headers as Record<string, string>, NOW, true)).toBe(expected);
  });

  it('a reset that comes with every answer is none where the answer says nothing of too many', () => {
    expect(retryAfterMs({ 'x-ratelimit-reset': String(EPOCH + 3_000) }, NOW, false)).toBeUndefined();
    expect(retryAfterMs({ 'retry-after': '7' }, NOW, false)).toBe(7_000);
  });
});

it('a status can mean what its text says', () => {
  const reason = saying(/"code":\s*1001\b/, 'not_found', 'refused');
  const answered = (body: string) => reason({ status: 404, headers: {}, body });
  expect(answered('{"code": 1001}')).toBe('not_found');
  expect(answered('{"code":10011}')).toBe('refused');
  expect(answered('<html>')).toBe('refused');
});

it('a 403 about a user who was just found is about this user, unless it says that a scope is missing', () => {
  const answered = (body: string, headers = {}) => notForThisUser({ status: 403, headers, body });
  expect(answered('{"errorCode":"E0000006"}')).toBe('refused');
  expect(answered('')).toBe('refused');
  expect(answered('{"error":"insufficient_scope"}')).toBe('auth');
  expect(answered('', { 'www-authenticate': 'Bearer error="insufficient_scope", scope="a"' })).toBe('auth');
});
