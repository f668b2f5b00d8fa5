/** An app's HTTP API: whole segments, proof of who calls, and answers of the documented form only. */
import fc from 'fast-check';
import { z } from 'zod';
import { basic, bearer, createApi, path } from '../../src/connectors/api.js';
import type { Reason } from '../../src/connectors/connector.js';
import { createCalls } from '../support/call.js';
import { answer, startTargetApp, type TargetApp } from '../support/target-app.js';

let app: TargetApp;
let calls: Awaited<ReturnType<typeof createCalls>>;

beforeAll(async () => {
  app = await startTargetApp();
  calls = await createCalls();
});
beforeEach(() => {
  app.calls.length = 0;
  app.answerWith(answer(200, { 'content-type': 'application/json' }, '{"id":"1"}'));
});
afterAll(() => Promise.all([app.close(), calls.close()]));

const token = () => 'a-s3cret-token';

function api(more: Partial<Parameters<typeof createApi>[1]> = {}, over: object = {}) {
  return createApi(
    'spec',
    { url: `${new URL(app.url).origin}/base/`, authorize: bearer(token), ...more },
    calls.call(over),
  );
}

describe('a path', () => {
  it('has each of its parts as one segment, whatever is in it', async () => {
    await api()('GET', path`/users/${'a/../b?c=d#e'}/sessions/${'f g'}`);
    expect(app.calls[0]?.path).toBe('/base/users/a%2F..%2Fb%3Fc%3Dd%23e/sessions/f%20g');
  });

  it.each(['', ' ', '.', '..', '...'])('is not called with a part that is none [%j]', async (odd) => {
    await expect(api()('DELETE', path`/users/${odd}/sessions`)).rejects.toMatchObject({
      reason: 'refused',
      message: 'spec: DELETE /users/{}/sessions was not called, since an id in its path is empty',
    });
    expect(app.calls).toEqual([]);
  });

  it('never leads elsewhere', async () => {
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: 'binary', maxLength: 30 }), async (segment) => {
        app.calls.length = 0;
        const called = await api()('GET', path`/users/${segment}/end`).then(
          () => true,
          () => false,
        );
        const paths = app.calls.map((call) => call.path);
        for (const each of paths) expect(each.split('/')).toHaveLength(5);
        if (called) expect(decodeURIComponent((paths[0] as string).split('/')[3] as string)).toBe(segment);
      }),
      { numRuns: 200 },
    );
  });
});

describe('a request', () => {
  it('has a query without what is not given, and is encoded', async () => {
    await api()('GET', path`/users`, { query: { email: 'ada+x&y=@example.com', page: undefined } });
    expect(app.calls[0]?.path).toBe('/base/users?email=ada%2Bx%26y%3D%40example.com');
    await api()('GET', path`/users`, { query: { page: undefined } });
    expect(app.calls[1]?.path).toBe('/base/users');
  });

  it('has JSON, a form, or no body', async () => {
    await api()('POST', path`/a`, { json: { x: 1 } });
    await api()('POST', path`/a`, { form: { x: '1', y: 'é' } });
    await api()('POST', path`/a`);
    expect(app.calls.map(({ headers, body }) => [headers['content-type'], body])).toEqual([
      ['application/json', '{"x":1}'],
      ['application/x-www-form-urlencoded', 'x=1&y=%C3%A9'],
      [undefined, ''],
    ]);
  });

  it('proves who calls, and nothing that a message says of headers changes that', async () => {
    await api()('GET', path`/a`, { headers: { authorization: 'Bearer another', 'x-more': '1' } });
    await api({ authorize: basic('ada', token) })('GET', path`/a`);
    await api({ authorize: bearer(token, 'Token token=') })('GET', path`/a`);
    expect(app.calls.map(({ headers }) => headers.authorization)).toEqual([
      'Bearer a-s3cret-token',
      `Basic ${Buffer.from('ada:a-s3cret-token').toString('base64')}`,
      'Token token= a-s3cret-token',
    ]);
    expect(app.calls[0]?.headers['x-more']).toBe('1');
  });

  it('is told to whoever watches, without what it is about', async () => {
    const seen: unknown[] = [];
    app.answerWith((res, _call, count) => res.writeHead(count === 1 ? 204 : 429).end());
    const watched = api({}, { onRequest: (one: object) => seen.push(one) });
    await watched('DELETE', path`/users/${'ada.s3cret@example.com'}`);
    await watched('DELETE', path`/users/${'ada.s3cret@example.com'}`).catch(() => {});
    expect(seen).toEqual([
      { operation: 'spec: DELETE /users/{}', answer: 204, ms: expect.any(Number) },
      { operation: 'spec: DELETE /users/{}', answer: 429, ms: expect.any(Number) },
    ]);
  });
});

describe('an answer', () => {
  const user = z.object({ id: z.string() });

  it('is read in the documented form', async () => {
    expect(await api()('GET', path`/a`, { answer: user })).toMatchObject({ status: 200, data: { id: '1' } });
  });

  it.each(['', '<html>', '{', '[]', 'null', '{"id":1}', '{"name":"s3cret"}'])(
    'of another form is a failure [%s]',
    async (text) => {
      app.answerWith(answer(200, {}, text));
      const error = await api()('GET', path`/a`, { answer: user }).catch((thrown: Error) => thrown);
      expect(error).toMatchObject({ reason: 'server', retryable: true });
      expect((error as Error).message).not.toContain('s3cret');
    },
  );

  it('is not looked at where nobody asks', async () => {
    app.answerWith(answer(200, {}, '<html>'));
    expect(await api()('GET', path`/a`)).toMatchObject({ status: 200, data: undefined });
  });

  it('of 2xx can be a refusal all the same, in our words', async () => {
    app.answerWith(answer(200, {}, '{"ok":false,"error":"ada.s3cret@example.com"}'));
    const refusal = (body: unknown) =>
      (body as { ok: boolean }).ok ? undefined : { reason: 'refused' as Reason, word: 'said no' };
    await expect(api({ refusal })('POST', path`/a`)).rejects.toMatchObject({
      reason: 'refused',
      message: 'spec: POST /a answered 200, but said no',
    });
  });

  it.each([404, 410])(
    'that nothing is there is a word about the user only where it is the API that says so [%s]',
    async (status) => {
      for (const [type, reason] of [
        ['application/json', 'not_found'],
        ['application/problem+json; charset=utf-8', 'not_found'],
        ['text/html', 'refused'],
        ['', 'refused'],
      ] as const) {
        app.answerWith(answer(status, { 'content-type': type }, 'not here'));
        await expect(api()('GET', path`/a`)).rejects.toMatchObject({ reason });
      }
      app.answerWith(answer(status));
      await expect(api({ exceptions: { [status]: 'not_found' } })('GET', path`/a`)).rejects.toMatchObject({
        reason: 'not_found',
      });
      await expect(api()('GET', path`/a`, { exceptions: { [status]: 'auth' } })).rejects.toMatchObject({
        reason: 'auth',
      });
    },
  );
});

describe('a token that was kept', () => {
  it.each([401, 403])('and is refused is forgotten, and a new one is tried, once [%s]', async (status) => {
    const tokens = ['old', 'new', 'newer'];
    let forgotten = 0;
    const authorize = async () => ({
      headers: { authorization: `Bearer ${tokens[forgotten]}` },
      stale: () => {
        forgotten += 1;
      },
    });
    app.answerWith((res, { headers }) => res.writeHead(headers.authorization === 'Bearer new' ? 204 : status).end());
    expect(await api({ authorize })('GET', path`/a`)).toMatchObject({ status: 204 });
    expect(app.calls).toHaveLength(2);

    app.answerWith(answer(status));
    await expect(api({ authorize })('GET', path`/a`)).rejects.toMatchObject({
      reason: 'auth',
      forbidden: status === 403,
    });
    expect(app.calls).toHaveLength(4);
  });

  it('is forgotten as well where a 403 is the last word of the app on an account: a permission may have been given', async () => {
    let forgotten = 0;
    const authorize = async () => ({
      headers: {},
      stale: () => {
        forgotten += 1;
      },
    });
    app.answerWith((res) => res.writeHead(forgotten === 1 ? 204 : 403).end());
    const exceptions = { 403: 'refused' as const };
    expect(await api({ authorize, exceptions })('GET', path`/a`)).toMatchObject({ status: 204 });
    app.answerWith(answer(403));
    await expect(api({ authorize, exceptions })('GET', path`/a`)).rejects.toMatchObject({ reason: 'refused' });
    expect(app.calls).toHaveLength(4);
  });

  it('is not tried again after any other failure, nor is one that is new', async () => {
    const kept = async () => ({ headers: {}, stale: () => {} });
    app.answerWith(answer(500));
    await expect(api({ authorize: kept })('GET', path`/a`)).rejects.toMatchObject({ reason: 'server' });
    app.answerWith(answer(401));
    await expect(api()('GET', path`/a`)).rejects.toMatchObject({ reason: 'auth' });
    expect(app.calls).toHaveLength(2);
  });
});
