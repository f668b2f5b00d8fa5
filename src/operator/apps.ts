/** `/api/apps`: how each app's queue moves; an operator may pause it, resume it, retry what failed, and check the settings. */
import { Router } from 'express';
import type { Audit, AuditEvent } from '../audit.js';
import type { CheckCall } from '../connectors/connector.js';
import type { App } from '../fanout/call-app.js';
import type { Lanes } from '../fanout/lanes.js';
import { orUnavailable } from '../redis.js';
import { RequestError } from '../request-error.js';
import { viewLane } from './view.js';

const CHECK_WITHIN_MS = 10_000;

export type AppsDependencies = {
  apps: readonly App[];
  lanes: Lanes;
  audit: Audit;
  callContext: Omit<CheckCall, 'signal' | 'now'>;
  now: () => number;
};

export function createAppsRouter({ apps, lanes, audit, callContext, now }: AppsDependencies): Router {
  const router = Router();

  router.get('/api/apps', async (_req, res) => {
    res.json({ apps: await orUnavailable(Promise.all(apps.map(view))) });
  });

  const actions = { pause: 'app.paused', resume: 'app.resumed', retry: 'job.retried' } as const;
  for (const [action, event] of Object.entries(actions) as [keyof typeof actions, AuditEvent][]) {
    router.post(`/api/apps/:tenant/:app/${action}`, async (req, res) => {
      const app = find(req.params);
      const name = { tenant: app.tenant, app: app.id };
      // First: what takes longer than the answer may goes on all the same.
      await orUnavailable(audit.record({ event, ...name }));
      await orUnavailable(action === 'retry' ? lanes.retryAll(name) : lanes[action](name));
      res.json(await orUnavailable(view(app)));
    });
  }

  router.post('/api/apps/:tenant/:app/check', async (req, res) => {
    const { connector, options } = find(req.params);
    const signal = AbortSignal.timeout(CHECK_WITHIN_MS);
    res.json(await connector.check(options, { ...callContext, signal, now: () => new Date(now()) }));
  });

  async function view({ tenant, id, connector }: App) {
    return viewLane(await lanes.read({ tenant, app: id }), connector.name);
  }

  function find({ tenant, app }: { tenant?: string; app?: string }): App {
    const found = apps.find((one) => one.tenant === tenant && one.id === app);
    if (!found) throw new RequestError(404, 'not_found', 'There is no such app in the settings.');
    return found;
  }

  return router;
}
