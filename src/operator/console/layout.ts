/** The frame of every page of the console, and the pieces that they share. Every value is escaped where it is put in. */
import type { Response } from 'express';
import { html } from 'htm/preact';
import type { VNode } from 'preact';
import { renderToString } from 'preact-render-to-string';
import { durationText } from '../../fanout/summary.js';
import type { Settings } from '../../settings.js';
import { iconPath } from './icon.js';
import { stylesheetPath } from './stylesheet.js';

/** What is put between the tags and into attributes of `html` is text; only what `html` has made is HTML. */
export { html };

export type Html = VNode;

const sections = {
  '/console': 'Revocations',
  '/console/apps': 'Apps',
  '/console/users': 'People',
  '/console/audit': 'Audit trail',
} as const;

export type Frame = {
  title: string;
  section?: keyof typeof sections;
  /** When the page renews itself, and with which query. */
  renewal?: { afterSeconds: number; query: string } | undefined;
};

/** Headers are those that the router has set for all pages. */
export function sendPage(res: Response, frame: Frame, content: Html): void {
  res.type('html').send(renderPage(frame, res.locals.operator, content));
}

export function renderPage({ title, section, renewal }: Frame, operator: string | undefined, content: Html): string {
  const page = html`<html lang="en">
    <head>
      <meta charset="utf-8" />
      <meta name="viewport" content="width=device-width, initial-scale=1" />
      ${renewal && html`<meta http-equiv="refresh" content=${`${renewal.afterSeconds};url=?${renewal.query}`} />`}
      <title>${`${title} – Universal logout`}</title>
      <link rel="icon" href=${iconPath} type="image/svg+xml" />
      <link rel="stylesheet" href=${stylesheetPath} />
    </head>
    <body>
      <a class="skip" href="#content">Skip to the content</a>
      <header>
        <p class="brand">Universal logout</p>
        ${operator !== undefined && [navigation(section), signOut(operator)]}
      </header>
      <main id="content">
        <h1>${title}</h1>
        ${content}
      </main>
    </body>
  </html>`;
  return `<!doctype html>\n${renderToString(page as VNode)}`;
}

function navigation(section: Frame['section']): Html {
  const items = Object.entries(sections).map(
    ([path, name]) => html`<li><a href=${path} aria-current=${path === section ? 'page' : undefined}>${name}</a></li>`,
  );
  return html`<nav aria-label="Console"><ul>${items}</ul></nav>`;
}

function signOut(operator: string): Html {
  return html`<form class="who" method="post" action="/console/sign-out">
    <span>Signed in as <b>${operator}</b></span>${' '}<button>Sign out</button>
  </form>`;
}

/** A cell that is `false` is empty. */
export type Row = unknown[];

/** Rows of cells, or what is said where there are none. The roles are for narrow screens, which have no table's layout. */
export function table(
  { caption, columns, empty }: { caption: string; columns: readonly string[]; empty: string },
  rows: readonly Row[],
): Html {
  if (rows.length === 0) return html`<p class="empty">${empty}</p>`;
  return html`<table role="table">
    <caption>${caption}</caption>
    <thead role="rowgroup">
      <tr role="row">${columns.map((name) => html`<th role="columnheader" scope="col">${name}</th>`)}</tr>
    </thead>
    <tbody role="rowgroup">
      ${rows.map((row) => html`<tr role="row">${row.map((value, index) => cell(columns[index], value))}</tr>`)}
    </tbody>
  </table>`;
}

function cell(column: string | undefined, value: unknown): Html {
  const empty = value === false ? 'none' : undefined;
  return html`<td role="cell" data-label=${column} class=${empty}><div>${value}</div></td>`;
}

/** A button that changes something; what is hidden goes with it. */
export function button(action: string, label: string, about = '', hidden: Record<string, string> = {}): Html {
  return html`<form class="act" method="post" action=${action}>
    ${Object.entries(hidden).map(([name, value]) => html`<input type="hidden" name=${name} value=${value} />`)}
    <button aria-label=${about === '' ? undefined : `${label} ${about}`}>${label}</button>
  </form>`;
}

type Choice = { value: string; label?: string };

/** The label is above its field. */
export function choose(name: string, label: string, choices: readonly Choice[], chosen = ''): Html {
  const options = choices.map(
    (one) => html`<option value=${one.value} selected=${one.value === chosen}>${one.label ?? one.value}</option>`,
  );
  return html`<label>${label} <select name=${name}>${options}</select></label>`;
}

export function field(name: string, label: string, value = '', more: Record<string, unknown> = {}): Html {
  return html`<label>${label} <input name=${name} value=${value} ...${more} /></label>`;
}

/** How it stands, by word and mark; the colour only repeats it. */
export function stateOf(kind: 'good' | 'bad' | 'under-way' | 'stopped', words: string): Html {
  const marks = { good: '✓', bad: '✕', 'under-way': '…', stopped: '‖' };
  return html`<span class=${`state ${kind}`}><span aria-hidden="true">${marks[kind]}</span> ${words}</span>`;
}

export function moment(iso: string): Html {
  return html`<time datetime=${iso}>${iso.replace('T', ' ').replace(/(\.\d+)?Z$/, ' UTC')}</time>`;
}

export function ago(iso: string, now: number): Html {
  return html`<time datetime=${iso} title=${iso}>${durationText(now - Date.parse(iso))} ago</time>`;
}

/** The link to what comes after a page, with the same question. */
export function nextPage(
  path: string,
  query: Record<string, unknown>,
  cursor: string | undefined,
  label: string,
  /** In ISO 8601. */
  lookedBackTo?: string,
): Html | undefined {
  if (cursor === undefined) return undefined;
  const same = Object.entries(query).filter((pair): pair is [string, string] => typeof pair[1] === 'string');
  const next = new URLSearchParams([...same.filter(([name]) => name !== 'cursor'), ['cursor', cursor]]);
  const looked = lookedBackTo !== undefined && [html`Looked back to ${moment(lookedBackTo)}. `];
  return html`<p class="next">${looked}<a href=${`${path}?${next}`}>${label}</a></p>`;
}

/** What a form leaves empty was not asked. */
export function filled(query: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(query).filter(([, value]) => value !== ''));
}

/** The tenant that is looked at: the one asked for, or the one of the short URLs, or the first. */
export function tenantIn(query: Readonly<Record<string, unknown>>, { tenants }: Settings): string {
  const first = tenants.find(({ id }) => id === 'default') ?? tenants[0];
  return String(query.tenant ?? first?.id);
}

/** What a form sends has no offset, and no seconds where they are zero. */
export function utc(text: string): string {
  if (/T\d\d:\d\d$/.test(text)) return `${text}:00Z`;
  return /T\d\d:\d\d:\d\d(\.\d+)?$/.test(text) ? `${text}Z` : text;
}
