/** The identifiers of a person, and the forms in which they are compared. */
import fc from 'fast-check';
import { canonical, emailsOf, identifierOf, identifiersOf, type UserResource } from '../../src/directory/user.js';

const meta = { resourceType: 'User', created: '', lastModified: '', version: 'W/"1"' };

const ada: UserResource = {
  id: '1',
  meta,
  userName: 'ada',
  externalId: '00u1ada',
  emails: [{ value: 'a.king@example.com' }, { value: 'ada@example.com', primary: true }],
  phoneNumbers: [{ value: '+44 1632 960001' }],
};

describe('the form in which identifiers are compared', () => {
  it.each([
    ['email', 'Ada@Example.COM', 'ada@example.com'],
    ['email', ' ada@example.com\t', 'ada@example.com'],
    ['userName', 'ADA', 'ada'],
    ['userName', 'Zoe\u0308', 'zo\u00eb'],
    ['externalId', '00uAda', '00uAda'],
    ['phone', '+44 (1632) 96-00.01', '+441632960001'],
    ['phone', 'tel:+441632960001', '+441632960001'],
    ['phone', 'TEL:+441632960001', '+441632960001'],
    ['phone', ' tel: +441632960001', '+441632960001'],
    ['phone', '+44 (0)20 7946 0000', '+442079460000'],
    ['phone', '+44(0) 20 7946 0000', '+442079460000'],
    ['phone', '(+44) (0)20 7946 0000', '+442079460000'],
    ['phone', '0044 (0)20 7946 0000', '+442079460000'],
    ['phone', '0044 20 7946 0000', '+442079460000'],
    ['phone', '(0044) 20-7946-0000', '+442079460000'],
    ['phone', 'tel:+1-201-555-0123;ext=12', '+12015550123'],
    ['phone', '+1 201 555 0123; isub=1234', '+12015550123'],
    ['phone', '+1\u2011202\u2011555\u20110123', '+12025550123'],
    ['phone', '+1\u2013202\u2212555\u00a00123', '+12025550123'],
    ['phone', '\u202a+12025550123\u202c', '+12025550123'],
    ['phone', '+1/203/555/0123', '+12035550123'],
    ['phone', '+49 30/1234567', '+49301234567'],
    ['phone', '+1 (203)/555-0123', '+12035550123'],
    ['phone', '+39 (0)6 1234 5678', '+390612345678'],
    ['email', '\u03a4\u0391\u0399\u0308\u0301\u0396\u03a9@example.com', '\u03c4\u03b1\u0390\u03b6\u03c9@example.com'],
    ['userName', '\u03c4\u03b1\u0390\u03b6\u03c9'.toUpperCase(), '\u03c4\u03b1\u0390\u03b6\u03c9'],
  ] as const)('is one for all spellings [%s %j]', (kind, value, form) => {
    expect(canonical(kind, value)).toBe(form);
  });

  it.each(['email', 'userName', 'externalId', 'phone'] as const)('is its own form [%s]', (kind) => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (value) => {
        const once = canonical(kind, value);
        expect(canonical(kind, once)).toBe(once);
      }),
    );
  });

  it('is its own form, of whatever is nearly a telephone number', () => {
    const part = fc.constantFrom(
      'tel:',
      'TEL:',
      '+',
      '0',
      '00',
      '44',
      '1',
      '20794',
      '(0)',
      '(',
      ')',
      '/',
      '-',
      '\u2011',
      ' ',
      '\u200b',
      ';',
      'ext=1',
      'phone-context=+44',
      'phone context=',
      'x',
      't el:',
    );
    fc.assert(
      fc.property(fc.array(part, { maxLength: 12 }), (parts) => {
        const once = canonical('phone', parts.join(''));
        expect(canonical('phone', once)).toBe(once);
      }),
      { numRuns: 5_000 },
    );
  });

  it('is its own form, of every letter there is, with whatever marks', () => {
    const changed: string[] = [];
    for (const marks of ['', '\u0301', '\u0308\u0301', '\u0307', '\u0345']) {
      for (let code = 0; code < 0x20_000; code++) {
        const value = `a${String.fromCodePoint(code)}${marks}b@example.com`;
        if (canonical('email', canonical('email', value)) !== canonical('email', value)) changed.push(value);
      }
    }
    expect(changed).toEqual([]);
  });

  it.each([
    ['an extension in words', '+1 201 555 0123 x12'],
    ['an extension in other words', '+1 201 555 0123 ext. 12'],
    ['tones after a pause', '+1 201 555 0123,,12'],
    ['a key that is no digit', '+1 201 555 0123#12'],
    ['two numbers', '+1 201 555 0123 +1 201 555 0124'],
    ['two numbers, one after the other', '+1 201 555 0123 / +1 201 555 0124'],
    ['two endings', '+49 30 12345/46'],
    ['two endings of one length', '+49 30 1234/1235'],
    ['a number of one network', '00358 555 1234;phone-context=example.com'],
    ['a number of one network, with more parameters', 'tel:00358-555-1234;ext=1;phone-context=+49'],
    ['an extension that begins with 00', '00123'],
    ['a 00 behind which there is no country', '000 4420 7946 0000'],
    ['a number at home', '020 7946 0000'],
    ['a number without its +', '44 20 7946 0000'],
    ['the carrier in Australia, and a number', '+0011 44 20 7946 0000'],
    ['more digits than there are', '+44 20 7946 0000 0000'],
    ['a number in words', '+1 800 FLOWERS'],
    ['digits of another script', '+\u0661\u0662\u0663\u0664'],
    ['a footnote', '+44 20 7946 000\u2070'],
    ['nothing', ''],
    ['a plus alone', 'tel:+'],
  ])('is no E.164 number where the telephone number is %s [%s]', (_what, value) => {
    expect(canonical('phone', value)).not.toMatch(/^\+[1-9]\d{1,14}$/);
  });

  it('of a 0 in brackets keeps it where it is dialled, or is no prefix', () => {
    expect(canonical('phone', '+225 (0)7 01 02 03 04')).toBe('+2250701020304');
    expect(canonical('phone', '+44 20 (0)7946')).toBe('+442007946');
    expect(canonical('phone', '+44 (01)632')).toBe('+4401632');
  });

  it('does not confuse different people', () => {
    expect(canonical('email', 'ada+x@example.com')).not.toBe(canonical('email', 'ada@example.com'));
    expect(canonical('email', 'a.da@example.com')).not.toBe(canonical('email', 'ada@example.com'));
    expect(canonical('externalId', '00UADA')).not.toBe(canonical('externalId', '00uada'));
  });
});

describe('the e-mail addresses of a user', () => {
  it('have the primary one first, and otherwise keep their order', () => {
    expect(emailsOf(ada)).toEqual(['ada@example.com', 'a.king@example.com']);
    expect(emailsOf({ ...ada, emails: [{ value: 'b@example.com' }, { value: 'a@example.com' }] })).toEqual([
      'b@example.com',
      'a@example.com',
    ]);
  });

  it('are a userName that is one, for somebody without', () => {
    const { emails: _, ...without } = ada;
    expect(emailsOf({ ...without, userName: 'Ada@example.com' })).toEqual(['Ada@example.com']);
    expect(emailsOf({ ...without, emails: [], userName: 'Ada@example.com' })).toEqual(['Ada@example.com']);
    expect(emailsOf({ ...ada, userName: 'login@example.com' })).not.toContain('login@example.com');
  });

  it.each(['ada', 'ada@', '@example.com', 'ada @example.com', 'a@b@c'])(
    'are none where the userName is none either [%s]',
    (userName) => {
      expect(emailsOf({ ...ada, userName, emails: [] })).toEqual([]);
    },
  );
});

describe('the identifiers of a user', () => {
  it('are all of them, canonical and once each', () => {
    const emails = [{ value: 'Ada@example.com' }, { value: 'ada@EXAMPLE.com' }];
    expect(identifiersOf({ ...ada, userName: 'ADA', emails })).toEqual([
      { kind: 'userName', value: 'ada' },
      { kind: 'externalId', value: '00u1ada' },
      { kind: 'email', value: 'ada@example.com' },
      { kind: 'phone', value: '+441632960001' },
    ]);
  });

  it('are a userName alone, at the least', () => {
    expect(identifiersOf({ id: '1', meta, userName: 'ada' })).toEqual([{ kind: 'userName', value: 'ada' }]);
  });
});

describe('the account of a user in an app', () => {
  it.each([
    ['id', '1'],
    ['externalId', '00u1ada'],
    ['userName', 'ada'],
    ['email', 'ada@example.com'],
  ] as const)('is what the app calls its users by [%s]', (kind, account) => {
    expect(identifierOf(ada, kind)).toBe(account);
  });

  it('keeps its spelling', () => {
    expect(identifierOf({ ...ada, emails: [{ value: 'Ada@Example.com' }] }, 'email')).toBe('Ada@Example.com');
  });

  it.each(['externalId', 'email'] as const)('is nothing where the user has no such identifier [%s]', (kind) => {
    expect(identifierOf({ id: '1', meta, userName: 'ada' }, kind)).toBeUndefined();
  });
});
