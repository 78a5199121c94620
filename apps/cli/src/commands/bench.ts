/** `pinfold bench`: the unit test vfio-pci-mem-dma-map on the model. */
import { parseSize } from '@pinfold/base';
import {
  backing,
  backings,
  benchMemDmaMap,
  checkSize,
  layoutName,
  layoutNames,
  reportJson,
  reportText,
  type Backing,
  type BenchReport,
  type BenchSpec,
  type LayoutName,
} from '@pinfold/bench';
import { kernelVersion, kernelVersions } from '@pinfold/vfio-type1';
import { Option, type Command } from 'commander';
import { count, forFlag, list } from '../flags.ts';
import { StatusLine } from '../status-line.ts';
import { throwUsageErrors } from '../usage-error.ts';

/** The published unit test makes ten rounds. */
const DEFAULT_REPEAT = 10;
const MAX_REPEAT = 10_000;

/** The command's flags, read. */
interface BenchFlags {
  readonly size: number;
  readonly backing: readonly Backing[];
  readonly kernel: readonly string[];
  readonly layout: LayoutName;
  readonly repeat: number;
  readonly json?: boolean;
}

/**
 * Adds the command.
 *
 * @param program the program
 */
export function addBench(program: Command): void {
  const command = program
    .command('bench')
    .summary('map and unmap memory on several kernels, with counts and times')
    .description(
      'Runs the unit test vfio-pci-mem-dma-map on the model: one VFIO_IOMMU_MAP_DMA and one ' +
        'VFIO_IOMMU_UNMAP_DMA of populated memory, per backing and kernel. Shows operation counts, ' +
        'the time of the model, and published times of real kernels.',
    )
    .addOption(size())
    .addOption(backingList())
    .addOption(kernelList())
    .addOption(layout())
    .addOption(repeat())
    .option('--json', 'print all counters and times as JSON')
    .action(bench);
  throwUsageErrors(command);
}

/** The releases before and after the large-folio series, which published figures compare. */
const BEFORE_AND_AFTER = ['6.16', '6.18'];

function size(): Option {
  const option = flag('--size <size>', 'size of the mapping, such as 512M, 16G or 1T', parseSize);
  return option.default(16 * 2 ** 30, '16G');
}

function backingList(): Option {
  const names = backings.map(({ name }) => name).join(',');
  return flag('--backing <list>', `what the memory is: a comma list of ${names}`, (text, place) =>
    list(text, (item) => backing(item, place)),
  ).default(backings, 'all');
}

function kernelList(): Option {
  const series = kernelVersions.map((version) => version.series);
  const description = `a comma list of ${series.join(',')} or point releases such as 6.18.15`;
  return flag('--kernel <list>', description, (text, place) =>
    list(text, (item) => {
      forFlag(place, item, kernelVersion);
      return item;
    }),
  ).default(BEFORE_AND_AFTER, BEFORE_AND_AFTER.join(','));
}

function layout(): Option {
  const description = `how 4 KiB pages lie in memory: ${layoutNames.join(' or ')}`;
  return flag('--layout <name>', description, layoutName).default(layoutNames[0], layoutNames[0]);
}

function repeat(): Option {
  const description = `repetitions of map and unmap, 1 to ${MAX_REPEAT}`;
  return flag('--repeat <n>', description, (text, place) => count(text, place, MAX_REPEAT)).default(
    DEFAULT_REPEAT,
  );
}

/** An option whose reader gets the flag, for messages. */
function flag(
  flags: string,
  description: string,
  read: (text: string, place: string) => unknown,
): Option {
  const option = new Option(flags, description);
  return option.argParser((text) => read(text, option.long ?? flags));
}

function bench(flags: BenchFlags): void {
  const { size: bytes, backing: backings, kernel: kernels, layout, repeat } = flags;
  const spec: BenchSpec = { bytes, backings, kernels, layout, repeat };
  checkSize(spec, process.availableMemory(), '--size');
  const report = run(spec);
  process.stdout.write(
    flags.json ? reportJson(report) : reportText(report, process.stdout.columns),
  );
}

/** Runs a bench, with its progress on stderr. */
function run(spec: BenchSpec): BenchReport {
  const status = new StatusLine(process.stderr);
  try {
    return benchMemDmaMap(spec, {
      clock: () => performance.now(),
      onProgress: (step) => status.show(step),
    });
  } finally {
    status.clear();
  }
}
