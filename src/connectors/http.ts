/** Calls any HTTP API that the settings file describes: no code, and nothing but what is written there. */
import { z } from 'zod';
import type { OutboundResponse } from '../outbound/outbound.js';
import { identifier, isSame } from './account.js';
import { type Authorize, basic, bearer, createApi } from './api.js';
import { type CheckCall, ConnectorError, defineConnector, NONE, type Outcome, unlessNotFound } from './connector.js';
import { type Described, ENDS, type FailsWhen, type Find, type HttpOptions, httpOptions } from './described-api.js';
import { at } from './json-pointer.js';
import { withUserId } from './look-up.js';
import { clientSecretGrant, oauth } from './oauth.js';
import type { Exceptions } from './request.js';
import { fillJson, fillPath, sent, type Values } from './template.js';

const MAX_PAGES = 20;

const UNFOUND =
  'http: find has just found the user, and no step has found anything: look at the paths of the steps and at what the credential may do, or name the status as gone where it is how the app says that there is nothing to end';

export const http = defineConnector({
  name: 'http',
  options: httpOptions,
  account: identifier,
  modes: ['full', 'refresh-only'],
  docs: {
    app: 'Any app with an HTTP API',
    coverage: 'partial',
    does: 'Makes the calls that the settings file describes, in that order: it finds the id of the user, if asked to, by an exact match on our side, and fills account and id into paths, queries and bodies, each as one encoded value. A value inside a longer text, such as a filter, must consist of letters, digits and `. _ @ + -`. Without more said, 2xx means done, 202 accepted, unless it is a web page, which is a failure of any call whose status `done` or `accepted` does not name, a 404 or 410 in JSON gone (of a look-up only where `gone` says so), and the other statuses what they mean to every connector; `none` is the outcome where all steps find that what they ask for is gone; but right after `find` has found the user, a 404 or 410 that `gone` does not name may as well be a wrong path or a right that is missing, and is refused where no other step has done anything.',
    ends: ENDS,
    livesOn: 'What the steps do not end: `livesOn` says it in the record.',
    lingers: 'As long as the app lets it.',
    permission: 'What the described calls need, and nothing more.',
    credential: ["Follow the app's documentation; give the credential no right that the described calls do not need."],
    rateLimit: 'Whatever the app answers 429 to.',
    sources: ['https://www.rfc-editor.org/rfc/rfc9110', 'https://www.rfc-editor.org/rfc/rfc6901'],
  },

  async revoke(account, options, call) {
    const { find, ends, steps } = options;
    if (call.mode === 'refresh-only' && (ends.includes('sessions') || ends.includes('access'))) {
      throw new ConnectorError(
        'refused',
        'http: not called, since its steps cannot leave sessions alone (refresh-only)',
      );
    }
    const send = senderOf(options, call);

    async function act(values: Values, isNew: boolean): Promise<Outcome> {
      const answers: ('done' | 'accepted' | 'gone' | 'unfound')[] = [];
      for (const [index, described] of steps.entries()) {
        const answer = await unlessNotFound(send(`of step ${index + 1}`, described, values));
        answers.push(answer?.means ?? 'unfound');
      }
      if (!answers.includes('done') && !answers.includes('accepted')) {
        // So a wrong path is answered, or a right that is missing, and for everybody.
        if (isNew && answers.includes('unfound')) throw new ConnectorError('refused', UNFOUND);
        // All is gone: the app does not know this user, or knows another id by now.
        throw new ConnectorError('not_found', 'http: all that the steps name is gone');
      }
      return {
        state: answers.includes('accepted') ? 'accepted' : 'revoked',
        what: [...ends],
        ...(options.livesOn !== undefined && { partial: options.livesOn }),
      };
    }

    if (!find) return (await unlessNotFound(act({ account }, false))) ?? NONE;
    return withUserId(
      { connector: 'http', options, account },
      () => idsOf(account, find, send),
      (id, isNew) => act({ account, id }, isNew),
    );
  },

  async check(options, call) {
    const { check, auth } = options;
    if (check) {
      await senderOf(options, call)('of check', { ...check, method: 'GET' }, {});
      return { ok: true, detail: 'the described check went well; whether the steps do shows at the first revocation' };
    }
    if (auth.type === 'oauth') {
      await authorizeOf(options)(call);
      return { ok: true, detail: 'a token was given; nothing else was asked, since no check is described' };
    }
    return { ok: true, unasked: true, detail: 'nothing asked: no check is described' };
  },
});

type Send = ReturnType<typeof senderOf>;

async function idsOf(account: string, find: Find, send: Send): Promise<string[]> {
  const ids: string[] = [];
  let cursor: string | undefined;
  for (let pages = 0; pages < MAX_PAGES; pages += 1) {
    const more = cursor === undefined ? {} : { [find.cursor?.query as string]: cursor };
    const answer = await send('of find', { ...find, reads: true }, { account }, more);
    if (answer.means === 'gone') return ids;
    const items = at(answer.data, find.items);
    // One user alone may be no list; a wrong pointer must not look as if nobody were there.
    if (typeof items !== 'object' || items === null) {
      throw new ConnectorError('refused', `http: find has no items at '${find.items}' of its answer`);
    }
    const users = Array.isArray(items) ? items : [items];
    const hers = users.filter((user) => isSame(textOf(at(user, find.where)), account));
    ids.push(...hers.map((user) => idOf(user, find.id)));
    cursor = find.cursor && textOf(at(answer.data, find.cursor.at));
    if (!cursor) return ids;
  }
  throw new ConnectorError('refused', `http: find goes on for more than ${MAX_PAGES} pages`);
}

function idOf(user: unknown, pointer: string): string {
  const id = textOf(at(user, pointer));
  if (id !== undefined && identifier.test(id)) return id;
  throw new ConnectorError('refused', `http: find has no id that can be used at '${pointer}' of an item`);
}

/** A number too large to be exact would be somebody else's. */
function textOf(value: unknown): string | undefined {
  if (typeof value === 'string') return value;
  return Number.isSafeInteger(value) ? String(value) : undefined;
}

/**
 * Sends one described request, and says what a success means, or that it is `gone`, where the settings name it so. The
 * request has a name of its own: its path is in no error, since many a hook for logouts has its secret there.
 */
function senderOf(options: HttpOptions, call: CheckCall) {
  const { url } = options;
  const authorize = authorizeOf(options);

  return async (
    name: string,
    described: Described & { reads?: boolean },
    values: Values,
    more: Record<string, string> = {},
  ) => {
    const { method, statuses, failsWhen } = described;
    const operation = `http: ${method} ${name}`;
    const { path, query } = fillPath(operation, described.path, values);
    let isGone = false;
    const onGone = () => {
      isGone = true;
    };
    const exceptions = {
      ...noPages(operation),
      ...(described.reads && NOT_FOUND),
      ...exceptionsOf(statuses, onGone),
    };
    const refusal = (body: unknown) => {
      if (typeof body !== 'object' || body === null) return { reason: 'server', word: 'with no JSON object' } as const;
      const fails = failsWhen.some((rule) => holds(body, rule));
      return fails ? ({ reason: 'refused', word: 'with what failsWhen names' } as const) : undefined;
    };
    const api = createApi(
      'http',
      { url, authorize, headers: sent(options.headers), exceptions, ...(failsWhen.length > 0 && { refusal }) },
      call,
    );
    const message = {
      query: { ...query, ...more },
      headers: sent(described.headers),
      ...(described.json !== undefined && { json: fillJson(operation, described.json, values) }),
      ...(described.form && { form: fillJson(operation, described.form, values) as Record<string, string> }),
      ...(described.reads && { answer: z.unknown() }),
    };
    try {
      const { status, data } = await api(method, { ...path, template: name }, message);
      const isAccepted = statuses?.accepted.includes(status) || (status === 202 && !statuses?.done.includes(202));
      return { means: isAccepted ? ('accepted' as const) : ('done' as const), data: data as unknown };
    } catch (error) {
      if (isGone) return { means: 'gone' as const };
      throw error;
    }
  };
}

/**
 * Of an app whose every path is answered with its one page, or behind a proxy that shows a sign-in page, a web page is
 * no word that anything was done. The type alone tells nothing: some send it with a word, or with JSON, or nothing.
 */
function noPages(operation: string): Exceptions {
  const meaning = ({ status, headers, body }: OutboundResponse) => {
    const isPage = /\bhtml\b/i.test(headers['content-type'] ?? '') && /^\s*</.test(body);
    if (isPage) throw new ConnectorError('server', `${operation} answered ${status} with a web page`);
    return 'success' as const;
  };
  return { 200: meaning, 201: meaning, 202: meaning, 203: meaning };
}

// Of a look-up it may be a wrong URL; where it is the app's word for an unknown user, `gone` says so.
const NOT_FOUND: Exceptions = { 404: 'refused', 410: 'refused' };

function exceptionsOf(named: Described['statuses'], onGone: () => void): Exceptions {
  if (!named) return {};
  const { done, accepted, gone, retry, never } = named;
  const as = (list: readonly number[], meaning: Exceptions[number]) => list.map((status) => [status, meaning] as const);
  return Object.fromEntries([
    ...as([...done, ...accepted], 'success'),
    ...as(gone, () => {
      onGone();
      return 'not_found';
    }),
    ...retry.map((status) => [status, status === 429 ? 'rate_limited' : 'server'] as const),
    ...as(never, 'refused'),
  ]);
}

function holds(body: unknown, { at: pointer, is }: FailsWhen): boolean {
  const found = at(body, pointer);
  if (is !== undefined) return found === is;
  return Array.isArray(found) ? found.length > 0 : ![undefined, null, false, ''].includes(found as never);
}

function authorizeOf(options: HttpOptions): Authorize {
  const { auth } = options;
  switch (auth.type) {
    case 'none':
      return async () => ({ headers: {} });
    case 'bearer':
      return bearer(auth.token);
    case 'basic':
      return basic(auth.user, auth.password);
    case 'header':
      return async () => ({ headers: { [auth.name]: auth.value() } });
    case 'oauth':
      return oauth('http', options, () => clientSecretGrant(auth));
  }
}
