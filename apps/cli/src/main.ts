#!/usr/bin/env node
/** The `pinfold` command: reads the command line, runs a command, turns errors into exit codes. */
import { readFileSync } from 'node:fs';
import { InputError } from '@pinfold/base';
import { Command, CommanderError } from 'commander';
import { addBench } from './commands/bench.ts';
import { throwUsageErrors } from './usage-error.ts';

/** Exit code for what a user wrote wrong. */
const EXIT_USAGE = 2;
/** Exit code for what should not have happened. */
const EXIT_FAILURE = 1;

/** The command with all its subcommands. */
function pinfold(): Command {
  const manifest = JSON.parse(
    readFileSync(new URL('../package.json', import.meta.url), 'utf8'),
  ) as { version: string; description: string };
  const program = new Command('pinfold')
    .description(manifest.description)
    .version(manifest.version)
    .helpCommand(false);
  throwUsageErrors(program);
  addBench(program);
  return program;
}

/** Runs the command line. */
function run(args: readonly string[]): void {
  const program = pinfold();
  if (args.length === 0) program.outputHelp();
  else program.parse(args, { from: 'user' });
}

/** Reports an error on stderr; returns the exit code. */
function report(error: unknown): number {
  // --help and --version end with such an "error".
  if (error instanceof CommanderError) return error.exitCode;
  if (error instanceof InputError) {
    process.stderr.write(`pinfold: ${onOneLine(error.message)}\n`);
    return EXIT_USAGE;
  }
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  process.stderr.write(`${text}\n`);
  return EXIT_FAILURE;
}

/** What a user wrote may hold line breaks and control characters. */
function onOneLine(text: string): string {
  return text.replace(/[\p{Cc}\u2028\u2029]/gu, (char) => {
    return `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`;
  });
}

// A reader that has seen enough, such as `head`, is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  process.exitCode = error.code === 'EPIPE' ? 0 : report(error);
});

try {
  run(process.argv.slice(2));
} catch (error) {
  process.exitCode = report(error);
}
