/** The demo from start to end: parties, a round, then rounds on request, and everything closed. */
import { once as nextEvent } from 'node:events';
import { createInterface } from 'node:readline';
import { createNarrator, type Narrator } from './narrator.js';
import { type Parties, startParties } from './parties.js';
import { playRound } from './round.js';

const STOP_WITHIN_MS = 9_500;

/** Sets the exit code: 0 only if the last round did all that it should. */
export async function runDemo({ once = false }: { once?: boolean }): Promise<void> {
  const signal = stopSignal();
  const narrator = createNarrator(process.stdout, signal);
  const closers: (() => Promise<unknown>)[] = [];
  // A demo that is interrupted before its verdict has failed.
  process.exitCode = 1;
  try {
    narrator.heading('Starting');
    const parties = await startParties(narrator, (close) => closers.unshift(close));
    narrator.heading('The settings of the gateway, as they would stand in universal-logout.yaml');
    narrator.say(narrator.colours.dim(parties.settings.trimEnd().replace(/^/gm, '  ')));
    await play();
    if (!once) await stayUp(narrator, parties, { play, signal });

    async function play() {
      process.exitCode = 1;
      if (await playRound(narrator, parties, signal)) process.exitCode = 0;
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    for (const close of closers) {
      // What cannot be closed must not keep the rest open.
      await close().catch((error: unknown) => {
        process.exitCode = 1;
        narrator.say(`  ${narrator.colours.red('✘')} closing: ${String(error)}`);
      });
    }
  }
}

/** Aborted by Ctrl-C or SIGTERM; further ones change nothing, since npm hands on a Ctrl-C that we have already had. */
function stopSignal(): AbortSignal {
  const stop = new AbortController();
  const abort = () => {
    if (stop.signal.aborted) return;
    // Whatever hangs, the process ends in time; the Redis that it started ends with it.
    setTimeout(() => process.exit(), STOP_WITHIN_MS).unref();
    stop.abort();
  };
  // Until the very end: without a listener a second one would still kill the process.
  process.on('SIGINT', abort).on('SIGTERM', abort);
  return stop.signal;
}

async function stayUp(
  { heading, say }: Narrator,
  { gateway, okta, sites, devices }: Parties,
  { play, signal }: { play: () => Promise<void>; signal: AbortSignal },
): Promise<void> {
  signal.throwIfAborted();
  heading('Everything stays up for a look');
  for (const { name, loginUrl } of sites) say(`  the ${name.padEnd(8)} ${loginUrl}`);
  say(`  Okta         ${okta.issuer}/.well-known/openid-configuration`);
  for (const person of new Set(devices.map((device) => device.person))) {
    say(`  ${person.name.padEnd(12)} ${person.email}, password ${person.password}`);
  }
  say(`  the gateway  ${gateway.url}/console, for operators with the token ${gateway.adminToken}`);
  say(`               ${gateway.url}/readyz, /metrics, and in JSON:`);
  say(`               curl -H 'Authorization: Bearer ${gateway.adminToken}' ${gateway.url}/api/revocations`);
  if (!process.stdin.isTTY) {
    say('\nThe demo ends with SIGTERM or Ctrl-C.');
    await new Promise((resolve) => signal.addEventListener('abort', resolve));
    return;
  }
  const lines = createInterface({ input: process.stdin });
  try {
    for (;;) {
      say(
        '\nSign in as Ada in a browser of your own, then press Enter here to revoke her again; Ctrl-C ends the demo.',
      );
      await nextEvent(lines, 'line', { signal });
      await play();
    }
  } finally {
    lines.close();
  }
}
