/** What holds where a worker process is killed, halted or stopped at work, and where the name of an app fails it. */
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { eventually } from './support/eventually.js';
import { startNameServer } from './support/name-server.js';
import { type Stage, startStage } from './support/outage-stage.js';
import { type Answer, answer } from './support/target-app.js';

const PEOPLE = 40;
const HANGS: Answer = () => {
  // No answer ever comes.
};
const secondsSince = (from: number) => (performance.now() - from) / 1_000;
let stage: Stage;

beforeEach(async () => {
  stage = await startStage({ people: PEOPLE });
});
afterEach(() => stage.close());

const calls = () => stage.endpoint.app.calls;
const called = (count: number, withinMs?: number) =>
  eventually(
    () => calls().length,
    (length) => length >= count,
    withinMs,
  );

describe('a worker', () => {
  it('is killed in mid-call: its work is with another within 10 s, under the same ids', async () => {
    const { endpoint, people } = stage;
    endpoint.app.answerWith(HANGS);
    const first = await stage.startWorker();
    await stage.accept(people.slice(0, 5));
    await called(5);
    await stage.startWorker();
    endpoint.app.answerWith(answer(204));
    await first.kill();
    const killedAt = performance.now();
    await called(10, 20_000);
    const seconds = secondsSince(killedAt);
    console.info(`a worker killed in mid-call: all its work is with another after ${seconds.toFixed(2)} s`);
    expect(seconds).toBeLessThan(10);
    await stage.completed(5, 20_000);
    for (const of of stage.calls().values()) {
      expect(of).toHaveLength(2);
      expect(of[1]?.webhookId).toBe(of[0]?.webhookId);
    }
  }, 60_000);

  it('stands still while the app hangs, and loses its lock: the app is called once more, and it counts once', async () => {
    const { endpoint, people } = stage;
    let release = () => {};
    endpoint.app.answerWith((res, _call, count) => {
      if (count === 1) release = () => res.writeHead(204).end();
      else res.writeHead(204).end();
    });
    const halted = await stage.startWorker();
    await stage.accept(people.slice(0, 1));
    await called(1);
    halted.signal('SIGSTOP');
    await stage.startWorker();
    await called(2, 20_000);
    await stage.completed(1, 20_000);
    release();
    halted.signal('SIGCONT');
    // Whatever the first one still does, it has no third call in it.
    await delay(4_000);
    expect(calls()).toHaveLength(2);
    expect(calls()[1]?.headers['webhook-id']).toBe(calls()[0]?.headers['webhook-id']);
    const revoked = (await endpoint.gateway.audit()).filter(({ event }) => event === 'account.revoked');
    expect(revoked).toHaveLength(1);
  }, 60_000);

  it('stands still, and finds its deadline over when another has long made its call: who is logged out next is called for', async () => {
    const { endpoint, people } = stage;
    const person = people.slice(0, 1);
    endpoint.app.answerWith((res, _call, count) => {
      if (count > 1) res.writeHead(204).end();
    });
    const delivery = { timeoutMs: 4_000 };
    const halted = await stage.startWorker({ delivery });
    await stage.accept(person);
    await called(1);
    halted.signal('SIGSTOP');
    await stage.startWorker({ delivery });
    await called(2, 20_000);
    await stage.completed(1, 20_000);
    halted.signal('SIGCONT');
    await delay(3_000);
    await stage.accept(person);
    await called(3);
    await stage.completed(2, 20_000);
  }, 60_000);

  it('is told to stop under load: it ends in time, with exit code 0, and another one finishes', async () => {
    const { endpoint, people } = stage;
    endpoint.app.answerWith(HANGS);
    const first = await stage.startWorker({ delivery: { timeoutMs: 30_000 } });
    await stage.accept(people);
    await called(10);
    const toldAt = performance.now();
    first.signal('SIGTERM');
    expect(await first.ended).toEqual([0, null]);
    const seconds = secondsSince(toldAt);
    expect(seconds).toBeLessThan(10);
    endpoint.app.answerWith(answer(204));
    const handedBackAt = performance.now();
    await stage.startWorker();
    await stage.completed(PEOPLE, 40_000);
    console.info(
      `SIGTERM with ${PEOPLE} revocations to do and 10 calls under way: ended after ${seconds.toFixed(2)} s, ` +
        `all done by another ${secondsSince(handedBackAt).toFixed(2)} s later`,
    );
    expect(stage.calls().size).toBe(PEOPLE);
  }, 90_000);
});

describe('an app', () => {
  it('has a name that cannot be resolved for a while: it is called when it can', async () => {
    const { endpoint, people } = stage;
    const names = await startNameServer();
    try {
      names.fail();
      const url = endpoint.app.url.replace('127.0.0.1', 'intranet.example');
      await stage.startWorker({ url, nodeOptions: names.nodeOptions });
      await stage.accept(people.slice(0, 3));
      await eventually(names.questions, (questions) => questions >= 6, 15_000);
      expect(calls()).toEqual([]);
      names.mend();
      await stage.completed(3, 30_000);
      expect([...stage.calls().values()].map(({ length }) => length)).toEqual([1, 1, 1]);
    } finally {
      await names.close();
    }
  }, 60_000);
});
