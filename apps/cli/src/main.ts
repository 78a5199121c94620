#!/usr/bin/env node
/** The `pinfold` command: reads the command line, runs a command, turns errors into exit codes. */
import { Command } from 'commander';
import { addBench } from './commands/bench.ts';
import { addCalibrate } from './commands/calibrate.ts';
import { addCheck } from './commands/check.ts';
import { addCompare } from './commands/compare.ts';
import { addEstimate } from './commands/estimate.ts';
import { addExec } from './commands/exec.ts';
import { addExplain } from './commands/explain.ts';
import { addHelp } from './commands/help.ts';
import { addList } from './commands/list.ts';
import { addNewAlgorithm } from './commands/new-algorithm.ts';
import { addReplay } from './commands/replay.ts';
import { addReview } from './commands/review.ts';
import { addRun } from './commands/run.ts';
import { addVerify } from './commands/verify.ts';
import { manifest } from './manifest.ts';
import { endWithOwnCode } from './own-code.ts';
import { reportError, reportOutputError } from './report-error.ts';
import { throwUsageErrors } from './usage-error.ts';

/** Below the list of commands: where to begin. */
const START_HERE = `
Start here:
  pinfold bench --size 1G        map and unmap 1 GiB on 6.16 and 6.18, and count
  pinfold compare --size 64M     the same patch by patch
  pinfold list operations        what a scenario for 'pinfold run' may contain`;

/** The command with all its subcommands. */
function pinfold(): Command {
  const { version, description } = manifest();
  const program = new Command('pinfold')
    .description(description)
    .version(version)
    .helpCommand(false)
    .addHelpText('after', START_HERE);
  throwUsageErrors(program);
  addRun(program);
  addExplain(program);
  addReplay(program);
  addVerify(program);
  addBench(program);
  addCheck(program);
  addCompare(program);
  addReview(program);
  addEstimate(program);
  addCalibrate(program);
  addExec(program);
  addList(program);
  addNewAlgorithm(program);
  addHelp(program);
  return program;
}

/** Runs the command line. */
async function run(args: readonly string[]): Promise<void> {
  const program = pinfold();
  if (args.length === 0) program.outputHelp();
  else await program.parseAsync(args, { from: 'user' });
}

process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  process.exitCode = reportOutputError(error);
});

try {
  await run(process.argv.slice(2));
} catch (error) {
  process.exitCode = reportError(error);
}
endWithOwnCode();
