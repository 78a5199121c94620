/** `pinfold exec`: a program runs on the model. */
import { writeFileSync } from 'node:fs';
import { InputError, parseSize } from '@pinfold/base';
import { profile } from '@pinfold/bench';
import { standInFor, standInText } from '@pinfold/kernels';
import { machineOfWords, runProgram, type ProgramRun } from '@pinfold/exec';
import type { Command } from 'commander';
import { execReport, execReportJson } from '../exec-report.ts';
import { PredictedClock } from '../predicted-clock.ts';
import { count, forFlag } from '../flags.ts';
import { printBeside } from '../output.ts';
import { checkOutput } from '../read-file.ts';
import { kernelOption } from '../scenario-input.ts';
import { wrapped } from '../table.ts';
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
  readonly clock?: string;
  readonly lazy?: boolean;
  readonly hugetlbfs?: { readonly folder: string; readonly pageBytes: number };
  readonly sysfs: readonly (readonly [path: string, value: string])[];
  readonly entryLimit?: number;
  readonly fail: readonly Failure[];
}

/** A call that shall fail. */
interface Failure {
  readonly what: 'frame' | 'gup' | 'map';
  readonly map: number;
}

const ENTRY_LIMIT = '/sys/module/vfio_iommu_type1/parameters/dma_entry_limit';
/** What can fail in a map, as the flag calls it. */
const FAILURES = { memory: 'frame', pin: 'gup', iommu: 'map' } as const;

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
      '--clock <clock>',
      'real, or predicted:PROFILE: the program sees the predicted time of each map and unmap, and ' +
        "nothing of the model's work",
      clockOf,
    )
    .option(
      '--lazy',
      "the program's own memory stays empty, and the model takes all of it for populated: for more " +
        'memory than this machine has',
    )
    .option(
      '--hugetlbfs <folder:size>',
      'a folder that looks like a hugetlbfs to the program, such as /tmp/huge:2M',
      hugetlbfsOf,
    )
    .option('--sysfs <path=value>', 'write a file of sysfs first (repeatable)', sysfsOf, [])
    .option('--entry-limit <n>', 'dma_entry_limit', (text) => count(text, '--entry-limit', 2 ** 31))
    .option(
      '--fail <what:n>',
      'the n-th VFIO_IOMMU_MAP_DMA fails: memory (a page cannot be allocated), pin or iommu ' +
        '(repeatable)',
      failureOf,
      [],
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
  const release = standInFor(flags.kernel, '--kernel');
  const isPlain = release.isExact && /^[\d.]+$/u.test(release.asked);
  const kernel = isPlain ? release.asked : release.kernel.series;
  const clock = flags.clock === undefined ? null : new PredictedClock(flags.clock, kernel);
  const run = await runProgram(file, args, {
    kernel,
    machine: machineOfWords(flags.machine),
    memlock: flags.memlock ?? null,
    sysfs: [
      ...flags.sysfs,
      ...(flags.entryLimit === undefined ? [] : [[ENTRY_LIMIT, String(flags.entryLimit)] as const]),
    ],
    failures: flags.fail,
    view: { lazy: flags.lazy ?? false, hugetlbfs: flags.hugetlbfs ?? null },
    ...(clock && { clock: (call) => clock.ns(call) }),
  });
  const remark = standInText(release);
  if (flags.report === 'text' && remark !== '') printBeside(wrapped(remark, '  ', '\n'));
  await report(run, { ...flags, kernel }, clock);
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

async function report(
  run: ProgramRun,
  { report: form, kernel }: ExecFlags,
  clock: PredictedClock | null,
): Promise<void> {
  if (form === 'none') return;
  const text =
    form === 'json'
      ? await execReportJson(run, kernel, clock)
      : await execReport(run, kernel, clock);
  printBeside(text);
}

/** Name of the profile of a predicted clock; undefined for the real one. */
function clockOf(text: string): string | undefined {
  if (text === 'real') return undefined;
  const [, name] = /^predicted:(.+)$/u.exec(text) ?? [];
  if (name === undefined) throw new InputError('--clock', 'real or predicted:PROFILE', `'${text}'`);
  profile(name, '--clock predicted:');
  return name;
}

function hugetlbfsOf(text: string): { folder: string; pageBytes: number } {
  const [, folder = '', size = ''] = /^(\/.*[^/]):([^:]+)$/u.exec(text) ?? [];
  const pageBytes = size === '2M' ? 2 ** 21 : size === '1G' ? 2 ** 30 : 0;
  if (pageBytes > 0) return { folder, pageBytes };
  throw new InputError('--hugetlbfs', 'a folder and 2M or 1G, such as /tmp/huge:2M', `'${text}'`);
}

function sysfsOf(
  text: string,
  before: readonly (readonly [string, string])[],
): (readonly [string, string])[] {
  const [, path, value] = /^(\/[^=]+)=(.+)$/u.exec(text) ?? [];
  if (path !== undefined && value !== undefined) return [...before, [path, value]];
  const expected =
    'a file and what is written, such as /sys/kernel/mm/transparent_hugepage/enabled=always';
  throw new InputError('--sysfs', expected, `'${text}'`);
}

function failureOf(text: string, before: readonly Failure[]): Failure[] {
  const [, name = '', n = ''] = /^([a-z]+):([1-9]\d{0,8})$/u.exec(text) ?? [];
  if (Object.hasOwn(FAILURES, name)) {
    return [...before, { what: FAILURES[name as keyof typeof FAILURES], map: Number(n) }];
  }
  const known = Object.keys(FAILURES).join(', ');
  throw new InputError('--fail', `one of ${known} and which map, such as pin:3`, `'${text}'`);
}
