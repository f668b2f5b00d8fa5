/** `/console/apps`: whether each app is called, what waits for it, and what an operator can do about it. */
import { Router } from 'express';
import { type AppAction, type Apps, appActions } from '../apps.js';
import { operatorIn } from '../authenticate.js';
import { ago, button, type Html, html, moment, type Row, sendPage, stateOf, table } from './layout.js';

type Shown = Awaited<ReturnType<Apps['list']>>['apps'][number];

export type AppsPagesDependencies = { apps: Apps; now: () => number };

export function createAppsPages({ apps, now }: AppsPagesDependencies): Router {
  const router = Router();

  router.get('/console/apps', async (req, res) => {
    const { apps: all } = await apps.list();
    const done = appActions.find((action) => action === req.query.done);
    const rows = all.map((one) => row(one, now()));
    sendPage(
      res,
      { title: 'Apps', section: '/console/apps' },
      html`
        ${done && html`<p class="notice" role="status">${DONE[done]}</p>`}
        ${table(lanes, rows)}
        <p class="hint">${HINT}</p>
      `,
    );
  });

  for (const action of appActions) {
    router.post(`/console/apps/:tenant/:app/${action}`, async (req, res) => {
      await apps.act(action, req.params, operatorIn(res));
      res.redirect(303, `/console/apps?done=${action}`);
    });
  }

  // Shown at once: it changes nothing, and nothing keeps it.
  router.post('/console/apps/:tenant/:app/check', async (req, res) => {
    const check = await apps.check(req.params);
    sendPage(
      res,
      { title: `Check of ${req.params.tenant}/${req.params.app}`, section: '/console/apps' },
      html`
        <p class="lead">${check.ok ? stateOf('good', 'no problem found') : stateOf('bad', 'it would not work')}</p>
        <p>${check.ok ? check.detail : check.problem}</p>
        <p><a href="/console/apps">Back to the apps</a></p>
      `,
    );
  });

  return router;
}

const DONE: Record<AppAction, string> = {
  pause: 'The app is paused: what comes for it waits.',
  resume: 'The app is called again.',
  retry: 'All that failed or waited for its next try is being tried.',
};

const HINT =
  'Pause: calls wait, and none is lost. Retry: all that failed or waits for its next try is tried now. ' +
  'Check: whether the settings of the app would work, without changing anything there.';

const lanes = {
  caption: 'In the order of the settings',
  columns: ['App', 'State', 'Waiting', 'To be tried again', 'Failed', 'Waits longest', 'Do'],
  empty: 'The settings have no app yet.',
};

function row(lane: Shown, now: number): Row {
  const { tenant, app, connector, waiting, active, retrying, failed, oldestAcceptedAt } = lane;
  const path = `/console/apps/${tenant}/${app}`;
  const about = `${tenant}/${app}`;
  return [
    html`<div><b>${app}</b> <span class="fine">${tenant}, ${connector}</span></div>`,
    inWords(lane),
    waiting + active,
    retrying,
    failed,
    oldestAcceptedAt === undefined ? 'nothing' : ago(oldestAcceptedAt, now),
    html`<div>
      ${lane.state === 'paused' ? button(`${path}/resume`, 'Resume', about) : button(`${path}/pause`, 'Pause', about)}
      ${button(`${path}/retry`, 'Retry', about)}
      ${button(`${path}/check`, 'Check', about)}
    </div>`,
  ];
}

function inWords({ state, since, why, nextProbeAt }: Shown): Html {
  if (state === 'moving') return stateOf('good', 'running');
  const from = since !== undefined && html`<div class="fine">since ${moment(since)}</div>`;
  if (state === 'paused') return html`<div>${stateOf('stopped', 'paused by hand')}${from}</div>`;
  const reason = why === 'auth' ? 'it refuses our credentials' : 'too many calls failed';
  return html`<div>
    ${stateOf('bad', 'held')}<div>${reason}</div>${from}
    ${nextProbeAt !== undefined && html`<div class="fine">next probe ${moment(nextProbeAt)}</div>`}
  </div>`;
}
