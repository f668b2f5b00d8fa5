/** The operators' pages: what they show, what their buttons do, that every value stays text, and what they say when it fails. */
import { parse } from 'node-html-parser';
import { listen, openGateway } from '../../../src/gateway.js';
import { type Browser, createBrowser, expectVisit, type Visit } from '../../support/console-browser.js';
import { eventually } from '../../support/eventually.js';
import { ADMIN_TOKEN, PUBLIC_URL, startGateway } from '../../support/gateway.js';
import { CONSOLE_CLIENT, startOperatorsIssuer } from '../../support/operators-issuer.js';
import { answer, startTargetApp, type TargetApp } from '../../support/target-app.js';

const SECRET = `whsec_${Buffer.alloc(24, 'console').toString('base64')}`;
const HOSTILE = `"'><img src=x onerror=alert(1)></title><script>alert(1)</script>&lt;b&gt;`;

let issuer: Awaited<ReturnType<typeof startOperatorsIssuer>>;
let intranet: TargetApp;
let wiki: TargetApp;
let gateway: Awaited<ReturnType<typeof startGateway>>;
let browser: Browser;
const ids: Record<string, string> = {};

beforeAll(async () => {
  [issuer, intranet, wiki] = await Promise.all([
    startOperatorsIssuer(`${PUBLIC_URL}/console/callback`),
    startTargetApp(),
    startTargetApp(),
  ]);
  const app = (id: string, { url }: TargetApp, over = {}) => ({
    ...{ id, connector: 'webhook', options: { url, secret: SECRET } },
    ...over,
  });
  const gitlab = {
    ...{ id: 'gitlab', connector: 'gitlab', account: 'userName', assignedTo: { groups: ['Coders'] } },
    options: { url: wiki.url, token: 'a-token-of-the-specs', block: true },
  };
  gateway = await startGateway({
    operators: { oidc: { issuer: issuer.issuer, ...CONSOLE_CLIENT, groups: ['SecOps'] } },
    tenants: [
      { id: 'default', apps: [app('intranet', intranet), app('wiki', wiki, { assignedTo: { groups: [HOSTILE] } })] },
      { id: 'acme', apps: [app('first', wiki), app('last', wiki), gitlab] },
    ],
  });
  for (const [name, groups] of [
    ['ada', [HOSTILE]],
    ['grace', []],
    [HOSTILE, [HOSTILE]],
  ] as const) {
    const person = { userName: name, externalId: `${name} at Okta`, emails: [`${name.slice(-8)}@example.com`] };
    const { user } = await gateway.directory.put('default', { ...person, groups: [...groups] });
    ids[name] = user.id;
  }
  await gateway.directory.users.create('acme', {
    userName: 'lin',
    displayName: HOSTILE,
    phoneNumbers: [{ value: HOSTILE }],
  });
  browser = createBrowser(gateway.url);
  await browser.get('/console/sign-in/oidc');
});
afterAll(async () => {
  await gateway.close();
  await Promise.all([issuer.close(), intranet.close(), wiki.close()]);
});
beforeEach(() => {
  for (const one of [intranet, wiki]) {
    one.answerWith(answer(204));
    one.calls.length = 0;
  }
});

const words = (visit: Visit) => visit.page.querySelector('main')?.text.replace(/\s+/g, ' ') ?? '';
const oneLine = (text: string) => text.replace(/\s+/g, ' ').trim();
const rowsOf = ({ page }: Visit) =>
  page.querySelectorAll('tbody tr').map((row) =>
    row
      .querySelectorAll('td')
      .map(({ text }) => oneLine(text))
      .join(' | '),
  );
const toldBy = ({ page }: Visit) => page.querySelectorAll('ul.told li').map(({ text }) => oneLine(text));
const renewalOf = ({ page }: Visit) => page.querySelector('meta[http-equiv=refresh]')?.getAttribute('content');
const pathOf = (visit: Visit) => visit.url.slice(PUBLIC_URL.length);

/** Presses the button of this label, as it stands on the page. */
async function press(visit: Visit, label: string, follow = true): Promise<Visit> {
  const form = visit.page.querySelectorAll('form').find((one) => {
    const button = one.querySelector('button');
    return (button?.getAttribute('aria-label') ?? button?.text) === label;
  });
  if (!form) throw new Error(`there is no button ${label}`);
  const hidden = form
    .querySelectorAll('input')
    .map((input) => [input.getAttribute('name'), input.getAttribute('value')]);
  return browser.post(form.getAttribute('action') ?? '', Object.fromEntries(hidden), { follow });
}

async function logOutEverywhere(name: string): Promise<Visit> {
  const asked = await browser.get(`/console/users/${ids[name]}/sign-out`);
  return press(asked, `Log out ${name} everywhere`);
}

const appsIn = ({ page }: Visit) => page.querySelectorAll('tbody [id]').map(({ id }) => id);
const appIn = (visit: Visit, name: string) => rowsOf(visit)[appsIn(visit).indexOf(name)];

const until = (path: string, holds: (visit: Visit) => boolean) => eventually(() => browser.get(path), holds);

describe('somebody is to be logged out', () => {
  it('the person is found, the apps are named, and the page says how it went, and who did it', async () => {
    const found = await browser.get('/console/users?by=externalId&named=ada%20at%20Okta');
    expectVisit('showPeople', 200, found);
    expect(rowsOf(found)).toHaveLength(1);
    const person = await browser.get(found.page.querySelector('tbody a')?.getAttribute('href') ?? '');
    expectVisit('showPerson', 200, person);
    expect(rowsOf(person)).toEqual([
      expect.stringContaining('it is for everyone'),
      expect.stringContaining('in the group'),
    ]);
    const asked = await browser.get(person.page.querySelector('a.button')?.getAttribute('href') ?? '');
    expectVisit('askToSignOut', 200, asked);
    expect(toldBy(asked)).toEqual(['intranet webhook', 'wiki webhook']);
    expect(intranet.calls).toEqual([]);

    const begun = await press(asked, 'Log out ada everywhere', false);
    expectVisit('signOutEverywhere', 303, begun);
    const path = begun.location ?? '';
    const over = await until(path, (visit) => words(visit).includes('completed'));
    expectVisit('showRevocation', 200, over);
    expect(words(over)).toContain('2 of 2 apps');
    expect(words(over)).toContain('oidc:00u1operator, by hand');
    expect(rowsOf(over)).toEqual([expect.stringContaining('✓ revoked'), expect.stringContaining('✓ revoked')]);
    expect(over.page.querySelectorAll('tbody a').map((one) => one.getAttribute('href'))).toEqual([
      '/console/apps#default/intranet',
      '/console/apps#default/wiki',
    ]);
    expect(over.page.querySelector('dd a')?.text).toBe('ada');
    expect(over.page.querySelectorAll('svg.bar rect')).toHaveLength(2);
    expect(renewalOf(over)).toBeUndefined();
    expect([intranet.calls.length, wiki.calls.length]).toEqual([1, 1]);
    const accepted = (await gateway.audit()).find(({ event }) => event === 'revocation.accepted');
    expect(accepted).toMatchObject({ operator: 'oidc:00u1operator', trust: 'operator', user: ids.ada });
    expect(JSON.stringify(await gateway.audit())).not.toContain('example.com');
  });

  it('why an app is not reached is said before', async () => {
    const person = await browser.get(`/console/users/${ids.grace}`);
    expect(rowsOf(person)[1]).toMatch(/^wiki webhook \| ‖ no \| {2}\| it is for groups/);
    const asked = await browser.get(`/console/users/${ids.grace}/sign-out`);
    expect(toldBy(asked)).toEqual(['intranet webhook']);
  });

  it('what lives on in an app is said before', async () => {
    const { user } = await gateway.directory.put('acme', { userName: 'edsger', groups: ['Coders'] });
    const asked = await browser.get(`/console/users/${user.id}/sign-out?tenant=acme`);
    expect(toldBy(asked)).toEqual([expect.stringMatching(/^gitlab gitlabLives on: .*sessions in the browser/)]);
  });
});

describe('an app that was not reached', () => {
  it('is shown with its reason, and one press of retry mends it', async () => {
    intranet.answerWith(answer(400));
    const path = pathOf(await logOutEverywhere('ada'));
    const failed = await until(path, (visit) => words(visit).includes('intranet failed'));
    expect(rowsOf(failed)[0]).toMatch(
      /✕ failed \| 1 \| [\d.]+ m?s \| Reason: refused, the app’s to mend1 failed call.* \| Retry$/,
    );
    expect(failed.page.querySelectorAll('details li')).toHaveLength(1);
    const row = appIn(await browser.get('/console/apps'), 'default/intranet');
    const [told] = toldBy(await browser.get(`/console/users/${ids.ada}/sign-out`));
    expect(told).toMatch(/^intranet webhookFailed: \d+ of its calls (is|are) kept for a retry\.$/);
    expect(row).toMatch(/^intranet default, webhook \| … moving \| 0 \| 0 \| ✕ \d+ \| /);
    const list = await until('/console?status=failed', (visit) => rowsOf(visit).length > 0);
    expectVisit('showRevocations', 200, list);
    expect(rowsOf(list)[0]).toMatch(
      /✕ failed \| ada \| oidc:00u1operator, by hand \| .* \| 1 of 2 ✕ 1, intranet failed$/,
    );
    const parts = list.page.querySelector('tbody svg')?.querySelectorAll('rect') ?? [];
    expect(parts.map((one) => `${one.classNames} ${one.getAttribute('x') ?? 0} ${one.getAttribute('width')}`)).toEqual([
      'good 0 1',
      'bad 1 1',
      'under-way 2 0',
    ]);

    intranet.answerWith(answer(204));
    const asked = await press(failed, 'Retry intranet', false);
    expectVisit('retryFromConsole', 303, asked);
    const after = await browser.get(asked.location ?? '');
    expect(after.page.querySelector('[role=status]')?.text).toBe('Another try was asked for.');
    expect(renewalOf(after)).toMatch(/^2;url=\?live&(amp;)?retried=\d{13}$/);
    const over = await until(path, (visit) => words(visit).includes('completed'));
    expect(words(over)).toContain('2 of 2 apps');
    expect([intranet.calls.length, wiki.calls.length]).toEqual([2, 1]);
    expect((await gateway.audit()).filter(({ event }) => event === 'job.retried').at(-1)).toMatchObject({
      ...{ operator: 'oidc:00u1operator', app: 'intranet' },
    });
  });

  it('is found by a press on how many there are, also while another app is still to be told', async () => {
    await browser.post('/console/apps/default/wiki/pause');
    intranet.answerWith(answer(400));
    const path = pathOf(await logOutEverywhere('ada'));
    await until(path, (visit) => words(visit).includes('intranet failed'));
    const revocation = path.split('?')[0];
    const pressed = async (page: string, selector: string) => {
      const href = (await browser.get(page)).page.querySelector(selector)?.getAttribute('href') ?? '';
      return (await browser.get(href)).page
        .querySelectorAll('tbody td:first-child a')
        .map((a) => a.getAttribute('href'));
    };
    expect(await pressed('/console', 'ul.figures li:nth-child(3) a')).toContain(revocation);
    expect(await pressed('/console', 'ul.figures li:nth-child(1) a')).toEqual([revocation]);
    expect(await pressed('/console/apps', '[href*=app=intranet]')).toContain(revocation);
    expect(rowsOf(await browser.get('/console?app=wiki&state=waiting'))).toHaveLength(1);
    await browser.post('/console/apps/default/intranet/pause');
    const retried = await press(await browser.get(path), 'Retry intranet');
    expect(retried.page.querySelector('[role=status]')?.text).toBe(
      'Another try was asked for. intranet is paused: it waits until you resume it.',
    );
    await browser.post('/console/apps/default/intranet/resume');
    await browser.post('/console/apps/default/wiki/resume');
    await until(path, (visit) => words(visit).includes('1 of 2 apps'));
  });

  it('can be retried for everybody at once, and so can all apps of one revocation', async () => {
    intranet.answerWith(answer(400));
    wiki.answerWith(answer(400));
    const path = pathOf(await logOutEverywhere('ada'));
    const failed = await until(
      path,
      (visit) => words(visit).includes('0 of 2 apps') && /failed.*failed/.test(words(visit)),
    );
    intranet.answerWith(answer(204));
    wiki.answerWith(answer(204));
    await press(failed, 'Retry all');
    await until(path, (visit) => words(visit).includes('2 of 2 apps'));
    const retried = await press(await browser.get('/console/apps'), 'Retry default/intranet', false);
    expectVisit('retryAppFromConsole', 303, retried);
    expect(words(await browser.get(retried.location ?? ''))).toContain('at default/intranet is being tried');
  });

  it('that is not one of the revocation’s, or of which nothing is kept, is a page that says so', async () => {
    const path = pathOf(await logOutEverywhere('grace'));
    await until(path, (visit) => words(visit).includes('completed'));
    expectVisit('retryFromConsole', 404, await browser.post(`${path}/retry`, { app: 'wiki' }));
    expectVisit('retryFromConsole', 404, await browser.post('/console/revocations/rev_1/retry'));
    expectVisit('showRevocation', 404, await browser.get('/console/revocations/rev_1'));
  });
});

describe('an app', () => {
  it('is paused and resumed, and the pages say so at a glance', async () => {
    const paused = await press(await browser.get('/console/apps'), 'Pause default/intranet', false);
    expectVisit('pauseAppFromConsole', 303, paused);
    const apps = await browser.get(paused.location ?? '');
    expectVisit('showApps', 200, apps);
    expect(apps.page.querySelector('[role=status]')?.text).toBe('default/intranet is paused: what comes for it waits.');
    expect(appIn(apps, 'default/intranet')).toMatch(
      /^intranet default, webhook \| ‖ pausedby handsince .* \| 0 \| 0 \| .* \| nothing \| ResumeRetryCheck$/,
    );
    const asked = await browser.get(`/console/users/${ids.grace}/sign-out`);
    expect(toldBy(asked)).toEqual(['intranet webhookPaused: it is told once somebody resumes it.']);
    const path = pathOf(await press(asked, 'Log out grace everywhere'));
    const waiting = await until(path, (visit) => words(visit).includes('intranet paused since'));
    expect(rowsOf(waiting)[0]).toMatch(/^intranet \| … waiting‖ paused since .* UTC \| 0 \| /);
    // Nothing moves until somebody resumes it.
    expect(renewalOf(waiting)).toBeUndefined();
    expect(words(waiting)).toContain('What is left waits until somebody resumes the app.');
    const retried = await press(apps, 'Retry default/intranet');
    expect(retried.page.querySelector('[role=status]')?.text).toBe(
      'default/intranet is paused: what was to be tried again waits until you resume it.',
    );
    const glance = async (path: string) =>
      (await browser.get(path)).page.querySelectorAll('ul.figures li').map(({ text }) => text.trim());
    for (const one of await glance('/console?tenant=acme')) expect(one).toMatch(/^0 /);
    expect(await glance('/console')).toEqual([
      '1 pending',
      '1 waiting at an app',
      expect.stringMatching(/^\d+ failed at an app/),
      '0 of the apps held, since they fail',
      '1 of the apps paused by hand',
    ]);
    // As the watch over what takes too long does.
    await gateway.redis.rename(`${gateway.prefix}:{default}:open`, `${gateway.prefix}:{default}:overdue`);
    expect((await glance('/console'))[0]).toBe('1 pending');
    expectVisit('resumeAppFromConsole', 303, await press(apps, 'Resume default/intranet', false));
    await until(path, (visit) => words(visit).includes('completed'));
    expect((await gateway.audit()).filter(({ event = '' }) => event.startsWith('app.')).slice(-2)).toMatchObject([
      { event: 'app.paused', operator: 'oidc:00u1operator', app: 'intranet' },
      { event: 'app.resumed', operator: 'oidc:00u1operator', app: 'intranet' },
    ]);
  });

  it('that is in trouble stands before the others', async () => {
    const before = await press(await browser.get('/console/apps'), 'Pause acme/last');
    expect(appsIn(before).indexOf('acme/last')).toBeLessThan(appsIn(before).indexOf('acme/first'));
    const after = await press(before, 'Resume acme/last');
    expect(appsIn(after).slice(-3)).toEqual(['acme/first', 'acme/last', 'acme/gitlab']);
  });

  it('is checked, and there is none but those of the settings', async () => {
    const checked = await press(await browser.get('/console/apps'), 'Check default/intranet');
    expectVisit('checkAppFromConsole', 200, checked);
    // A webhook has no call that changes nothing.
    expect(words(checked)).toContain('‖ not checkablenothing to ask');
    expect(checked.page.querySelector('.good')).toBeNull();
    for (const [action, operation] of [
      ['pause', 'pauseAppFromConsole'],
      ['resume', 'resumeAppFromConsole'],
      ['retry', 'retryAppFromConsole'],
      ['check', 'checkAppFromConsole'],
    ] as const) {
      expectVisit(operation, 404, await browser.post(`/console/apps/acme/intranet/${action}`));
    }
  });
});

describe('the field for a person', () => {
  beforeAll(async () => {
    for (const name of ['one', 'other']) {
      const person = { userName: name === 'one' ? 'twin' : name, externalId: name === 'one' ? name : 'twin' };
      ids[name] = (await gateway.directory.put('default', person)).user.id;
    }
  });

  it.each(['/console', '/console/audit'])('takes any identifier of the person [%s]', async (page) => {
    for (const identifier of ['ada', 'ADA@example.com', 'ada at Okta', ids.ada ?? '']) {
      const visit = await browser.get(`${page}?${new URLSearchParams({ user: identifier })}`);
      expect(rowsOf(visit).length).toBeGreaterThan(0);
      for (const row of rowsOf(visit)) expect(row).toMatch(/ \| ada \| /);
      const person = visit.page.querySelector('tbody td[data-label=Person] a');
      expect(person?.getAttribute('href')).toBe(`/console/users/${ids.ada}?tenant=default`);
    }
  });

  it.each(['/console', '/console/audit'])('says so where nobody, or not one alone, has it [%s]', async (page) => {
    const nobody = await browser.get(`${page}?user=nobody@example.com`);
    expect(rowsOf(nobody)).toEqual([]);
    expect(nobody.page.querySelector('.notice')?.text).toBe(
      'Nobody in the directory has the identifier nobody@example.com.',
    );
    const several = await browser.get(`${page}?tenant=default&user=twin&app=wiki`);
    const links = several.page.querySelectorAll('.notice a').map((one) => one.getAttribute('href'));
    expect(new Set(links)).toEqual(
      new Set([ids.one, ids.other].map((id) => `${page}?tenant=default&user=${id}&app=wiki`)),
    );
    expect(rowsOf(several)).toEqual([]);
    expectVisit(page === '/console' ? 'showRevocations' : 'showAudit', 400, await browser.get(`${page}?user=a&user=b`));
  });

  it('finds what is kept of an id of which the directory knows nothing any more', async () => {
    const trail = `${gateway.prefix}:{acme}:audit`;
    await gateway.redis.xadd(trail, '*', 'entry', 'event=account.revoked&tenant=acme&user=777&app=first');
    const visit = await browser.get('/console/audit?tenant=acme&user=777');
    expect(rowsOf(visit)).toEqual([expect.stringMatching(/ \| account\.revoked \| 777 \| first \| /)]);
    expect(visit.page.querySelector('.notice')?.text).toContain('Nobody in the directory');
  });
});

describe('every value stays text', () => {
  const query = new URLSearchParams({ named: HOSTILE }).toString().slice('named='.length);

  it.each<[string, number, () => string]>([
    ['people', 200, () => '/console/users'],
    ['people of a tenant', 200, () => '/console/users?tenant=acme'],
    ['nobody', 200, () => `/console/users?by=userName&named=${query}x`],
    ['a kind of name that there is not', 400, () => `/console/users?by=${query}&named=x`],
    ['a person', 200, () => `/console/users/${ids[HOSTILE]}`],
    ['the question', 200, () => `/console/users/${ids[HOSTILE]}/sign-out`],
    ['nobody with this id', 404, () => `/console/users/${query}`],
    ['revocations of nobody', 200, () => `/console?user=${query}&app=${query}`],
    ['revocations of no time', 400, () => `/console?since=${query}`],
    ['revocations of no tenant', 404, () => `/console?tenant=${query}`],
    ['something unknown', 400, () => `/console?${query}=1`],
    ['entries of nobody', 200, () => `/console/audit?user=${query}&app=${query}&revocationId=${query}`],
    ['entries of no event', 400, () => `/console/audit?event=${query}`],
    ['revocations with an app in no state', 400, () => `/console?state=${query}`],
    ['a page that there is not', 404, () => `/console/${query}`],
    ['apps', 200, () => `/console/apps?done=${query}`],
    ['what every object has', 200, () => '/console/apps?done=constructor'],
    ['people by what is no name', 400, () => '/console/users?by=tenant&named=default'],
    ['people by what every object has', 400, () => '/console/users?by=__proto__&named=x'],
  ])('%s', async (_what, status, path) => {
    const visit = await browser.get(path());
    expect(visit.status).toBe(status);
    expectHarmless(visit);
    expect(visit.page.querySelector('[role=status]')).toBeNull();
    if (status === 200 && /named=|user=/.test(path())) {
      expect(visit.page.querySelectorAll('input').map((one) => one.getAttribute('value'))).toContainEqual(
        expect.stringContaining(HOSTILE.slice(0, 20)),
      );
    }
  });

  it('a revocation, its person and the trail of it', async () => {
    const visit = await logOutEverywhere(HOSTILE);
    const over = await until(pathOf(visit), (one) => words(one).includes('completed'));
    expect(over.page.querySelector('h1')?.text).toBe(`Revocation of ${HOSTILE}`);
    for (const one of [over, await browser.get('/console'), await browser.get('/console/audit')]) expectHarmless(one);
    expectVisit('showAudit', 200, await browser.get('/console/audit?event=revocation.completed'));
  });

  it('who has signed in, and what an app says of itself', async () => {
    issuer.state.sub = HOSTILE;
    const other = createBrowser(gateway.url);
    const visit = await other.get('/console/sign-in/oidc');
    issuer.state.sub = '00u1operator';
    expect(visit.page.querySelector('.who b')?.text).toBe(`oidc:${HOSTILE}`);
    expectHarmless(visit);
    expectHarmless(await createBrowser(gateway.url).get(`/console/sign-in?returnTo=/console?${query}&with=token`));
  });

  /** Nothing on the page is but what the console puts there, and it may do nothing but what its policy says. */
  function expectHarmless({ page, headers, text }: Visit): void {
    expect(page.querySelectorAll('script, img, b b, style, iframe, object, embed, base')).toEqual([]);
    for (const element of page.querySelectorAll('*')) {
      const names = Object.keys(element.attributes);
      expect(names.filter((name) => /^(on|style$|srcdoc$)/.test(name))).toEqual([]);
      for (const name of ['href', 'action']) {
        const target = element.getAttribute(name);
        if (target !== undefined) expect(target).toMatch(/^(\/console|#content$|\?still$)/);
      }
    }
    // The same for whoever takes the text as it is.
    expect(parse(text).querySelectorAll('[onerror]')).toEqual([]);
    expect(text).not.toMatch(/<(script|img)/i);
    expect(headers.get('content-security-policy')).toBe(
      "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    );
    expect(headers.get('cache-control')).toBe('no-store');
  }
});

describe('a page', () => {
  it('has its style from us alone, by an address that changes with it', async () => {
    const { page } = await browser.get('/console');
    const style = page.querySelector('link[rel=stylesheet]')?.getAttribute('href') ?? '';
    expect(style).toMatch(/^\/console\/console\.css\?[0-9a-f]{12}$/);
    const visit = await createBrowser(gateway.url).get(style);
    expectVisit('readStylesheet', 200, visit);
    expect(visit.headers.get('cache-control')).toContain('immutable');
    // What a process of another version names.
    const another = await createBrowser(gateway.url).get('/console/console.css?0123456789ab');
    expect([another.status, another.headers.get('cache-control')]).toEqual([200, 'no-cache']);
  });

  it('has an icon, so that browsers look for none elsewhere', async () => {
    const { page } = await browser.get('/console');
    const visit = await createBrowser(gateway.url).get(
      page.querySelector('link[rel=icon]')?.getAttribute('href') ?? '',
    );
    expectVisit('readIcon', 200, visit);
    expect(parse(visit.text).querySelector('svg')?.getAttribute('viewBox')).toBe('0 0 32 32');
  });

  it('has one heading, a label for every field and a name for every button', async () => {
    for (const path of [
      '/console',
      '/console/apps',
      '/console/users',
      '/console/audit',
      '/console/sign-in?with=token',
    ]) {
      const { page } = await browser.get(path);
      expect(page.querySelectorAll('h1')).toHaveLength(1);
      for (const input of page.querySelectorAll('input:not([type=hidden]), select')) {
        expect(input.closest('label')?.text.trim()).toMatch(/\w/);
      }
      for (const one of page.querySelectorAll('button')) {
        expect(one.getAttribute('aria-label') ?? one.text).toMatch(/\w/);
      }
    }
  });

  it('goes on where the one before ended, with the same question', async () => {
    for (let count = 0; count < 52; count += 1) await gateway.directory.put('acme', { userName: `person-${count}` });
    const first = await browser.get('/console/users?tenant=acme');
    expect(rowsOf(first)).toHaveLength(50);
    const next = await browser.get(first.page.querySelector('.next a')?.getAttribute('href') ?? '');
    expect(rowsOf(next)).toHaveLength(4);
    expect(next.page.querySelector('.next')).toBeNull();
  });

  it('says how far back it has looked where there is more', async () => {
    const headers = { authorization: `Bearer ${ADMIN_TOKEN}`, 'content-type': 'application/json' };
    for (let count = 0; count < 51; count += 1) {
      const body = JSON.stringify({ tenant: 'acme', userName: 'lin' });
      expect((await fetch(`${gateway.url}/api/revocations`, { method: 'POST', headers, body })).status).toBe(202);
    }
    for (const page of ['/console', '/console/audit']) {
      const visit = await until(`${page}?tenant=acme`, (one) => one.page.querySelector('.next') !== null);
      expect(visit.page.querySelector('.next')?.text).toMatch(/^Looked back to \d{4}-\d\d-\d\d .* UTC\. Older /);
      const narrowed = await browser.get(`${page}?tenant=acme&app=none`);
      expect(rowsOf(narrowed)).toEqual([]);
    }
  });

  it('says so where Redis is away, and what a form asked for is not done', async () => {
    const config = { ...gateway.config, redisUrl: 'redis://127.0.0.1:1' };
    const stranded = await openGateway(config, { roles: ['api'], prefix: 'spec-stranded' });
    const server = await listen(stranded.app, config);
    try {
      const other = createBrowser(`http://127.0.0.1:${server.port}`);
      await other.setCookie('__Host-ul_console', 'A'.repeat(43));
      const visit = await other.get('/console');
      expectVisit('showRevocations', 503, visit);
      expect(visit.headers.get('retry-after')).toBe('5');
      expect(words(visit)).toContain('Redis is out of reach');
      for (const path of ['/console?status=failed', '/console/sign-in']) {
        const { page } = await other.get(path);
        expect(page.querySelector('main a')?.toString()).toBe(`<a href="${path}">Try again</a>`);
      }
      expectVisit('pauseAppFromConsole', 503, await other.post('/console/apps/default/intranet/pause'));
      expectVisit('signInWithToken', 503, await other.signInWithToken(ADMIN_TOKEN));
      // What is only begun needs nothing kept.
      expectVisit('signInAtIssuer', 303, await other.get('/console/sign-in/oidc', { follow: false }));
      expectVisit('finishSignIn', 503, await other.get('/console/sign-in/oidc'));
    } finally {
      await server.close();
      await stranded.close();
    }
  });
});
