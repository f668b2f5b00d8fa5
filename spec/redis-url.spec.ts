/** The addresses of Redis: what each says, and every problem with one at once. */
import { parseRedisUrl } from '../src/redis-url.js';

function parsed(url: string) {
  const problems: string[] = [];
  const address = parseRedisUrl(url, (problem) => problems.push(problem));
  return { address, problems };
}

describe('an address of Redis', () => {
  it.each(['redis://localhost:6379', 'rediss://user:pass@redis.example.com:6380/2', 'redis://[::1]'])(
    'is one server, as ioredis reads it [%s]',
    (url) => {
      expect(parsed(url)).toEqual({ address: { kind: 'single', url }, problems: [] });
    },
  );

  it('is a socket', () => {
    expect(parsed('unix:///run/redis.sock').address).toEqual({ kind: 'socket', path: '/run/redis.sock' });
  });

  it('names Sentinels with their master, and a database', () => {
    expect(parsed('redis+sentinel://a.example.com:26380,b.example.com,[::1]:1/main?db=2')).toEqual({
      address: {
        kind: 'sentinel',
        nodes: [
          { host: 'a.example.com', port: 26_380 },
          { host: 'b.example.com', port: 26_379 },
          { host: '::1', port: 1 },
        ],
        tls: false,
        name: 'main',
        db: 2,
        username: undefined,
        password: undefined,
        sentinelUsername: undefined,
        sentinelPassword: undefined,
      },
      problems: [],
    });
  });

  it('has the credentials of Redis, and those of the Sentinels beside them', () => {
    const url = 'rediss+sentinel://us%40er:p%3Aw:d@x@a/main?sentinelUsername=watch&sentinelPassword=p%26w';
    expect(parsed(url).address).toMatchObject({
      tls: true,
      username: 'us@er',
      password: 'p:w:d@x',
      sentinelUsername: 'watch',
      sentinelPassword: 'p&w',
    });
    expect(parsed('redis+sentinel://:only@a/main').address).toMatchObject({ username: undefined, password: 'only' });
  });

  it('names nodes of a Cluster', () => {
    expect(parsed('rediss+cluster://user:pass@a:7000,b').address).toEqual({
      kind: 'cluster',
      nodes: [
        { host: 'a', port: 7_000 },
        { host: 'b', port: 6_379 },
      ],
      tls: true,
      username: 'user',
      password: 'pass',
    });
  });

  it('is told everything that is wrong with it, and never shown', () => {
    const { address, problems } = parsed('redis+sentinel://us%er:s3cret%@s3cret:x,b,s3cret s/?db=s3cret&more=s3cret');
    expect(address).toBeUndefined();
    expect(problems).toEqual([
      expect.stringContaining('its first address'),
      expect.stringContaining('its third address'),
      expect.stringContaining('use db, sentinelUsername, sentinelPassword'),
      expect.stringContaining('its user name'),
      expect.stringContaining('its password'),
      expect.stringContaining('without the name of the master'),
      expect.stringContaining('its parameter db'),
    ]);
    expect(problems.join()).not.toMatch(/s3cret|us%er|more/);
  });
});
