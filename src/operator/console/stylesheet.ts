/** The one stylesheet of the console. */
import { hash } from 'node:crypto';

export const stylesheet = `
:root {
  color-scheme: light dark;
  --page: #fff; --raised: #f5f6f8; --line: #d4d8de; --text: #1b1f24; --quiet: #57606a;
  --link: #0550ae; --good: #116329; --bad: #a40e26; --wait: #7d4e00; --stop: #5a32a3;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #0f1318; --raised: #1a2028; --line: #38414c; --text: #e4e8ed; --quiet: #a3adb8;
    --link: #7ab8ff; --good: #6fd08c; --bad: #ff9a9a; --wait: #f0c04c; --stop: #c9a8ff;
  }
}
* { box-sizing: border-box; }
html { font: 100%/1.5 system-ui, sans-serif; background: var(--page); color: var(--text); }
body { margin: 0; }
a { color: var(--link); }
:focus-visible { outline: 3px solid var(--link); outline-offset: 2px; }
.skip { position: absolute; left: -100rem; padding: 0.5rem; background: var(--page); }
.skip:focus { left: 0.5rem; top: 0.5rem; }
header { display: flex; flex-wrap: wrap; gap: 0.5rem 1.5rem; align-items: center; padding: 0.5rem 1.5rem; background: var(--raised); border-bottom: 1px solid var(--line); }
.brand { margin: 0; font-weight: 700; }
nav ul { display: flex; flex-wrap: wrap; gap: 0.25rem 1.25rem; margin: 0; padding: 0; list-style: none; }
nav a { display: block; padding: 0.25rem 0; text-decoration: none; border-bottom: 3px solid transparent; }
nav a[aria-current] { border-color: var(--link); font-weight: 600; }
.who { display: flex; flex-wrap: wrap; align-items: center; gap: 0.5rem; margin-left: auto; color: var(--quiet); font-size: 0.9rem; }
main { max-width: 84rem; margin: 0 auto; padding: 1rem 1.5rem 4rem; }
h1 { font-size: 1.5rem; margin: 0.5rem 0 1rem; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 2rem 0 0.5rem; }
.lead { font-size: 1.1rem; }
.fine, .empty, .hint { color: var(--quiet); }
.fine { font-size: 0.85rem; }
ul.figures { display: flex; flex-wrap: wrap; gap: 0.75rem; margin: 0 0 1.25rem; padding: 0; list-style: none; }
ul.figures li { flex: 0 1 auto; min-width: 8.5rem; max-width: 13rem; padding: 0.5rem 0.9rem; background: var(--raised); border: 1px solid var(--line); border-radius: 6px; }
ul.figures a { display: block; color: inherit; text-decoration: none; }
ul.figures a:hover { text-decoration: underline; }
ul.figures b { display: block; font-size: 1.5rem; line-height: 1.2; }
form.filters { display: flex; flex-wrap: wrap; gap: 0.75rem; align-items: end; margin-bottom: 1.25rem; }
label { display: grid; gap: 0.2rem; font-size: 0.9rem; color: var(--quiet); }
input, select, button { font: inherit; color: var(--text); background: var(--page); border: 1px solid var(--quiet); border-radius: 5px; padding: 0.35rem 0.6rem; min-width: 0; max-width: 100%; }
form.filters select { max-width: 12rem; }
form.filters :is(input, select, button) { height: 2.4rem; }
button { cursor: pointer; background: var(--raised); }
button:hover { border-color: var(--link); }
button.grave { background: var(--bad); border-color: var(--bad); color: var(--page); font-weight: 600; }
.button { display: inline-block; padding: 0.35rem 0.9rem; border: 1px solid var(--quiet); border-radius: 5px; background: var(--raised); text-decoration: none; }
form.act { display: inline-block; margin: 0 0.35rem 0.35rem 0; }
form.act button { font-size: 0.9rem; padding: 0.2rem 0.6rem; }
form.stack { display: grid; gap: 1rem; max-width: 26rem; justify-items: start; }
form.stack label, form.stack input { width: 100%; }
table { width: 100%; border-collapse: collapse; font-size: 0.95rem; }
caption { text-align: left; color: var(--quiet); font-size: 0.9rem; padding-bottom: 0.35rem; }
th, td { text-align: left; vertical-align: top; padding: 0.45rem 0.75rem 0.45rem 0; border-bottom: 1px solid var(--line); overflow-wrap: break-word; max-width: 24rem; }
th { font-size: 0.85rem; color: var(--quiet); font-weight: 600; white-space: nowrap; }
time, .number { font-variant-numeric: tabular-nums; }
td time { white-space: nowrap; }
code, .id { font-family: ui-monospace, monospace; font-size: 0.9em; overflow-wrap: anywhere; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 0.25rem 1.25rem; margin: 0 0 1rem; }
dt { color: var(--quiet); }
dd { margin: 0; overflow-wrap: anywhere; }
.whole { white-space: nowrap; }
td[data-label='By'] { min-width: 8rem; }
td[data-label='Do'] { white-space: nowrap; }
tr:has(:target) { background: var(--raised); }
ul.told li { margin-bottom: 0.35rem; }
.state { white-space: nowrap; font-weight: 600; }
.good { color: var(--good); } .bad { color: var(--bad); } .under-way { color: var(--wait); } .stopped { color: var(--stop); }
.unseen { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
svg.bar { display: block; width: 100%; min-width: 6rem; height: 0.6rem; background: var(--raised); border: 1px solid var(--line); border-radius: 2px; }
svg.bar rect { fill: currentColor; }
[role='alert'], .notice { padding: 0.6rem 0.9rem; border: 1px solid var(--line); border-left: 5px solid var(--wait); background: var(--raised); border-radius: 4px; }
[role='alert'] { border-left-color: var(--bad); }
details ol { margin: 0.25rem 0; padding-left: 1.5rem; }
@media (max-width: 44rem) {
  header, main { padding-left: 1rem; padding-right: 1rem; }
  .who { margin-left: 0; }
  ul.figures { display: grid; grid-template-columns: 1fr 1fr; }
  ul.figures li { max-width: none; min-width: 0; }
  form.filters { display: grid; grid-template-columns: 1fr 1fr; }
  form.filters input, form.filters select { width: 100%; max-width: none; }
  table, caption, tbody, tr, td { display: block; }
  td.none { display: none; }
  td { max-width: none; }
  .whole, td[data-label='Do'] { white-space: normal; }
  thead { position: absolute; left: -100rem; }
  tr { padding: 0.5rem 0; border-bottom: 1px solid var(--line); }
  td { display: grid; grid-template-columns: 7.5rem 1fr; gap: 0.5rem; padding: 0.15rem 0; border: 0; }
  td::before { content: attr(data-label); color: var(--quiet); font-size: 0.85rem; }
  td > div { min-width: 0; }
  dl { grid-template-columns: 1fr; gap: 0; }
  dd { margin-bottom: 0.5rem; }
}
`;

/** Another text, another address: so it may be kept for good. */
export const stylesheetPath = `/console/console.css?${hash('sha256', stylesheet).slice(0, 12)}`;
