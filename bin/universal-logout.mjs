#!/usr/bin/env node
/** Exists before the first build, so that npx links the command for good; the command itself is built into dist/. */
import { existsSync } from 'node:fs';

const main = new URL('../dist/main.js', import.meta.url);
if (existsSync(main)) {
  await import(main.href);
} else {
  process.stderr.write(
    'universal-logout is not built yet: run "npm start", "npm run demo" or "npm run build" first.\n',
  );
  process.exitCode = 1;
}
