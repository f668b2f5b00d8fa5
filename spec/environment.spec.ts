/** The environment of the process: what it may say, its defaults, and what is wrong with it and the file together. */
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ConfigError, type Environment, readConfig, readProcessConfig } from '../src/config.js';
import { topWith } from './support/settings.js';

const FILE = 'universal-logout.yaml';
const ENV_EXAMPLE = new URL('../.env.example', import.meta.url);

describe('the environment', () => {
  const folder = mkdtempSync(join(tmpdir(), 'universal-logout-'));
  const file = join(folder, FILE);
  writeFileSync(file, topWith({}));

  it('has a default for everything', () => {
    const problems: string[] = [];
    expect(readProcessConfig({}, problems)).toEqual({
      port: 3000,
      host: '127.0.0.1',
      redisUrl: undefined,
      redisWaitReplicas: 0,
      configFile: join(process.cwd(), FILE),
      dataDir: join(process.cwd(), 'data'),
      adminToken: undefined,
      dataKeys: [],
      logLevel: 'info',
      otlpEndpoint: undefined,
    });
    expect(problems).toEqual([]);
  });

  it('that is set but empty means the defaults', () => {
    const names = [
      'PORT',
      'HOST',
      'REDIS_URL',
      'REDIS_WAIT_REPLICAS',
      'CONFIG_FILE',
      'DATA_DIR',
      'ADMIN_TOKEN',
      'DATA_KEY',
      'LOG_LEVEL',
      'OTEL_EXPORTER_OTLP_ENDPOINT',
    ];
    expect(readProcessConfig(Object.fromEntries(names.map((name) => [name, ''])), [])).toEqual(
      readProcessConfig({}, []),
    );
  });

  it.each<[string, string]>([
    ['PORT', '65536'],
    ['PORT', '-1'],
    ['PORT', '3000x'],
    ['PORT', ' 3000'],
    ['REDIS_URL', 'localhost:6379'],
    ['REDIS_URL', 'http://localhost:6379'],
    ['REDIS_URL', 'redis://:s3cret@localhost:70000'],
    ['REDIS_URL', 'unix://'],
    ['REDIS_URL', 'redis+sentinel://user:s3cret@a:26379,b:26379'],
    ['REDIS_URL', 'redis+sentinel://user:s3cret@a:26379,,b:26379/main'],
    ['REDIS_URL', 'redis+sentinel://user:s3cret@a:263790/main'],
    ['REDIS_URL', 'redis+sentinel://user:s3cret%@a:26379/main'],
    ['REDIS_URL', 'redis+sentinel://a:26379/main?db=s3cret'],
    ['REDIS_URL', 'redis+sentinel://a:26379/main?password=s3cret'],
    ['REDIS_URL', 'redis+cluster://user:s3cret@'],
    ['REDIS_URL', 'redis+cluster://user:s3cret@a:6379/1'],
    ['REDIS_URL', 'redis+cluster://a:6379?db=1'],
    ['REDIS_URL', 'unix+cluster://user:s3cret@a:6379'],
    ['REDIS_WAIT_REPLICAS', '-1'],
    ['REDIS_WAIT_REPLICAS', '1.5'],
    ['REDIS_WAIT_REPLICAS', '100'],
    ['REDIS_WAIT_REPLICAS', '1'],
    ['ADMIN_TOKEN', 's3cret'],
    ['DATA_KEY', 'k1:s3cret'],
    ['LOG_LEVEL', 'loud'],
    ['LOG_LEVEL', 'INFO'],
    ['OTEL_EXPORTER_OTLP_ENDPOINT', 's3cret:4318'],
  ])('is refused where it makes no sense, by name and without its value [%s=%s]', (name, value) => {
    const problems: string[] = [];
    readProcessConfig({ [name]: value }, problems);
    expect(problems).toEqual([expect.stringMatching(new RegExp(`^${name} is `))]);
    expect(problems[0]).not.toContain('s3cret');
  });

  it('and the file are read together: all that is wrong with either', () => {
    writeFileSync(join(folder, 'wrong.yaml'), 'publicUrl: https://a.example.com\n');
    const env = { PORT: 'x', LOG_LEVEL: 'loud', CONFIG_FILE: join(folder, 'wrong.yaml') };
    const problems = thrownBy(() => readConfig(env)).problems;
    expect(problems).toHaveLength(3);
    expect(problems[2]).toBe(`${env.CONFIG_FILE}:1:1 tenants is missing or is not an array`);
  });

  it('names a file that is not there: then the sentence says what writes one', () => {
    const { problems } = thrownBy(() => readConfig({ CONFIG_FILE: join(folder, 'missing.yaml') }));
    expect(problems).toEqual([expect.stringContaining('run `universal-logout init` to write one')]);
    expect(problems[0]).toContain(join(folder, 'missing.yaml'));
  });

  it('names a file that cannot be read: then the sentence says why', () => {
    expect(thrownBy(() => readConfig({ CONFIG_FILE: folder })).problems).toEqual([expect.stringContaining('(EISDIR)')]);
  });

  it('is frozen once it is read', () => {
    const config = readConfig({ CONFIG_FILE: file });
    expect(Object.isFrozen(config)).toBe(true);
    expect(config.settings.publicUrl).toBe('https://logout.example.com');
  });

  it('is described in .env.example, name by name', () => {
    const touched = new Set<string>();
    readProcessConfig(
      new Proxy<Environment>(
        {},
        {
          get(_target, name) {
            touched.add(String(name));
            return undefined;
          },
        },
      ),
      [],
    );
    const names = [...readFileSync(ENV_EXAMPLE, 'utf8').matchAll(/^#? ?([A-Z][A-Z0-9_]*)=/gm)].map(([, name]) => name);
    expect(new Set(names)).toEqual(touched);
    expect(names).toHaveLength(touched.size);
  });
});

function thrownBy(act: () => unknown): ConfigError {
  try {
    act();
  } catch (error) {
    if (error instanceof ConfigError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}
