/** One JWT is good for one body: what comes again gets the answer that it got, and is done once (JWT-18). */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { createReplay } from '../../src/revocation/replay.js';
import { ADA, comparable, type Endpoint, PATH, person, startEndpoint } from '../support/endpoint.js';
import { eventually } from '../support/eventually.js';
import { PUBLIC_URL } from '../support/gateway.js';
import { expectUnauthenticated, oneWording } from '../support/refusal.js';

const DISABLED = '0oa5disabled';
const OTHER = '0oa7other';

let endpoint: Endpoint;

beforeAll(async () => {
  endpoint = await startEndpoint({
    moreTrusts: (issuer) => [
      {
        id: 'disabled',
        issuers: [issuer],
        client: DISABLED,
        keys: { jwksUri: `${issuer}/oauth2/v1/keys` },
        enabled: false,
      },
      { id: 'other', issuers: [issuer], client: OTHER, keys: { jwksUri: `${issuer}/oauth2/v1/keys` } },
    ],
  });
});

afterAll(() => endpoint.close());

/** Somebody new for each test, so that its calls can be told from those of the others. */
let name: string;
beforeEach(async () => {
  name = `p-${randomUUID().slice(0, 8)}`;
  await endpoint.gateway.directory.put('default', person(name));
});

const naming = (who: string) => ({ sub_id: { format: 'email', email: `${who}@example.com` } });

const callsFor = (who: string) => endpoint.app.calls.filter(({ body }) => body.includes(`"${who}@example.com"`)).length;

/** The ids of all revocations that the gateway knows of. */
async function revocations(): Promise<string[]> {
  return Object.keys(await endpoint.gateway.state()).flatMap((key) => /:revocation:(rev_\w+)$/.exec(key)?.[1] ?? []);
}

/** How often the app was told to log this person out, when everything that was accepted is carried out. */
async function callsInTheEnd(who: string): Promise<number> {
  await endpoint.rest();
  return callsFor(who);
}

describe('the same JWT with the same body', () => {
  it('is answered 204 again and done once, also when the person is called otherwise meanwhile', async () => {
    const jwt = await endpoint.sign();
    const body = naming(name);
    expect((await endpoint.post(jwt, body)).status).toBe(204);
    await eventually(
      () => callsFor(name),
      (calls) => calls === 1,
    );
    await endpoint.gateway.directory.put('default', person(name, { emails: ['renamed@example.com'] }));
    const before = await revocations();
    expect((await endpoint.post(jwt, body)).status).toBe(204);
    await endpoint.rest();
    expect(await revocations()).toEqual(before);
    expect(await callsInTheEnd(name)).toBe(1);
  });

  it('is answered 404 again, also when the person has come meanwhile', async () => {
    const jwt = await endpoint.sign();
    const first = await endpoint.post(jwt, naming(`late-${name}`));
    expect(first.status).toBe(404);
    await endpoint.gateway.directory.put('default', person(`late-${name}`));
    const { response, audited, changed } = await endpoint.observe(() => endpoint.post(jwt, naming(`late-${name}`)));
    expect(comparable(response)).toEqual(comparable(first));
    expect(audited).toEqual([expect.objectContaining({ status: '404', reason: 'repeat_of_user_not_found' })]);
    expect(changed).toEqual(['accepted:default.okta']);
    expect((await endpoint.post(await endpoint.sign(), naming(`late-${name}`))).status).toBe(204);
  });

  it.each<[number, string, unknown]>([
    [400, 'malformed_request', '{}'],
    [400, 'unsupported_subject_format', { sub_id: { format: 'x' } }],
    [404, 'user_not_found', naming('nobody')],
  ])('is answered %d again: %s', async (status, code, body) => {
    const jwt = await endpoint.sign();
    const first = await endpoint.post(jwt, body);
    const { response, audited, changed } = await endpoint.observe(() => endpoint.post(jwt, body));
    expect(comparable(response)).toEqual(comparable(first));
    expect(response.body).toMatchObject({ status, code });
    expect(audited).toEqual([expect.objectContaining({ trust: 'okta', reason: `repeat_of_${code}` })]);
    expect(changed).toEqual(['accepted:default.okta']);
  });

  it('is answered 422 again, also when one person is meant meanwhile', async () => {
    const { directory } = endpoint.gateway;
    const shared = `shared-${name}@example.com`;
    await directory.put('default', person(name, { emails: [shared] }));
    await directory.put('default', person(`too-${name}`, { emails: [shared] }));
    const jwt = await endpoint.sign();
    const body = naming(`shared-${name}`);
    const first = await endpoint.post(jwt, body);
    expect(first.status).toBe(422);
    await directory.put('default', person(`too-${name}`));
    expect(comparable(await endpoint.post(jwt, body))).toEqual(comparable(first));
    expect((await endpoint.post(await endpoint.sign(), body)).status).toBe(204);
  });

  it('is answered 403 again', async () => {
    const jwt = await endpoint.sign({ claims: { sub: DISABLED } });
    const first = await endpoint.post(jwt);
    expect(first.status).toBe(403);
    expect(comparable(await endpoint.post(jwt))).toEqual(comparable(first));
  });

  it('is done once under either path of the tenant', async () => {
    const jwt = await endpoint.sign();
    for (const path of [PATH, `/tenants/default${PATH}`, `${PATH}?x=1`]) {
      expect((await endpoint.post(jwt, naming(name), path)).status).toBe(204);
    }
    expect(await callsInTheEnd(name)).toBe(1);
  });

  it('is done once when signed anew, since the jti is what counts', async () => {
    const jti = randomUUID();
    for (const claims of [{ jti }, { jti, exp: endpoint.clock.now / 1000 + 200 }, { jti, x: 1 }]) {
      expect((await endpoint.post(await endpoint.sign({ claims }), naming(name))).status).toBe(204);
    }
    expect(await callsInTheEnd(name)).toBe(1);
  });
});

describe('the same JWT with another body', () => {
  const refusesOther = async (jwt: string, body: unknown) => {
    const { response, audited, changed, calls } = await endpoint.observe(() => endpoint.post(jwt, body));
    expect({ status: response.status, text: response.text }).toEqual({ status: 401, text: oneWording });
    expect(response.headers['www-authenticate']).toBe('Bearer realm="universal-logout", error="invalid_token"');
    expect(audited).toEqual([expect.objectContaining({ trust: 'okta', status: '401', reason: 'jti_reused' })]);
    expect(changed).toEqual(['accepted:default.okta']);
    expect(calls).toBe(0);
  };

  it.each<[string, unknown]>([
    ['naming somebody else', ADA],
    ['naming nobody', naming('nobody')],
    ['that is none', '{'],
    ['that is empty', ''],
  ])('is refused after 204: %s', async (_, other) => {
    const jwt = await endpoint.sign();
    expect((await endpoint.post(jwt, naming(name))).status).toBe(204);
    await refusesOther(jwt, other);
    expect((await endpoint.post(jwt, naming(name))).status).toBe(204);
  });

  it('is refused where it differs by a space', async () => {
    const jwt = await endpoint.sign();
    const text = JSON.stringify(naming(name));
    expect((await endpoint.post(jwt, text)).status).toBe(204);
    await refusesOther(jwt, `${text} `);
  });

  it.each<[number, unknown]>([
    [400, '{'],
    [404, naming('nobody')],
  ])('is refused after %d, and learns nothing of whom it names', async (status, first) => {
    const jwt = await endpoint.sign();
    expect((await endpoint.post(jwt, first)).status).toBe(status);
    await refusesOther(jwt, naming(name));
    await refusesOther(jwt, naming('nobody-else'));
  });

  it('is refused when signed anew with the same jti', async () => {
    const jti = randomUUID();
    expect((await endpoint.post(await endpoint.sign({ claims: { jti } }), naming(name))).status).toBe(204);
    await refusesOther(await endpoint.sign({ claims: { jti, exp: endpoint.clock.now / 1000 + 200 } }), ADA);
  });

  it('is refused in any spelling of the same JWT, with the same body too', async () => {
    const jwt = await endpoint.sign();
    expect((await endpoint.post(jwt, naming(name))).status).toBe(204);
    for (const spelling of [`${jwt}==`, jwt.replace('.', '=.'), jwt.replace(/\.(?=[^.]+$)/, '=.'), lastBits(jwt)]) {
      for (const body of [naming(name), ADA]) {
        await expectUnauthenticated(endpoint, () => endpoint.post(spelling, body), { reason: 'not_base64url' });
      }
    }
  });

  it('but the jti of another trust is another jti', async () => {
    const jti = randomUUID();
    expect((await endpoint.post(await endpoint.sign({ claims: { jti } }), ADA)).status).toBe(204);
    expect((await endpoint.post(await endpoint.sign({ claims: { jti, sub: OTHER } }), naming(name))).status).toBe(204);
  });
});

/** Another last character for the signature, of the same bytes. */
function lastBits(jwt: string): string {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
  return jwt.slice(0, -1) + alphabet[alphabet.indexOf(jwt.slice(-1)) ^ 1];
}

describe('at the same moment', () => {
  it('the same request twenty times is one revocation', async () => {
    const before = await revocations();
    const jwt = await endpoint.sign();
    const answers = await Promise.all(Array.from({ length: 20 }, () => endpoint.post(jwt, naming(name))));
    expect(answers.map(({ status }) => status)).toEqual(Array(20).fill(204));
    expect(await callsInTheEnd(name)).toBe(1);
    expect(await revocations()).toHaveLength(before.length + 1);
  });

  it('the same JWT with twenty bodies is one revocation, of one of them', async () => {
    const names = Array.from({ length: 20 }, (_, index) => `${name}-${index}`);
    await Promise.all(names.map((one) => endpoint.gateway.directory.put('default', person(one))));
    const before = await revocations();
    const jwt = await endpoint.sign();
    const answers = await Promise.all(names.map((one) => endpoint.post(jwt, naming(one))));
    const winners = names.filter((_, index) => answers[index]?.status === 204);
    expect(winners).toHaveLength(1);
    expect(answers.filter(({ status, text }) => status === 401 && text === oneWording)).toHaveLength(19);
    await endpoint.rest();
    expect(names.filter((one) => callsFor(one) > 0)).toEqual(winners);
    expect(await revocations()).toHaveLength(before.length + 1);
  });

  it('the same JWT with two bodies, ten times each, is one revocation', async () => {
    const before = await revocations();
    await endpoint.gateway.directory.put('default', person(`other-${name}`));
    const jwt = await endpoint.sign();
    const names = Array.from({ length: 20 }, (_, index) => (index % 2 ? `other-${name}` : name));
    const answers = await Promise.all(names.map((one) => endpoint.post(jwt, naming(one))));
    const winner = names[answers.findIndex(({ status }) => status === 204)];
    expect(answers.map(({ status }) => status)).toEqual(names.map((one) => (one === winner ? 204 : 401)));
    expect((await callsInTheEnd(name)) + callsFor(`other-${name}`)).toBe(1);
    expect(await revocations()).toHaveLength(before.length + 1);
  });
});

describe('of the same request several times at once, some beyond the limit', () => {
  const TRUSTS = 20;
  let limited: Endpoint;

  beforeAll(async () => {
    limited = await startEndpoint({
      limits: { acceptedPerMinute: 1 },
      moreTrusts: (issuer) =>
        Array.from({ length: TRUSTS }, (_, index) => ({
          id: `trust-${index}`,
          issuers: [issuer],
          client: `client-${index}`,
          keys: { jwksUri: `${issuer}/oauth2/v1/keys` },
        })),
    });
    await limited.gateway.directory.put('default', person('grace'));
  });

  afterAll(() => limited.close());

  it('what is refused does not give back the JWT of what is accepted', async () => {
    const rounds: number[][] = [];
    const others: number[] = [];
    for (let index = 0; index < TRUSTS; index++) {
      const jwt = await limited.sign({ claims: { sub: `client-${index}` } });
      const copies = Array.from({ length: 2 + (index % 4) }, () => limited.post(jwt));
      rounds.push((await Promise.all(copies)).map(({ status }) => status));
      others.push((await limited.post(jwt, naming('grace'))).status);
    }
    expect(rounds.some((statuses) => statuses.includes(204) && statuses.includes(429))).toBe(true);
    expect(others).toEqual(Array(TRUSTS).fill(401));
    expect(limited.app.calls.filter(({ body }) => body.includes('grace'))).toEqual([]);
  });
});

describe('a claim', () => {
  const [BODY, OTHER_BODY] = ['a'.repeat(64), 'b'.repeat(64)] as const;
  const ANSWER = { status: 404, code: 'user_not_found', detail: 'No such user.' };
  const newReplay = () => {
    const { redis, prefix } = endpoint.gateway;
    return { ...createReplay(redis, `${prefix}:of-${name}`), ttlOf: () => redis.ttl(`${prefix}:of-${name}:replay:j`) };
  };

  it('that nobody shares is given back, and another body may have the JWT', async () => {
    const replay = newReplay();
    expect(await replay.claim('j', BODY, 60)).toEqual({ state: 'new' });
    await replay.release('j', BODY);
    expect(await replay.claim('j', OTHER_BODY, 60)).toEqual({ state: 'new' });
  });

  it('that a repeat shares is given back no more, in whatever order', async () => {
    const before = newReplay();
    await before.claim('j', BODY, 60);
    expect(await before.share('j', BODY, 60)).toEqual({ state: 'repeat' });
    await before.release('j', BODY);
    expect(await before.claim('j', OTHER_BODY, 60)).toEqual({ state: 'other_body' });
    expect(await before.claim('j', BODY, 60)).toEqual({ state: 'repeat' });
    expect(await before.ttlOf()).toBeGreaterThan(50);
  });

  it('that was given back before a repeat shares it is bound to the same body again', async () => {
    const replay = newReplay();
    await replay.claim('j', BODY, 60);
    await replay.release('j', BODY);
    expect(await replay.share('j', BODY, 60)).toEqual({ state: 'repeat' });
    expect(await replay.ttlOf()).toBeGreaterThan(50);
    expect(await replay.claim('j', OTHER_BODY, 60)).toEqual({ state: 'other_body' });
  });

  it('that another body got meanwhile cannot be shared', async () => {
    const replay = newReplay();
    await replay.claim('j', OTHER_BODY, 60);
    expect(await replay.share('j', BODY, 60)).toEqual({ state: 'other_body' });
    expect(await replay.claim('j', BODY, 60)).toEqual({ state: 'other_body' });
  });

  it('that was answered meanwhile tells the answer, also where it is shared', async () => {
    const replay = newReplay();
    await replay.claim('j', BODY, 60);
    await replay.share('j', BODY, 60);
    await replay.settle('j', BODY, ANSWER);
    for (const again of [replay.share, replay.claim]) {
      expect(await again('j', BODY, 60)).toEqual({ state: 'answered', answer: ANSWER });
    }
  });
});

describe('the record of a JWT', () => {
  it('outlives the JWT and its skew', async () => {
    const { redis, prefix } = endpoint.gateway;
    const before = await redis.keys(`${prefix}:replay:*`);
    for (const exp of [300, 360, 100.5]) {
      await endpoint.post(await endpoint.sign({ claims: { exp: endpoint.clock.now / 1000 + exp } }), naming('nobody'));
      const [key] = (await redis.keys(`${prefix}:replay:*`)).filter((one) => !before.includes(one));
      before.push(key as string);
      const ttl = await redis.pttl(key as string);
      expect(ttl).toBeGreaterThan((exp + 65) * 1000 - 1_500);
      expect(ttl).toBeLessThanOrEqual((exp + 66) * 1000);
    }
  });

  it.each([0.1, 0.5, 0.9])(
    'outlives it at every moment at which it is still accepted, exp being %s past a second',
    async (part) => {
      const { redis, prefix } = endpoint.gateway;
      const start = endpoint.clock.now;
      try {
        endpoint.clock.now = start + 600;
        const exp = start / 1_000 + 100 + part;
        const jwt = await endpoint.sign({ claims: { exp } });
        const before = await redis.keys(`${prefix}:replay:*`);
        expect((await endpoint.post(jwt, naming(name))).status).toBe(204);
        const [key] = (await redis.keys(`${prefix}:replay:*`)).filter((one) => !before.includes(one));
        const goneAt = start + 600 + (await redis.pttl(key as string));
        let last = 0;
        for (let at = Math.floor((exp + 59) * 1_000); at < (exp + 62) * 1_000; at += 50) {
          endpoint.clock.now = at;
          if ((await endpoint.post(jwt, naming(name))).status === 204) last = at;
        }
        expect(last).toBeGreaterThan((exp + 59) * 1_000);
        // Clocks of several processes differ a little.
        expect(goneAt - last).toBeGreaterThan(3_000);
      } finally {
        endpoint.clock.now = start;
      }
    },
  );

  it('holds neither the JWT nor the body', async () => {
    const { redis, prefix } = endpoint.gateway;
    const jwt = await endpoint.sign({ claims: { jti: `jti-${name}` } });
    await endpoint.post(jwt, naming(`nobody-${name}`));
    for (const key of await redis.keys(`${prefix}:replay:*`)) {
      expect(`${key} ${await redis.get(key)}`).not.toContain(name);
      expect(await redis.get(key)).not.toContain(jwt.split('.')[2]);
    }
  });

  it('goes when the gateway fails, so that the JWT may come again as for the first time', async () => {
    const { redis, prefix } = endpoint.gateway;
    const jwt = await endpoint.sign();
    await endpoint.rest();
    // BullMQ counts its jobs here: the JWT is claimed, and then the revocation cannot be written.
    const counter = `${prefix}:{intake}:id`;
    const count = await redis.get(counter);
    await redis.set(counter, 'x');
    const before = await redis.keys(`${prefix}:replay:*`);
    for (const _ of ['once', 'again']) {
      const refused = await endpoint.post(jwt, naming(name));
      expect(refused.status).toBe(503);
      expect(Number(refused.headers['retry-after'])).toBeGreaterThan(0);
      await eventually(
        () => redis.keys(`${prefix}:replay:*`),
        (keys) => keys.every((key) => before.includes(key)),
      );
    }
    await redis.set(counter, count ?? '0');
    expect((await endpoint.post(jwt, naming(name))).status).toBe(204);
    expect(await callsInTheEnd(name)).toBe(1);
  });
});

describe('a revocation that has been here before', () => {
  const sign = (via: string[]) => endpoint.sign({ claims: { via } });

  it('is answered 204 and goes no further', async () => {
    const jwt = await sign(['https://other.example.com', PUBLIC_URL]);
    for (const _ of ['once', 'again']) {
      const { response, audited, calls } = await endpoint.observe(() => endpoint.post(jwt, naming(name)));
      expect(response.status).toBe(204);
      expect(audited).toEqual([
        { event: 'revocation.looped', tenant: 'default', trust: 'okta', revocationId: expect.stringMatching(/^rev_/) },
      ]);
      expect(calls).toBe(0);
    }
    expect(await callsInTheEnd(name)).toBe(0);
  });

  it('is answered as any other where nobody is meant', async () => {
    expect((await endpoint.post(await sign([PUBLIC_URL]), naming('nobody'))).status).toBe(404);
  });

  it('is carried out where it has been elsewhere only', async () => {
    const elsewhere = ['https://other.example.com', `${PUBLIC_URL}/`, PUBLIC_URL.toUpperCase()];
    expect((await endpoint.post(await sign(elsewhere), naming(name))).status).toBe(204);
    await eventually(
      () => callsFor(name),
      (calls) => calls === 1,
    );
  });
});
