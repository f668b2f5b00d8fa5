/** What an account has to look like before an app hears of it. */
import fc from 'fast-check';
import { anyName, email, identifier, isSame } from '../../src/connectors/account.js';

const forms = { email, identifier, anyName };

describe.each(Object.entries(forms))('%s', (_name, form) => {
  it.each([
    ...[
      '',
      ' ',
      '.',
      '..',
      '...',
      'all',
      'All',
      '*',
      'any',
      'every',
      'everyone',
      'everybody',
      'me',
      'ME',
      'self',
      'current',
    ],
    ...[
      'none',
      'null',
      'undefined',
      'ada*',
      '*@example.com',
      ' ada@example.com',
      'ada@example.com ',
      'ada@example.com\n',
    ],
    ...[
      'ada\r\nhost: x',
      'a\u0000b',
      '\u2028@example.com',
      'ada\u200b@example.com',
      '\ud800@example.com',
      '%2e',
      '%2e%2e',
    ],
    ...['a/b', 'a?b', 'a#b', 'a%2fb', '../../users', `${'a'.repeat(520)}@example.com`],
  ])('refuses what means everybody, nobody, the caller or another path [%j]', (account) => {
    expect(form.test(account)).toBe(false);
  });

  it.each(["o'brien@example.com", 'ada+test@example.com', 'ada@example.com', 'Ada@Example.com', 'grâce@exämple.com'])(
    'takes an ordinary address [%s]',
    (account) => {
      expect(form.test(account)).toBe(true);
    },
  );

  it('lets nothing through that is more than one segment, or another one, in a URL', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: 'binary' }), fc.webUrl(), fc.emailAddress()), (account) => {
        if (form === anyName || !form.test(account)) return;
        const { pathname, search, hash } = new URL(`https://app.example.com/users/${encodeURIComponent(account)}/end`);
        expect([pathname.split('/').length, search, hash]).toEqual([4, '', '']);
        expect(decodeURIComponent(pathname.split('/')[2] as string)).toBe(account);
      }),
      { numRuns: 1_000 },
    );
  });
});

it.each([
  'ada',
  '00u1ada',
  'auth0|5f7',
  'urn:x',
  'a b@example.com',
  'ada@',
  '@example.com',
  'a@b@example.com',
  'a,b@c.d',
])('an e-mail address is one [%s]', (account) => {
  expect(email.test(account)).toBe(false);
});

it.each(['ada', '00u1ada', 'auth0|5f7', 'b2c5d1e0-0000-4000-8000-000000000000', 'dbmid:AAF'])(
  'an identifier may be an id of any kind [%s]',
  (account) => {
    expect(identifier.test(account)).toBe(true);
    expect(anyName.test(account)).toBe(true);
  },
);

it.each([
  'https://id.example.com/people/7',
  'urn:example:ada',
  '"quoted"@example.com',
  'Ada Lovelace',
  'アダ@example.com',
  '💥@example.com',
])('a name that goes out as data may also be a URI, or have spaces in it [%s]', (account) => {
  expect(anyName.test(account)).toBe(true);
});

it.each(['https://id.example.com/%2e%2e/people', 'https:/people', 'javascript:alert/1', 'ftp://x/y', 'https://'])(
  'a URI is a whole one [%s]',
  (account) => {
    expect(anyName.test(account)).toBe(false);
  },
);

it.each([
  ['Ada@Example.com', 'ada@example.com', true],
  ['e\u0301@example.com', '\u00e9@example.com', true],
  ['xada@example.com', 'ada@example.com', false],
  ['ada@example.com.evil.example', 'ada@example.com', false],
  ['', '', true],
  [null, 'null', false],
  [undefined, 'undefined', false],
])('only the same name is the same [%j, %j]', (one, other, same) => {
  expect(isSame(one, other)).toBe(same);
});
