/** `pinfold replay`: runs what a log or a trace tells on the model, and says what went wrong. */
import { InputError } from '@pinfold/base';
import { recipes, replayLog, type Backing, type Log, type Replay } from '@pinfold/replay';
import { Argument, Option, type Command } from 'commander';
import { print } from '../output.ts';
import { checkOutput } from '../read-file.ts';
import { readLogs } from '../read-log.ts';
import { replayText } from '../replay-text.ts';
import { seedOption } from '../scenario-input.ts';
import { StatusLine } from '../status-line.ts';
import { throwUsageErrors } from '../usage-error.ts';
import { replaceFile } from '../write-file.ts';

/** Format of the JSON. */
const FORMAT = 'pinfold-replay/1';
const BACKINGS = ['anon', 'thp', 'huge2m', 'huge1g', 'memfd', 'memfd2m', 'memfd1g', 'file', 'bar'];

/** The command's flags, read. */
interface ReplayFlags {
  readonly kernel?: string;
  readonly backing?: Backing;
  readonly seed: number;
  readonly scenario?: string;
  readonly json?: boolean;
  readonly recipe?: string;
}

/**
 * Adds the command.
 *
 * @param program the program
 */
export function addReplay(program: Command): void {
  const command = program
    .command('replay')
    .summary('run what a log or trace tells, and say what went wrong')
    .description(
      'Reads logs and traces of DMA mappings as they are, several kinds mixed if need be: strace, ' +
        "QEMU's messages and traces, dmesg, DPDK, SPDK, cloud-hypervisor, libvirt, files of /proc " +
        'and /sys, and the output of the recipes. Runs their calls on the model, and says what ' +
        'failed or went silently wrong, why, and what to change; then the DMA map and the locked ' +
        'memory call by call. What the log does not say is assumed, and said.',
    )
    .addArgument(new Argument('[files...]', 'the logs, or - for standard input'))
    .option('--kernel <release>', 'release, as of uname -r; default that of the log, or the newest')
    .addOption(
      new Option('--backing <kind>', 'memory that no mmap in the log has made').choices(BACKINGS),
    )
    .addOption(seedOption())
    .option('--scenario <file>', "write the scenario that the log became, for 'pinfold run'")
    .option('--json', 'print it as JSON')
    .addOption(
      new Option('--recipe <name>', 'print how to record what is missing in a log').choices(
        recipes.map(({ name }) => name),
      ),
    )
    .addHelpText(
      'after',
      '\nExamples:\n' +
        '  pinfold replay qemu.log dmesg.txt\n' +
        '  strace -f -y -T -o trace dpdk-testpmd; pinfold replay --scenario t.scn trace\n' +
        '  pinfold replay --recipe bpftrace > vfio.bt',
    )
    .action(replay);
  throwUsageErrors(command);
}

async function replay(files: readonly string[], flags: ReplayFlags): Promise<void> {
  if (flags.recipe !== undefined) {
    print(recipes.find(({ name }) => name === flags.recipe)?.text ?? '');
    return;
  }
  if (files.length === 0) throw new InputError('replay', 'a log, or - for standard input', 'none');
  if (flags.scenario !== undefined) checkOutput('--scenario', flags.scenario, files);
  const status = new StatusLine(process.stderr);
  const show = (what: string): void => {
    status.show(what);
  };
  try {
    const log = readLogs(files, show);
    const { kernel, backing, seed } = flags;
    const done = await replayLog(log, {
      ...{ seed, onProgress: show },
      ...(kernel !== undefined && { kernel }),
      ...(backing !== undefined && { backing }),
    });
    status.clear();
    print(flags.json ? json(log, done) : replayText(log, done));
    if (flags.scenario !== undefined) replaceFile(flags.scenario, done.scenario);
  } finally {
    status.clear();
  }
}

function json(log: Log, { scenario, mappings, ...replay }: Replay): string {
  const hex = (value: bigint): string => `0x${value.toString(16)}`;
  const { lines, foreign, malformed, said } = log;
  const result = {
    format: FORMAT,
    log: {
      ...{ lines, foreign, formats: Object.fromEntries(log.formats), malformed, facts: said },
      missing: Object.fromEntries(log.missing),
    },
    ...replay,
    mappings: mappings.map(({ iova, va, size, at }) => ({
      ...{ iova: hex(iova), va: hex(va), size: hex(size), at },
    })),
    scenario: scenario.split('\n').slice(0, -1),
  };
  return `${JSON.stringify(result, null, 2)}\n`;
}
