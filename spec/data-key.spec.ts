/** Data keys: what is sealed opens with the same key and context, and in no other way; and where the keys come from. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { createDataKeys, dataKeyText, keyIdOf, newDataKey, parseDataKeys } from '../src/data-key.js';
import { loadDataKeys } from '../src/data-key-file.js';
import { createFolder, runCommand } from './support/command.js';

const MODULE = new URL('../src/data-key-file.ts', import.meta.url).href;
const ROOT = fileURLToPath(new URL('..', import.meta.url));
const ADA = '{"account":"ada@example.com"}';

const old = { ...newDataKey(), id: 'old' };
const fresh = { ...newDataKey(), id: 'new' };
const keys = createDataKeys([old]);

describe('a sealed text', () => {
  it('opens as what it was, whatever it was and wherever it belongs', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' }), (text, context) => {
        expect(keys.open(keys.seal(text, context), context)).toBe(text);
      }),
    );
  });

  it('shows nothing of the text, is ASCII, and is never the same twice', () => {
    const [one, two] = [keys.seal(ADA, 'default'), keys.seal(ADA, 'default')];
    expect(one).toMatch(/^v1\.old\.[\w-]{16}\.[\w-]+$/);
    expect(two).not.toBe(one);
    expect(Buffer.from(one.split('.').at(-1) ?? '', 'base64url').toString('latin1')).not.toContain('ada');
  });

  it('says which key it needs', () => {
    expect(keyIdOf(keys.seal(ADA, 'default'))).toBe('old');
    expect(keyIdOf(createDataKeys([]).seal('v1.x', 'default'))).toBeUndefined();
    expect(keyIdOf('ada')).toBeUndefined();
  });

  it('is refused with any one character changed, and nothing of it is shown', () => {
    const sealed = keys.seal(ADA, 'default');
    for (let at = 0; at < sealed.length; at++) {
      for (const other of ['A', 'B', '-', '.', 'é']) {
        if (sealed[at] === other) continue;
        const changed = sealed.slice(0, at) + other + sealed.slice(at + 1);
        const message = messageOf(() => keys.open(changed, 'default'));
        expect([changed, message]).toEqual([changed, expect.stringMatching(/^This is no sealed|^A text( is)? sealed/)]);
        expect(message).not.toContain(sealed.slice(-10));
      }
    }
  });

  it('is refused with any bit of its bytes changed, and cut anywhere', () => {
    const sealed = keys.seal(ADA, 'default');
    const [version, id, iv = '', body = ''] = sealed.split('.');
    const bytes = Buffer.from(body, 'base64url');
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const flipped = Buffer.from(bytes);
      flipped.writeUInt8(flipped.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
      expect(() => keys.open([version, id, iv, flipped.toString('base64url')].join('.'), 'default')).toThrow(/changed/);
    }
    for (let end = 0; end < sealed.length; end++) {
      expect(() => keys.open(sealed.slice(0, end), 'default')).toThrow(/no sealed text|changed/);
    }
  });

  it.each([
    ['another tenant', 'acme'],
    ['none', ''],
    ['nearly the same', 'default '],
  ])('is refused where it does not belong [%s]', (_what, context) => {
    expect(() => keys.open(keys.seal(ADA, 'default'), context)).toThrow(/belongs elsewhere/);
  });

  it('is refused with another key of the same id', () => {
    const other = createDataKeys([{ ...newDataKey(), id: 'old' }]);
    expect(() => other.open(keys.seal(ADA, 'default'), 'default')).toThrow(/the key is another one/);
  });

  it('without its key is refused by a sentence that names the key and DATA_KEY', () => {
    for (const others of [[], [fresh]]) {
      const message = messageOf(() => createDataKeys(others).open(keys.seal(ADA, 'default'), 'default'));
      expect(message).toContain('"old"');
      expect(message).toContain('add it to DATA_KEY');
    }
  });

  it.each(['', 'ada@example.com', 'v2.old.AAAAAAAAAAAAAAAA.AAAA', 'v1.OLD.AAAAAAAAAAAAAAAA.AAAA', 'plain', '{}'])(
    'is told from what is none [%s]',
    (text) => {
      expect(messageOf(() => keys.open(text, 'default'))).toBe('This is no sealed text.');
    },
  );
});

describe('several keys', () => {
  it('the first seals, all open', () => {
    const both = createDataKeys([fresh, old]);
    expect(both.ids()).toEqual(['new', 'old']);
    expect(both.seal(ADA, 'default')).toMatch(/^v1\.new\./);
    expect(both.open(keys.seal(ADA, 'default'), 'default')).toBe(ADA);
    expect(createDataKeys([fresh]).open(both.seal(ADA, 'default'), 'default')).toBe(ADA);
    expect(() => keys.open(both.seal(ADA, 'default'), 'default')).toThrow('"new"');
  });

  it('none at all: texts are marked as plain, and open also once there is a key', () => {
    const none = createDataKeys([]);
    for (const text of [ADA, '', 'plain.', 'v1.old.AAAAAAAAAAAAAAAA.AAAA']) {
      const plain = none.seal(text, 'default');
      expect(plain).toBe(`plain.${text}`);
      expect(none.open(plain, 'default')).toBe(text);
      expect(keys.open(plain, 'default')).toBe(text);
    }
  });
});

describe('DATA_KEY', () => {
  const problemsOf = (text: string) => {
    const problems: string[] = [];
    parseDataKeys(text, (problem) => problems.push(problem));
    return problems;
  };

  it('reads as it is written, blanks and line ends between keys aside', () => {
    expect(parseDataKeys(`${dataKeyText(fresh)} ,\n${dataKeyText(old)}`, fail)).toEqual([fresh, old]);
  });

  it('takes what `universal-logout data-key new` prints, which is another one each time', async () => {
    const folder = createFolder();
    const all = await Promise.all([
      runCommand(['data-key', 'new'], { folder }),
      runCommand(['data-key', 'new'], { folder }),
    ]);
    const [one, two] = all.flatMap(({ code, stdout }) => {
      expect(code).toBe(0);
      return parseDataKeys(stdout, fail);
    });
    expect(one?.id).not.toBe(two?.id);
    expect(one?.key.equals(two?.key as Buffer)).toBe(false);
  });

  const good = old.key.toString('base64');
  it.each<[string, string, number]>([
    ['a key alone', good, 2],
    ['an id alone', 'old', 2],
    ['an id in capitals', `OLD:${good}`, 1],
    ['an id of 21', `${'a'.repeat(21)}:${good}`, 1],
    ['no id', `:${good}`, 1],
    ['31 bytes', `old:${Buffer.alloc(31, 's3cret').toString('base64')}`, 1],
    ['33 bytes', `old:${Buffer.alloc(33, 's3cret').toString('base64')}`, 1],
    ['hexadecimal', `old:${old.key.toString('hex')}`, 1],
    ['another character in it', `old:${good.slice(0, 9)}!${good.slice(10)}`, 1],
    ['an end without =', `old:${good.slice(0, -1)}`, 1],
    ['a comma at the end', `old:${good},`, 2],
    ['one id twice', `old:${good},old:${fresh.key.toString('base64')}`, 1],
    ['everything at once', 'S3cret,s3cret s3cret:s3cret', 4],
  ])('is refused, all of it at once and without any of it [%s]', (_what, text, count) => {
    const problems = problemsOf(text);
    expect(problems).toHaveLength(count);
    for (const problem of problems) {
      expect(problem).toMatch(/^key [12] (needs|has) .*data-key new/);
      expect(problem).not.toMatch(/s3cret/i);
      expect(problem).not.toContain(good.slice(1, -1));
    }
  });
});

describe('the keys of a process', () => {
  const emptyFolder = () => join(mkdtempSync(join(tmpdir(), 'universal-logout-')), 'data');
  const embedded = (dataDir: string) => loadDataKeys({ dataKeys: [], redisUrl: undefined, dataDir });

  it('are those of DATA_KEY, where it is set', async () => {
    const dataDir = emptyFolder();
    for (const redisUrl of [undefined, 'redis://127.0.0.1']) {
      expect((await loadDataKeys({ dataKeys: [fresh, old], redisUrl, dataDir })).ids()).toEqual(['new', 'old']);
    }
    expect(() => statSync(dataDir)).toThrow('ENOENT');
  });

  it('are none with a Redis elsewhere and no DATA_KEY', async () => {
    const dataDir = emptyFolder();
    expect((await loadDataKeys({ dataKeys: [], redisUrl: 'redis://127.0.0.1', dataDir })).ids()).toEqual([]);
    expect(() => statSync(dataDir)).toThrow('ENOENT');
  });

  it('are made on the first start with the embedded Redis, for its owner alone, and kept', async () => {
    const dataDir = emptyFolder();
    const first = await embedded(dataDir);
    expect(first.ids()).toHaveLength(1);
    expect(readdirSync(dataDir)).toEqual(['data-keys.json']);
    expect(statSync(join(dataDir, 'data-keys.json')).mode & 0o777).toBe(0o600);
    expect(statSync(dataDir).mode & 0o777).toBe(0o700);
    expect((await embedded(dataDir)).open(first.seal(ADA, 'default'), 'default')).toBe(ADA);
  });

  it('are the same for two processes that start at once', async () => {
    const dataDir = emptyFolder();
    const sealed = await Promise.all([sealInProcess(dataDir), sealInProcess(dataDir), sealInProcess(dataDir)]);
    const { open } = await embedded(dataDir);
    for (const one of sealed) expect(open(one, 'default')).toBe('Ada');
    expect(readdirSync(dataDir)).toEqual(['data-keys.json']);
  });

  it.each([
    ['empty', ''],
    ['cut off', '["old:s3cret'],
    ['null', 'null'],
    ['no list', '{"old":"s3cret"}'],
    ['no keys', '[]'],
    ['a number for a key', '[1]'],
    ['a bad key', '["old:s3cret"]'],
  ])(
    'are not made anew where the file cannot be used: it is named, and none of it is shown [%s]',
    async (_what, text) => {
      const dataDir = mkdtempSync(join(tmpdir(), 'universal-logout-'));
      const path = join(dataDir, 'data-keys.json');
      writeFileSync(path, text);
      const error = await embedded(dataDir).then(
        () => undefined,
        (thrown: Error) => thrown,
      );
      expect(error?.message).toContain(`${path} is not usable: `);
      expect(error?.message).not.toContain('s3cret');
      expect(readFileSync(path, 'utf8')).toBe(text);
    },
  );
});

function fail(problem: string): never {
  throw new Error(problem);
}

function messageOf(act: () => unknown): string {
  try {
    act();
  } catch (error) {
    return (error as Error).message;
  }
  throw new Error('nothing was thrown');
}

async function sealInProcess(dataDir: string): Promise<string> {
  const script = `const { loadDataKeys } = await import(${JSON.stringify(MODULE)});
    console.log((await loadDataKeys({ dataKeys: [], dataDir: ${JSON.stringify(dataDir)} })).seal('Ada', 'default'));`;
  const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', script], {
    cwd: ROOT,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const chunks: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
  await once(child, 'close');
  return Buffer.concat(chunks).toString().trim();
}
