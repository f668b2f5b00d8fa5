/** The app's own id of a user: of exactly one, remembered for a while, and forgotten where it proves wrong. */
import { ConnectorError, NONE, type Outcome } from '../../src/connectors/connector.js';
import { withUserId } from '../../src/connectors/look-up.js';

const DONE: Outcome = { state: 'revoked', what: ['sessions'] };
const gone = () => {
  throw new ConnectorError('not_found', 'spec: gone');
};

/** An app whose search answers these ids; it knows those for which `act` does not throw. */
function app(find: () => string[], act: (id: string) => void = () => {}) {
  const options = {};
  const seen = { found: 0, acted: [] as string[] };
  const revoke = (account = 'ada@example.com', of: object = options) =>
    withUserId(
      { connector: 'spec', options: of, account },
      async () => {
        seen.found += 1;
        return find();
      },
      async (id) => {
        seen.acted.push(id);
        act(id);
        return DONE;
      },
    );
  return { seen, revoke };
}

it('calls for the one who is found, and looks up once', async () => {
  const { seen, revoke } = app(() => ['1']);
  expect([await revoke(), await revoke()]).toEqual([DONE, DONE]);
  expect(seen).toEqual({ found: 1, acted: ['1', '1'] });
});

it('calls for nobody where nobody is found, and looks up again the next time', async () => {
  const { seen, revoke } = app(() => []);
  expect([await revoke(), await revoke()]).toEqual([NONE, NONE]);
  expect(seen).toEqual({ found: 2, acted: [] });
});

it('calls for nobody where several are found', async () => {
  const { seen, revoke } = app(() => ['1', '2']);
  await expect(revoke()).rejects.toMatchObject({ reason: 'refused', message: expect.stringContaining('several') });
  expect(seen.acted).toEqual([]);
});

it('takes the same one, found twice, for one', async () => {
  expect(await app(() => ['1', '1']).revoke()).toEqual(DONE);
});

it('looks up anew where the id that it remembers is not known any more, once', async () => {
  let id = '1';
  const { seen, revoke } = app(
    () => [id],
    (asked) => {
      if (asked !== id) gone();
    },
  );
  await revoke();
  id = '2';
  expect(await revoke()).toEqual(DONE);
  expect(seen).toEqual({ found: 2, acted: ['1', '1', '2'] });
});

it('says whether the id was found just now', async () => {
  const seen: [string, boolean][] = [];
  const options = {};
  let id = '1';
  const revoke = () =>
    withUserId(
      { connector: 'spec', options, account: 'ada@example.com' },
      async () => [id],
      async (asked, isNew) => {
        seen.push([asked, isNew]);
        if (asked !== id) gone();
        return DONE;
      },
    );
  await revoke();
  await revoke();
  id = '2';
  await revoke();
  expect(seen).toEqual([
    ['1', true],
    ['1', false],
    ['1', false],
    ['2', true],
  ]);
});

it('has nothing to revoke where the user that was found has gone, and remembers nobody', async () => {
  const { seen, revoke } = app(() => ['1'], gone);
  expect([await revoke(), await revoke()]).toEqual([NONE, NONE]);
  expect(seen).toEqual({ found: 2, acted: ['1', '1'] });
});

it('fails where the look-up fails: a search that is not found is a wrong URL, and says nothing of the user', async () => {
  await expect(app(() => gone()).revoke()).rejects.toMatchObject({ reason: 'not_found' });
});

it('fails where the call fails, and keeps the id', async () => {
  let broken = true;
  const { seen, revoke } = app(
    () => ['1'],
    () => {
      if (broken) throw new ConnectorError('server', 'spec: broken');
    },
  );
  await expect(revoke()).rejects.toMatchObject({ reason: 'server' });
  broken = false;
  expect(await revoke()).toEqual(DONE);
  expect(seen.found).toBe(2);
});

it('remembers for each app and each account apart', async () => {
  const { seen, revoke } = app(() => [String(seen.found)]);
  await revoke('ada@example.com');
  await revoke('grace@example.com');
  await revoke('ada@example.com', {});
  await revoke('ada@example.com');
  expect(seen).toEqual({ found: 3, acted: ['1', '2', '3', '1'] });
});
