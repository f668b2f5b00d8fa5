/** `/api/apps`: how each app's queue moves; an operator may pause it, resume it, retry what failed, and check the settings. */
import { Router } from 'express';
import type { Audit } from '../audit.js';
import type { Check, CheckCall, Docs } from '../connectors/connector.js';
import type { App } from '../fanout/call-app.js';
import type { Lanes } from '../fanout/lanes.js';
import { orUnavailable } from '../redis.js';
import { RequestError } from '../request-error.js';
import { operatorIn } from './authenticate.js';
import { viewLane } from './view.js';

const CHECK_WITHIN_MS = 10_000;

export type AppsDependencies = {
  apps: readonly App[];
  lanes: Lanes;
  audit: Audit;
  callContext: Omit<CheckCall, 'signal' | 'now'>;
  now: () => number;
};

export type Apps = ReturnType<typeof createApps>;

const events = { pause: 'app.paused', resume: 'app.resumed', retry: 'job.retried' } as const;
export type AppAction = keyof typeof events;
export const appActions = Object.keys(events) as AppAction[];

type Place = { tenant?: string; app?: string };

/** What operators see of apps and do about them, whichever way they come. All throw RequestError and Unavailable. */
export function createApps({ apps, lanes, audit, callContext, now }: AppsDependencies) {
  async function view({ tenant, id, connector }: App) {
    return viewLane(await lanes.read({ tenant, app: id }), connector.name);
  }

  function find({ tenant, app }: Place): App {
    const found = apps.find((one) => one.tenant === tenant && one.id === app);
    if (!found) throw new RequestError(404, 'not_found', 'There is no such app in the settings.');
    return found;
  }

  return {
    /** Of one tenant, or of all. */
    async list(tenant?: string) {
      const asked = apps.filter((one) => tenant === undefined || one.tenant === tenant);
      return { apps: await orUnavailable(Promise.all(asked.map(view))) };
    },

    async act(action: AppAction, place: Place, operator: string) {
      const app = find(place);
      const name = { tenant: app.tenant, app: app.id };
      // First: what takes longer than the answer may goes on all the same.
      await orUnavailable(audit.record({ event: events[action], ...name, operator }));
      await orUnavailable(action === 'retry' ? lanes.retryAll(name) : lanes[action](name));
      return orUnavailable(view(app));
    },

    /** What its connector ends and what lives on. */
    docsOf(place: Place): Docs {
      return find(place).connector.docs;
    },

    /** Whether the settings of the app would work. Changes nothing. */
    async check(place: Place): Promise<Check> {
      const { connector, options } = find(place);
      const signal = AbortSignal.timeout(CHECK_WITHIN_MS);
      return connector.check(options, { ...callContext, signal, now: () => new Date(now()) });
    },
  };
}

export function createAppsRouter(apps: Apps): Router {
  const router = Router();

  router.get('/api/apps', async (_req, res) => {
    res.json(await apps.list());
  });

  for (const action of appActions) {
    router.post(`/api/apps/:tenant/:app/${action}`, async (req, res) => {
      res.json(await apps.act(action, req.params, operatorIn(res)));
    });
  }

  router.post('/api/apps/:tenant/:app/check', async (req, res) => {
    res.json(await apps.check(req.params));
  });

  return router;
}
