/** `/console/apps`: whether each app is called, what waits for it, and what an operator can do about it. */
import { Router } from 'express';
import type { Check } from '../../connectors/connector.js';
import { type AppAction, type Apps, appActions } from '../apps.js';
import { operatorIn } from '../authenticate.js';
import { ago, button, type Html, html, moment, type Row, sendPage, stateOf, table } from './layout.js';

type Shown = Awaited<ReturnType<Apps['list']>>['apps'][number];
type Place = { tenant: string; app: string };

export type AppsPagesDependencies = { apps: Apps; now: () => number };

export function createAppsPages({ apps, now }: AppsPagesDependencies): Router {
  const router = Router();

  router.get('/console/apps', async (req, res) => {
    const { apps: all } = await apps.list();
    const done = appActions.find((action) => action === req.query.done);
    const doneTo = all.find((one) => nameOf(one) === req.query.app);
    const rows = all.toSorted((a, b) => troubleOf(b) - troubleOf(a)).map((one) => row(one, now()));
    sendPage(
      res,
      { title: 'Apps', section: '/console/apps' },
      html`
        ${done && doneTo && html`<p class="notice" role="status">${saying(done, doneTo)}</p>`}
        ${table(lanes, rows)}
        <p class="hint">${HINT}</p>
      `,
    );
  });

  for (const action of appActions) {
    router.post(`/console/apps/:tenant/:app/${action}`, async (req, res) => {
      const done = await apps.act(action, req.params, operatorIn(res));
      res.redirect(303, `/console/apps?${new URLSearchParams({ done: action, app: nameOf(done) })}`);
    });
  }

  // Shown at once: it changes nothing, and nothing keeps it.
  router.post('/console/apps/:tenant/:app/check', async (req, res) => {
    const check = await apps.check(req.params);
    sendPage(
      res,
      { title: `Check of ${nameOf(req.params)}`, section: '/console/apps' },
      html`
        <p class="lead">${outcomeOf(check)}</p>
        <p>${check.ok ? check.detail : check.problem}</p>
        <p><a href=${pathOfApp(req.params)}>Back to the apps</a></p>
      `,
    );
  });

  return router;
}

function outcomeOf(check: Check): Html {
  if (!check.ok) return stateOf('bad', 'it would not work');
  return check.unasked ? stateOf('stopped', 'not checkable') : stateOf('good', 'no problem found');
}

const nameOf = ({ tenant, app }: Place) => `${tenant}/${app}`;

/** Where the app stands among all. */
export const pathOfApp = (place: Place): string => `/console/apps#${nameOf(place)}`;

function troubleOf({ state, failed, retrying }: Shown): number {
  if (state === 'held') return 4;
  if (failed > 0) return 3;
  if (state === 'paused') return 2;
  return retrying > 0 ? 1 : 0;
}

/** What has been done, as the app stands now. */
function saying(done: AppAction, lane: Shown): string {
  const name = nameOf(lane);
  if (lane.state === 'paused') {
    if (done !== 'retry') return `${name} is paused: what comes for it waits.`;
    return `${name} is paused: what was to be tried again waits until you resume it.`;
  }
  if (lane.state === 'held')
    return `${name} is held: one call finds out whether it is back, and the others follow then.`;
  return done === 'retry'
    ? `All that failed or waited for its next try at ${name} is being tried.`
    : `${name} is called again.`;
}

const HINT =
  'Pause: calls wait, and none is lost. Retry: all that failed or waits for its next try is tried now. ' +
  'Check: whether the settings of the app would work, without changing anything there.';

const lanes = {
  caption: 'Those in trouble first, the others in the order of the settings',
  columns: ['App', 'State', 'Waiting', 'Retrying', 'Failed', 'Waits longest', 'Do'],
  empty: 'The settings have no app yet.',
};

function row(lane: Shown, now: number): Row {
  const { tenant, app, connector, waiting, active, retrying, failed, oldestAcceptedAt } = lane;
  const path = `/console/apps/${tenant}/${app}`;
  const failedPath = `/console?${new URLSearchParams({ tenant, app, state: 'failed' })}`;
  const about = nameOf(lane);
  return [
    html`<div id=${about}><b>${app}</b> <span class="fine">${tenant}, ${connector}</span></div>`,
    inWords(lane),
    waiting + active,
    retrying,
    failed === 0 ? 0 : html`<a href=${failedPath}>${stateOf('bad', String(failed))}</a>`,
    oldestAcceptedAt === undefined ? 'nothing' : ago(oldestAcceptedAt, now),
    html`<div>
      ${lane.state === 'paused' ? button(`${path}/resume`, 'Resume', about) : button(`${path}/pause`, 'Pause', about)}
      ${button(`${path}/retry`, 'Retry', about)}
      ${button(`${path}/check`, 'Check', about)}
    </div>`,
  ];
}

/** Also one that moves does not look well where calls fail. */
function inWords({ state, since, why, nextProbeAt, failed, retrying }: Shown): Html {
  if (state === 'moving') return stateOf(failed + retrying === 0 ? 'good' : 'under-way', 'moving');
  const from = since !== undefined && html`<div class="fine">since ${moment(since)}</div>`;
  if (state === 'paused') return html`<div>${stateOf('stopped', 'paused')}<div>by hand</div>${from}</div>`;
  const reason = why === 'auth' ? 'it refuses our credentials' : 'too many calls failed';
  return html`<div>
    ${stateOf('bad', 'held')}<div>${reason}</div>${from}
    ${nextProbeAt !== undefined && html`<div class="fine">next probe ${moment(nextProbeAt)}</div>`}
  </div>`;
}
