/** What `generate/results.ts` has written. */
import type { resultCommands } from './commands.ts';

const files = import.meta.glob<{ readonly default: unknown }>('../../generated/*.json', {
  eager: true,
});

/**
 * What a command has printed.
 *
 * @param name which one
 * @returns its JSON
 * @throws {Error} when it was not run: `turbo run results` does
 */
export function figuresOf(name: keyof typeof resultCommands): unknown {
  const file = files[`../../generated/${name}.json`];
  if (!file) throw new Error(`there is no ${name}.json: turbo run results --filter=docs`);
  return file.default;
}
