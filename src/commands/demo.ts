/** `universal-logout demo`: a stand-in for Okta, two real apps, and a revocation that signs one person out of both. */
import { CommandError } from './command-error.js';

/** Throws a CommandError where the demo's own packages are missing: they are there for development only. */
export async function demo(options: { once?: boolean }): Promise<void> {
  const { runDemo } = await import('./demo/run.js').catch((error: Error & { code?: string }) => {
    const isPackage = error.code === 'ERR_MODULE_NOT_FOUND' && error.message.startsWith('Cannot find package');
    if (!isPackage) throw error;
    throw new CommandError('The demo runs from a checkout of the repository only: run `npm run demo` there.');
  });
  await runDemo(options);
}
