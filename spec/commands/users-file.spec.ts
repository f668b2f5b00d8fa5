/** Files of people, read as a stream: lines of JSON, Okta's CSV, and how far a long read is. */
import fc from 'fast-check';
import { createProgress, duration } from '../../src/commands/progress.js';
import { type Line, linesOf } from '../../src/commands/users/lines.js';
import { type Entry, oktaCsvEntries } from '../../src/commands/users/okta-csv.js';
import { createTurns } from '../../src/commands/users/turns.js';
import { readUser } from '../../src/scim/schemas.js';

const ENTERPRISE = 'urn:ietf:params:scim:schemas:extension:enterprise:2.0:User';

async function* inPieces(content: string | Buffer, size: number): AsyncGenerator<Buffer> {
  const bytes = Buffer.from(content);
  for (let start = 0; start < bytes.length; start += size) yield bytes.subarray(start, start + size);
}

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const item of items) list.push(item);
  return list;
}

const linesIn = (content: string | Buffer, size = 7, maxBytes = 1_000): Promise<Line[]> =>
  collect(linesOf(inPieces(content, size), maxBytes));

describe('lines', () => {
  it('are the same however the bytes arrive', async () => {
    const texts = fc.array(fc.string({ unit: 'grapheme' }).map((text) => text.replace(/[\n\r\uFEFF]/g, ' ')));
    await fc.assert(
      fc.asyncProperty(texts, fc.integer({ min: 1, max: 9 }), async (list, size) => {
        const lines = await linesIn(list.map((text) => `${text}\n`).join(''), size);
        expect(lines).toEqual(list.map((text, index) => ({ number: index + 1, text })));
      }),
      { numRuns: 200 },
    );
  });

  it.each<[string, string | Buffer, Line[]]>([
    ['none in an empty file', '', []],
    ['the last without an end', 'a\nb', [line(1, 'a'), line(2, 'b')]],
    ['CRLF', 'a\r\nb\r\n', [line(1, 'a'), line(2, 'b')]],
    ['a byte order mark', '\uFEFFa\n', [line(1, 'a')]],
    ['U+2028, which JSON allows in a string', '{"a":"\u2028"}\n', [line(1, '{"a":"\u2028"}')]],
    ['empty ones', '\n\na', [line(1, ''), line(2, ''), line(3, 'a')]],
    [
      'not UTF-8',
      Buffer.from('a\n\xe9\nb', 'latin1'),
      [line(1, 'a'), { number: 2, problem: 'is not UTF-8' }, line(3, 'b')],
    ],
  ])('are told apart [%s]', async (_what, content, lines) => {
    expect(await linesIn(content, 2)).toEqual(lines);
  });

  it('that are too long are a problem, and the next is read', async () => {
    const tooLong = { number: 2, problem: 'is longer than 1000 bytes' };
    expect(await linesIn(`a\n${'x'.repeat(1_001)}\nb`)).toEqual([line(1, 'a'), tooLong, line(3, 'b')]);
    expect(await linesIn('x'.repeat(1_001))).toEqual([{ ...tooLong, number: 1 }]);
    expect(await linesIn('x'.repeat(1_000))).toEqual([line(1, 'x'.repeat(1_000))]);
  });
});

const HEADER = 'login,firstName,lastName,email,secondEmail,mobilePhone,department,id,status';

const peopleIn = (content: string): Promise<Entry[]> => collect(oktaCsvEntries(linesOf(inPieces(content, 5), 1_000)));

describe("Okta's CSV", () => {
  it('becomes SCIM Users that the directory takes', async () => {
    const [entry] = await peopleIn(
      `${HEADER}\nada@example.com,Ada,King,a.king@example.com,ada@home.example,+44 1632 960001,"R&D, ""west""",00u1ada,ACTIVE\n`,
    );
    const resource = entry && 'resource' in entry ? entry.resource : undefined;
    expect(readUser(resource)).toEqual({
      active: true,
      userName: 'ada@example.com',
      externalId: '00u1ada',
      displayName: 'Ada King',
      name: { givenName: 'Ada', familyName: 'King' },
      emails: [{ value: 'a.king@example.com', type: 'work', primary: true }],
      phoneNumbers: [{ value: '+44 1632 960001', type: 'mobile' }],
      [ENTERPRISE]: { department: 'R&D, "west"' },
    });
  });

  it('leaves the private second address out, which would name its owner', async () => {
    expect(JSON.stringify(await peopleIn(`${HEADER}\na,,,a@example.com,b@example.com,,,,\n`))).not.toContain(
      'b@example',
    );
  });

  it('has the columns that the org has, in any order and spelling', async () => {
    const expected = [{ line: 2, resource: { userName: 'ada', externalId: '00u1', displayName: 'Ada', active: true } }];
    for (const header of [
      'externalId,login,displayName',
      'id,profile.login,profile.displayName',
      'User ID,Username,Display Name',
    ]) {
      expect(await peopleIn(`${header}\n00u1,ada,Ada`)).toEqual(expected);
    }
  });

  it.each([
    ['comma', ','],
    ['semicolon, as Excel has it in half of Europe', ';'],
    ['tab', '\t'],
  ])('is separated by one sign [%s]', async (_what, sign) => {
    expect(await peopleIn([`login${sign}id`, `ada${sign}00u1`].join('\r\n'))).toEqual([
      { line: 2, resource: { userName: 'ada', externalId: '00u1', active: true } },
    ]);
  });

  it.each([
    ['STAGED', true],
    ['PROVISIONED', true],
    ['ACTIVE', true],
    ['active', true],
    ['RECOVERY', true],
    ['PASSWORD_EXPIRED', true],
    ['LOCKED_OUT', true],
    ['SUSPENDED', false],
    ['DEPROVISIONED', false],
    ['', true],
  ])('says who is active [%s]', async (status, active) => {
    expect(await peopleIn(`login,status\nada,${status}\n`)).toEqual([
      { line: 2, resource: { userName: 'ada', active } },
    ]);
  });

  it('has records of several lines, each known by its first', async () => {
    const text = 'login,postalAddress,title\nada,"1 High St\nLondon ""W""\n\nUK",Countess\n\ngrace,,Admiral\n';
    expect(await peopleIn(text)).toEqual([
      { line: 2, resource: { userName: 'ada', title: 'Countess', active: true } },
      { line: 7, resource: { userName: 'grace', title: 'Admiral', active: true } },
    ]);
  });

  it.each<[string, string, string]>([
    ['too few cells', 'ada', 'has 1 cells where the header has 2'],
    ['too many cells', 'ada,00u1,', 'has 3 cells where the header has 2'],
    ['a quote that nobody closes', '"ada,00u1', 'is not CSV'],
    ['a quote in the middle', 'a"d"a,00u1', 'is not CSV'],
    ['text after a closing quote', '"ada"x,00u1', 'is not CSV'],
    ['not UTF-8', 'ad\xff,00u1', 'is not UTF-8'],
    ['too long', `${'a'.repeat(1_000)},00u1`, 'is longer than 1000 bytes'],
  ])('loses the line that is wrong and no other [%s]', async (_what, wrong, problem) => {
    const text = `login,id\ngrace,00u2\n${wrong}\nlin,00u3\n`;
    const bytes = Buffer.from(text, 'latin1');
    const entries = await collect(oktaCsvEntries(linesOf(inPieces(bytes, 5), 1_000)));
    expect(entries).toEqual([
      { line: 2, resource: { userName: 'grace', externalId: '00u2', active: true } },
      { line: 3, problem },
      { line: 4, resource: { userName: 'lin', externalId: '00u3', active: true } },
    ]);
  });

  it('loses no good line among many bad ones', async () => {
    const row = fc.constantFrom('good', '"open', 'a,b', '"fine"', 'x"y', '""', '"two\nlines"');
    await fc.assert(
      fc.asyncProperty(fc.array(row, { maxLength: 30 }), async (rows) => {
        const entries = await peopleIn(`login,title\n${rows.map((one) => `${one},t\n`).join('')}`);
        const good = rows.filter((one) => !['"open', 'a,b', 'x"y'].includes(one));
        expect(entries.filter((entry) => 'resource' in entry)).toHaveLength(good.length);
        expect(entries).toHaveLength(rows.length);
        expect(new Set(entries.map((entry) => entry.line)).size).toBe(rows.length);
      }),
      { numRuns: 200 },
    );
  });

  it('without a login is refused as a whole', async () => {
    await expect(peopleIn('name,email\nAda,ada@example.com\n')).rejects.toThrow('its first line has no column `login`');
    await expect(peopleIn('"login\nada\n')).rejects.toThrow('its first line has no column `login`');
    expect(await peopleIn('')).toEqual([]);
  });
});

describe('many at once', () => {
  it('are never more than the limit, and all end', async () => {
    const turns = createTurns(3);
    let running = 0;
    let most = 0;
    let done = 0;
    for (let index = 0; index < 20; index++) {
      await turns.take([], async () => {
        most = Math.max(most, ++running);
        await new Promise((resolve) => setTimeout(resolve, Math.random() * 3));
        running--;
        done++;
      });
    }
    await turns.finish();
    expect([most, done]).toEqual([3, 20]);
  });

  it('keep their order where they have a name in common', async () => {
    const order: string[] = [];
    const turns = createTurns(10);
    const act = (name: string, ms: number) => async () => {
      await new Promise((resolve) => setTimeout(resolve, ms));
      order.push(name);
    };
    await turns.take(['x'], act('first', 20));
    await turns.take(['y', 'x'], act('second', 1));
    await turns.take(['z'], act('alone', 1));
    await turns.take(['y'], act('third', 1));
    await turns.finish();
    expect(order).toEqual(['alone', 'first', 'second', 'third']);
  });

  it('begin nothing after a failure, which the caller sees when all have ended', async () => {
    const turns = createTurns(2);
    let begun = 0;
    let ended = false;
    const slow = async () => {
      await new Promise((resolve) => setTimeout(resolve, 20));
      ended = true;
    };
    await turns.take([], slow);
    await turns.take([], async () => {
      throw new Error('Redis has gone');
    });
    const next = turns.take([], async () => {
      begun++;
    });
    await expect(next).rejects.toThrow('Redis has gone');
    expect([begun, ended]).toEqual([0, true]);
  });
});

describe('progress', () => {
  function follow(isTTY: boolean, updates: [atMs: number, count: number, part?: number][]): string {
    let written = '';
    let now = 0;
    const output = { isTTY, write: (text: string) => (written += text) };
    const progress = createProgress(output, 'lines', () => now);
    for (const [at, count, part] of updates) {
      now = at;
      progress.update(count, part);
    }
    progress.say('people.csv:7 is not CSV');
    progress.done();
    return written;
  }

  it('is one line that is rewritten on a terminal, and makes way for lines that stay', () => {
    const text = follow(true, [
      [50, 10, 0.1],
      [2_000, 20_000, 0.25],
      [2_050, 20_010, 0.26],
    ]);
    const drawn = '\r\u001b[K20,000 lines, 10,000 a second, 25 %, 6 s left';
    expect(text).toBe(`${drawn}\r\u001b[Kpeople.csv:7 is not CSV\n${drawn.slice(4)}\r\u001b[K`);
  });

  it('is a line now and then elsewhere', () => {
    const text = follow(false, [
      [4_999, 10],
      [5_000, 15_000],
      [9_000, 20_000],
      [10_000, 25_000, 0.01],
    ]);
    expect(text.split('\n')).toEqual([
      '15,000 lines, 3,000 a second',
      '25,000 lines, 2,500 a second, 1 %, 16 min 30 s left',
      'people.csv:7 is not CSV',
      '',
    ]);
  });

  it.each([
    [0, '0 s'],
    [59.2, '1 min 0 s'],
    [3_599, '59 min 59 s'],
    [7_320, '2 h 2 min'],
  ])('says durations as people do [%s]', (seconds, words) => {
    expect(duration(seconds)).toBe(words);
  });
});

function line(number: number, text: string): Line {
  return { number, text };
}
