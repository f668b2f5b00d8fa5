/** Many things to end: list, end each, and list again until none is left. */
import { ConnectorError } from '../../src/connectors/connector.js';
import { endAll, expectNone, hasEnded } from '../../src/connectors/rounds.js';

/** Sessions that end when told to, unless `ending` throws. */
function sessions(names: string[], ending: (name: string) => void = () => {}) {
  const told: string[] = [];
  let lists = 0;
  return {
    told,
    lists: () => lists,
    end: () =>
      endAll(
        'spec: sessions',
        async () => {
          lists += 1;
          return [...names];
        },
        async (name) => {
          told.push(name);
          ending(name);
          names.splice(names.indexOf(name), 1);
        },
      ),
  };
}

const failing = (reason: ConstructorParameters<typeof ConnectorError>[0]) =>
  new ConnectorError(reason, `spec: ${reason}`);

it('ends all, and looks again', async () => {
  const all = sessions(['a', 'b', 'c']);
  expect(await all.end()).toBe(3);
  expect(all.told).toEqual(['a', 'b', 'c']);
  expect(all.lists()).toBe(2);
});

it('ends none where there is none', async () => {
  const none = sessions([]);
  expect(await none.end()).toBe(0);
  expect(none.lists()).toBe(1);
});

it('takes what has gone in the meantime for ended', async () => {
  const names = ['a', 'b'];
  const all = sessions(names, (name) => {
    if (name !== 'a') return;
    names.splice(0, 1);
    throw failing('not_found');
  });
  expect(await all.end()).toBe(2);
});

it.each(['refused', 'server'] as const)(
  'ends the others too where one fails, and is no success then [%s]',
  async (reason) => {
    const all = sessions(['a', 'b', 'c'], (name) => {
      if (name === 'b') throw failing(reason);
    });
    await expect(all.end()).rejects.toMatchObject({ reason });
    expect(all.told).toEqual(['a', 'b', 'c']);
    expect(all.lists()).toBe(1);
  },
);

it.each(['auth', 'rate_limited', 'timeout', 'network'] as const)(
  'stops where going on would be in vain [%s]',
  async (reason) => {
    const all = sessions(['a', 'b', 'c'], (name) => {
      if (name === 'b') throw failing(reason);
    });
    await expect(all.end()).rejects.toMatchObject({ reason });
    expect(all.told).toEqual(['a', 'b']);
  },
);

it('goes on where it stopped when it is tried again', async () => {
  const names = ['a', 'b', 'c'];
  let broken = true;
  const all = sessions(names, (name) => {
    if (name === 'b' && broken) throw failing('network');
  });
  await expect(all.end()).rejects.toThrow('network');
  broken = false;
  await all.end();
  expect(all.told).toEqual(['a', 'b', 'b', 'c']);
});

it('ends what has begun in between, and gives up on what never ends', async () => {
  const fresh = ['d'];
  const names = ['a'];
  const between = sessions(names, () => {
    names.push(...fresh.splice(0));
  });
  expect(await between.end()).toBe(2);
  const deathless = ['a'];
  const never = sessions(deathless, () => {
    deathless.push('a');
  });
  await expect(never.end()).rejects.toMatchObject({ reason: 'server', retryable: true });
  expect(never.lists()).toBe(4);
});

it('is no success where something is still there', () => {
  expect(() => expectNone('spec: sessions', [])).not.toThrow();
  expect(() => expectNone('spec: sessions', ['s3cret'])).toThrow('spec: sessions: 1 are still there');
});

it('an account that has nothing left had something all the same where an attempt before may have ended it', () => {
  expect([hasEnded(0, { attempt: 1 }), hasEnded(2, { attempt: 1 }), hasEnded(0, { attempt: 2 })]).toEqual([
    false,
    true,
    true,
  ]);
});
