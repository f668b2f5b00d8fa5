/** Many names, of which some are dead, and a resolver that has two threads for them as the system's has. */
import { createLookup, type Looked } from '../../src/outbound/lookup.js';

const ADDRESSES = [{ address: '192.0.2.1', family: 4 }];

/** A resolver like getaddrinfo: two at a time, the others in the order in which they came, and a dead name holds a thread for long. */
function startResolver({ deadMs = 1_500, quickMs = 5 } = {}) {
  const begun: string[] = [];
  const dead = new Set<string>();
  const queue: (() => void)[] = [];
  let free = 2;
  const next = () => {
    if (free > 0) queue.shift()?.();
  };
  const resolve = (name: string, _options: { all: true }, looked: Looked) => {
    queue.push(() => {
      free -= 1;
      begun.push(name);
      const isDead = dead.has(name);
      setTimeout(
        () => {
          free += 1;
          next();
          if (isDead) looked(Object.assign(new Error('EAI_AGAIN'), { code: 'EAI_AGAIN' }), []);
          else looked(null, ADDRESSES);
        },
        isDead ? deadMs : quickMs,
      );
    });
    next();
  };
  const lookUp = createLookup(resolve);
  return {
    begun,
    dead,
    /** What comes of a look-up, and after how many milliseconds. */
    ask: (name: string) =>
      new Promise<{ ms: number; code: string | undefined; found: number }>((done) => {
        const since = performance.now();
        lookUp(name, (error, addresses) => {
          done({ ms: performance.now() - since, code: error?.code, found: addresses.length });
        });
      }),
  };
}

const times = (begun: readonly string[], name: string) => begun.filter((one) => one === name).length;

describe('a name', () => {
  it('is asked for once for all who wait for it, and each of them has the answer', async () => {
    const { ask, begun } = startResolver();
    const answers = await Promise.all(Array.from({ length: 50 }, () => ask('app')));
    expect(answers.every(({ found, code }) => found === 1 && code === undefined)).toBe(true);
    expect(begun).toEqual(['app']);
  });

  it('is asked for anew by who comes after the answer: nothing is kept', async () => {
    const { ask, begun } = startResolver();
    await ask('app');
    await ask('app');
    expect(begun).toEqual(['app', 'app']);
  });

  it('that is dead is told to all who wait for it, and asked for anew by the next', async () => {
    const { ask, begun, dead } = startResolver({ deadMs: 50 });
    dead.add('app');
    const answers = await Promise.all([ask('app'), ask('app')]);
    expect(answers.map(({ code }) => code)).toEqual(['EAI_AGAIN', 'EAI_AGAIN']);
    dead.clear();
    expect(await ask('app')).toMatchObject({ found: 1 });
    expect(begun).toEqual(['app', 'app']);
  });

  it('may be asked for by who has just been answered', async () => {
    const { ask } = startResolver();
    const again = await ask('app').then(() => Promise.all([ask('app'), ask('other')]));
    expect(again.map(({ found }) => found)).toEqual([1, 1]);
  });
});

describe('a dead name', () => {
  it('that many wait for leaves a thread to all others', async () => {
    const { ask, dead } = startResolver();
    dead.add('dead');
    const waiting = Array.from({ length: 10 }, () => ask('dead'));
    for (const name of ['a', 'b', 'c', 'a']) expect((await ask(name)).ms).toBeLessThan(500);
    await Promise.all(waiting);
  });

  it('takes turns with the others that were slow the last time, and leaves a thread to the good ones', async () => {
    const { ask, begun, dead } = startResolver();
    const names = ['dead-1', 'dead-2', 'dead-3', 'dead-4'];
    for (const name of names) dead.add(name);
    await Promise.all(names.map(ask));
    begun.length = 0;
    const waiting = names.map(ask);
    for (const name of ['a', 'b', 'c', 'new', 'a']) expect((await ask(name)).ms).toBeLessThan(500);
    const seen = begun.filter((name) => dead.has(name));
    expect(seen).toEqual(['dead-1']);
    await Promise.all(waiting);
    expect(begun.filter((name) => dead.has(name))).toEqual(names);
  });

  it('does not begin beside one that has turned out to be slow just now', async () => {
    const { ask, begun, dead } = startResolver();
    dead.add('dead').add('newly-dead');
    await ask('dead');
    const newly = ask('newly-dead');
    await new Promise((done) => setTimeout(done, 1_200));
    const known = ask('dead');
    expect((await ask('a')).ms).toBeLessThan(250);
    expect(times(begun, 'dead')).toBe(1);
    await Promise.all([newly, known]);
  });

  it('that nobody has known before lets those go first that were answered before', async () => {
    const { ask, begun, dead } = startResolver();
    await ask('good');
    begun.length = 0;
    for (const name of ['dead-1', 'dead-2', 'dead-3', 'dead-4']) dead.add(name);
    const waiting = [...dead].map(ask);
    expect((await ask('good')).ms).toBeLessThan(2_000);
    expect(begun.slice(0, 3)).toEqual(['dead-1', 'dead-2', 'good']);
    await Promise.all(waiting);
  });

  it('lets those go first that were answered last, where all were known', async () => {
    const { ask, begun, dead } = startResolver();
    for (const name of ['dead-1', 'dead-2', 'dead-3', 'good']) await ask(name);
    for (const name of ['dead-1', 'dead-2', 'dead-3']) dead.add(name);
    const waiting = ['dead-1', 'dead-2'].map(ask);
    begun.length = 0;
    waiting.push(ask('dead-3'), ask('good'));
    await Promise.all(waiting);
    expect(begun).toEqual(['good', 'dead-3']);
  });

  it('makes no good name slow that waited behind it', async () => {
    const { ask, begun, dead } = startResolver();
    dead.add('dead-1').add('dead-2');
    const first = [ask('dead-1'), ask('dead-2'), ask('good')];
    await Promise.all(first);
    begun.length = 0;
    const again = [ask('dead-1'), ask('dead-2')];
    expect((await ask('good')).ms).toBeLessThan(500);
    expect(begun).toEqual(['dead-1', 'good']);
    await Promise.all(again);
  });

  it('that is answered again is at once as good as any other', async () => {
    const { ask, begun, dead } = startResolver();
    dead.add('dead').add('back');
    await Promise.all([ask('dead'), ask('back')]);
    dead.delete('back');
    expect(await ask('back')).toMatchObject({ found: 1 });
    begun.length = 0;
    const waiting = ask('dead');
    expect((await ask('back')).ms).toBeLessThan(500);
    expect(begun).toEqual(['dead', 'back']);
    await waiting;
  });
});
