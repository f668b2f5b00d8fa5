/** An HTTP API as a settings file describes it: its requests, what their answers mean, and what is wrong with that. */
import { z } from 'zod';
import type { OutboundRequest } from '../outbound/outbound.js';
import { apiUrl, appUrl, secret } from './connector.js';
import { jsonPointer } from './json-pointer.js';
import { headerName, headers, headerValue, namesIn, pathTemplate, textTemplate } from './template.js';

export const ENDS = ['sessions', 'refresh_tokens', 'access_tokens', 'credentials', 'access'] as const;

const statuses = z.array(z.int().min(200).max(599)).default([]);
const scalar = z.union([z.string(), z.number(), z.boolean(), z.null()]);

/** What an answer means; what is not named means what it means to every connector. */
const meaning = {
  statuses: z
    .strictObject({ done: statuses, accepted: statuses, gone: statuses, retry: statuses, never: statuses })
    .prefault({})
    .refine((named) => isUnique(Object.values(named).flat()), 'must give each status one meaning'),
  failsWhen: z.array(z.strictObject({ at: jsonPointer, is: scalar.optional() })).default([]),
};

const message = {
  path: pathTemplate,
  headers: headers.default({}),
  json: z.json().optional(),
  form: z.record(z.string().min(1), textTemplate).optional(),
};

const find = z.strictObject({
  method: z.enum(['GET', 'POST']).default('GET'),
  ...message,
  ...meaning,
  items: jsonPointer.default(''),
  where: jsonPointer,
  id: jsonPointer.default('/id'),
  cursor: z.strictObject({ at: jsonPointer, query: z.string().min(1) }).optional(),
});

const step = z.strictObject({
  method: z.enum(['GET', 'POST', 'PUT', 'PATCH', 'DELETE']),
  ...message,
  ...meaning,
});

const auth = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('none') }),
  z.strictObject({ type: z.literal('bearer'), token: secret() }),
  z.strictObject({ type: z.literal('basic'), user: z.string().regex(/^[^:\p{Cc}]+$/u), password: secret() }),
  z.strictObject({ type: z.literal('header'), name: headerName, value: headerValue() }),
  z.strictObject({
    type: z.literal('oauth'),
    tokenUrl: appUrl,
    clientId: z.string().min(1),
    clientSecret: secret(),
    secretIn: z.enum(['header', 'form']).default('header'),
    parameters: z.record(z.string().min(1), z.string()).default({}),
  }),
]);

export const httpOptions = z
  .strictObject({
    url: apiUrl.describe('What every path is appended to: nothing is called, and no credential sent, elsewhere.'),
    auth: auth
      .default({ type: 'none' })
      .describe(
        'How calls are authorized: `type` is `none`, `bearer` (`token`), `basic` (`user`, `password`), `header` (`name`, `value`) or `oauth` (client credentials: `tokenUrl`, `clientId`, `clientSecret`, `secretIn`, `parameters`).',
      ),
    headers: headers.default({}).describe('Sent with every call; the values are secrets.'),
    find: find
      .optional()
      .describe(
        'Finds the `{id}` of the account: `method`, `path`, `headers`, `json` or `form`, where in the answer the list stands (`items`), and in each item what must be the account (`where`) and what is the id (`id`, by default `/id`), all as JSON pointers. A list in pages has a `cursor`: where the next one is named (`at`), and by which parameter it is asked for (`query`).',
      ),
    steps: z
      .array(step)
      .min(1)
      .max(5)
      .describe(
        'What is called, in this order, all of it again on a repeat: `method`, `path`, `headers`, `json` or `form`, with `{account}` and `{id}` in segments of the path, values of the query, and texts of the body. `statuses` says which mean something else than usual: `done`, `accepted`, `gone`, `retry`, `never`. `failsWhen` names answers of success that are none: `at` in the answer stands `is`, or anything at all.',
      ),
    ends: z
      .array(z.enum(ENDS))
      .min(1)
      .refine(isUnique, 'names something twice')
      .describe(
        'What the steps end, by the documentation of the app; `refresh-only` is refused where sessions or access are among it.',
      ),
    livesOn: z.string().min(1).optional().describe('What lives on, in a short phrase for the record.'),
    check: z
      .strictObject({ path: pathTemplate, headers: headers.default({}), failsWhen: meaning.failsWhen })
      .optional()
      .describe(
        'A GET that changes nothing and shows that URL and credentials are right: `path`, `headers`, `failsWhen`.',
      ),
  })
  .superRefine((options, context) => {
    for (const { place, message } of problemsOf(options)) context.addIssue({ code: 'custom', message, path: place });
  });

export type HttpOptions = z.output<typeof httpOptions>;
export type Find = z.output<typeof find>;
export type FailsWhen = z.output<typeof meaning.failsWhen>[number];

/** One request, whether of `find`, `steps` or `check`. */
export type Described = Pick<z.output<typeof step>, 'path' | 'headers' | 'json' | 'form' | 'failsWhen'> &
  Partial<Pick<z.output<typeof step>, 'statuses'>> & { method: NonNullable<OutboundRequest['method']> };

type Problem = { place: (string | number)[]; message: string };
type Request = z.output<typeof find> | z.output<typeof step>;

function problemsOf({ find, steps, check }: Pick<HttpOptions, 'find' | 'steps' | 'check'>): Problem[] {
  const problems = steps.flatMap((one, index) => [
    ...problemsOfRequest(one, ['steps', index]),
    ...textsOf(one)
      .filter(({ names }) => !find && names.includes('id'))
      .map(({ part }) => ({ place: ['steps', index, part], message: 'must have no {id} where there is no find' })),
    // A call that names nobody is for everybody, or for the caller.
    ...(namesOf(one).length === 0
      ? [{ place: ['steps', index], message: 'must name the account somewhere, by {account} or {id}' }]
      : []),
  ]);
  if (find) {
    problems.push(...problemsOfRequest(find, ['find']));
    for (const { part, names } of textsOf(find)) {
      if (names.includes('id')) problems.push({ place: ['find', part], message: 'must have no {id}, its own result' });
    }
    if (!steps.some((one) => namesOf(one).includes('id'))) {
      problems.push({ place: ['find'], message: 'is of no use: no step has {id}' });
    }
  }
  if (check && namesIn(check.path).length > 0) {
    problems.push({ place: ['check', 'path'], message: 'must have no placeholder: a check is about nobody' });
  }
  return problems;
}

function problemsOfRequest({ method, json, form }: Request, place: Problem['place']): Problem[] {
  const problems: Problem[] = [];
  const problem = (part: string, message: string) => problems.push({ place: [...place, part], message });
  if (json !== undefined && form) problem('form', 'is one body too many beside json');
  if (method === 'GET' && (json !== undefined || form)) problem('method', 'must not be GET where there is a body');
  const wrong = jsonProblem(json);
  if (wrong) problem('json', wrong);
  if (Object.keys(form ?? {}).some((name) => /[{}]/.test(name))) problem('form', 'must have no placeholder in a name');
  return problems;
}

/** Names of members are left as they are, and so have no placeholder. */
function jsonProblem(json: unknown): string | undefined {
  if (typeof json === 'string') return textTemplate.safeParse(json).error?.issues[0]?.message;
  if (typeof json !== 'object' || json === null) return undefined;
  for (const [name, value] of Object.entries(json)) {
    const problem = /[{}]/.test(name) ? 'must have no placeholder in a name' : jsonProblem(value);
    if (problem) return problem;
  }
  return undefined;
}

const textsOf = ({ path, json, form }: Request) => [
  { part: 'path', names: namesIn(path) },
  { part: 'json', names: namesIn(JSON.stringify(json) ?? '') },
  { part: 'form', names: namesIn(Object.values(form ?? {}).join(' ')) },
];

const namesOf = (request: Request) => textsOf(request).flatMap(({ names }) => names);

function isUnique(list: readonly unknown[]): boolean {
  return new Set(list).size === list.length;
}
