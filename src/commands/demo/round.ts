/** One round of the demo: people sign in, one of them is revoked at Okta, and every app is asked who is still there. */
import type { Narrator } from './narrator.js';
import type { Parties } from './parties.js';
import { readRecord, requestRevocation, sayRecord } from './revocation.js';
import { asksForPassword, type Session, signIn, untilEnded } from './sessions.js';
import { sayTable } from './table.js';
import { type Observation, problemsWith } from './verdict.js';

const PATIENCE_MS = 10_000;

/** Answers whether every session of the revoked person ended, and nobody else's. */
export async function playRound(narrator: Narrator, parties: Parties, signal: AbortSignal): Promise<boolean> {
  const { say, heading, step } = narrator;
  const { okta, sites, devices, revoked } = parties;
  const { name } = revoked;
  const patience = { withinMs: PATIENCE_MS, signal };

  heading('People sign in');
  const sessions: Session[] = [];
  for (const device of devices) {
    sessions.push(
      ...(await step(`${device.person.name}, ${device.name}: signed in to every app`, () => signIn(device, sites))),
    );
  }
  const before = await lookAt(sessions);
  say();
  sayTable(narrator, before);

  heading(`An administrator at Okta picks ${name}: "Clear sessions and revoke access"`);
  await step(`Okta ends the session that ${name} has with Okta`, async () => okta.clearSessions(revoked.id));
  say();
  const { startedAt } = await requestRevocation(narrator, parties, revoked);
  say();
  const endings = await step('every app asked whether the session is still alive', () =>
    Promise.all(
      sessions.map((session) =>
        session.person === name ? untilEnded(session, { startedAt, ...patience }) : undefined,
      ),
    ),
  );
  const record = await readRecord(parties, patience);

  heading('The record of the gateway (GET /api/revocations)');
  if (record) sayRecord(narrator, record);
  else say('  There is none.');

  heading('Who is signed in now');
  const after = await lookAt(sessions);
  sayTable(
    narrator,
    after.map((row, index) => ({ ...row, endedAfterMs: endings[index] })),
  );
  const observations: Observation[] = after.map((row, index) => ({
    ...row,
    aliveBefore: before[index]?.alive === true,
    aliveAfter: row.alive,
  }));
  const problems = [...problemsWith(observations, name), ...(await wayBackIn(parties))];
  sayVerdict(narrator, problems, { name, count: endings.filter((ms) => ms !== undefined).length });
  return problems.length === 0;
}

async function lookAt(sessions: readonly Session[]) {
  return Promise.all(
    sessions.map(async ({ person, device, site, isAlive }) => ({ person, device, site, alive: await isAlive() })),
  );
}

/** An app that lets the person in again without a password has logged nobody out. */
async function wayBackIn({ okta, sites, devices, revoked }: Parties): Promise<string[]> {
  const problems: string[] = [];
  for (const device of devices.filter(({ person }) => person === revoked)) {
    for (const site of sites) {
      if (await asksForPassword(device, site, okta.issuer)) continue;
      problems.push(`The ${site.name} lets ${revoked.name} in again on the ${device.name} without a password.`);
    }
  }
  return problems;
}

function sayVerdict(
  { say, colours }: Narrator,
  problems: readonly string[],
  { name, count }: { name: string; count: number },
): void {
  say();
  for (const problem of problems) say(`  ${colours.red('✘')} ${problem}`);
  if (problems.length > 0) return;
  say(`  ${colours.green('✔')} ${name}: ${count} sessions ended, and both apps ask for the password again.`);
  say(`  ${colours.green('✔')} Nobody else was signed out.`);
}
