/** `pinfold exec`: a program runs on the model. */
import { writeFileSync } from 'node:fs';
import { InputError, parseSize } from '@pinfold/base';
import { machineOfWords, runProgram, type ProgramRun } from '@pinfold/exec';
import type { Command } from 'commander';
import { execReport, execReportJson } from '../exec-report.ts';
import { forFlag } from '../flags.ts';
import { printBeside } from '../output.ts';
import { checkOutput } from '../read-file.ts';
import { kernelOption } from '../scenario-input.ts';
import { EXIT_FAILURE } from '../report-error.ts';
import { throwUsageErrors } from '../usage-error.ts';

/** The command's flags, read. */
interface ExecFlags {
  readonly kernel: string;
  readonly machine: string;
  readonly memlock?: number;
  readonly scenario?: string;
  readonly report: 'text' | 'json' | 'none';
  readonly strict?: boolean;
}

const REPORTS = ['text', 'json', 'none'];

/**
 * Adds the command.
 *
 * @param program the program
 */
export function addExec(program: Command): void {
  const command = program
    .command('exec')
    .summary('run a program on the model, without device and without root')
    .description(
      'Runs a program as it is. What it does with /dev/vfio, and what it looks up of devices in /sys, ' +
        'is answered by the model, call by call, as the kernel would; everything else goes through ' +
        'untouched. A map takes the memory that the program really has there: which pages are ' +
        'present, and in what huge pages, comes from /proc. A preloaded library sends the calls: it ' +
        "is built by the machine's C compiler at first use (glibc on x86-64 and arm64; not for " +
        'programs that are linked statically or setuid). The report is printed on stderr, and the exit ' +
        "code is the program's.",
    )
    .usage('[options] -- <program> [arguments...]')
    .argument('<program...>', 'the program and its arguments, after --')
    .addOption(kernelOption())
    .option('--machine <words>', 'the machine, as a machine line of a scenario has it', '')
    .option(
      '--memlock <size>',
      'RLIMIT_MEMLOCK of a process without CAP_IPC_LOCK, such as 8M, or unlimited; without it the ' +
        'process may lock all memory',
      (text) =>
        text === 'unlimited'
          ? Infinity
          : forFlag('--memlock', text, (size) => parseSize(size, '--memlock')),
    )
    .option('--scenario <file>', 'write what was done as a scenario, for pinfold run and explain')
    .option(
      '--report <form>',
      'text, json or none',
      (text) => {
        if (REPORTS.includes(text)) return text;
        throw new InputError('--report', REPORTS.join(', '), `'${text}'`);
      },
      'text',
    )
    .option(
      '--strict',
      'exit code 1 if anything is left mapped or open, or a call is not modelled, although the ' +
        'program ends with 0',
    )
    .addHelpText(
      'after',
      '\nExamples:\n' +
        '  pinfold exec -- ./vfio-pci-mem-dma-map 0000:00:04.0\n' +
        '  pinfold exec --kernel 6.16 --memlock 64K --strict -- ./my-test\n' +
        "  pinfold exec --machine 'iommu=amd' --scenario run.scn -- ./my-test",
    )
    .action(exec);
  throwUsageErrors(command);
}

async function exec(words: readonly string[], flags: ExecFlags): Promise<void> {
  const [file = '', ...args] = words;
  if (flags.scenario !== undefined) checkOutput('--scenario', flags.scenario, []);
  const run = await runProgram(file, args, {
    kernel: flags.kernel,
    machine: machineOfWords(flags.machine),
    memlock: flags.memlock ?? null,
  });
  await report(run, flags);
  if (flags.scenario !== undefined) writeFileSync(flags.scenario, run.session.model.scenario());
  process.exitCode = run.exitCode;
  if (flags.strict && run.exitCode === 0 && isUnclean(run)) process.exitCode = EXIT_FAILURE;
}

/** Whether something is left, or was asked that the model does not know. */
function isUnclean({ session, leftOpen }: ProgramRun): boolean {
  const { notModelled, faults, model } = session;
  const unknown = notModelled.size > 0 || faults.length > 0 || model.fatal !== null;
  return unknown || leftOpen.length > 0 || model.leftMapped.length > 0;
}

async function report(run: ProgramRun, { report: form, kernel }: ExecFlags): Promise<void> {
  if (form === 'none') return;
  const text = form === 'json' ? await execReportJson(run, kernel) : await execReport(run, kernel);
  printBeside(text);
}
