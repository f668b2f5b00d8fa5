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
