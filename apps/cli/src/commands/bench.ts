/** `pinfold bench`: the unit test vfio-pci-mem-dma-map on the model. */
import {
  backings as allBackings,
  backingsFor,
  benchMemDmaMap,
  checkSize,
  contender,
  layoutName,
  layoutNames,
  ownContender,
  profile,
  reportText,
  unitTestText,
  type Backing,
  type BenchSpec,
  type LayoutName,
  type Profile,
} from '@pinfold/bench';
import { kernelVersion, kernelVersions } from '@pinfold/kernels';
import type { Command, Option } from 'commander';
import { algorithmsOfFiles, filesOptions, releaseOfBase } from '../algorithm-flags.ts';
import { flag, forFlag, list } from '../flags.ts';
import {
  backingsOption,
  failureOf,
  formatOptions,
  iommuOption,
  measureAndPrint,
  repeatOption,
  sizeOption,
  type FormatFlags,
} from '../measuring.ts';
import { checkProfileIommu, profileOption } from '../profile-flag.ts';
import { throwUsageErrors } from '../usage-error.ts';

/** The profile of the lines of the unit test, unless another is asked for. */
const UNIT_TEST_PROFILE = 'li-zhe-2025';

/** The published unit test makes ten rounds. */
const PUBLISHED_REPEAT = 10;

/** The command's flags, read. */
interface BenchFlags extends FormatFlags {
  readonly size: number;
  readonly backing?: readonly Backing[];
  readonly kernel: readonly string[];
  readonly layout: LayoutName;
  readonly repeat: number;
  readonly iommu?: string;
  readonly profile?: Profile;
  readonly file?: readonly string[];
  readonly patience: number;
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
        'the time of the model, and published times of real kernels. A file is measured beside ' +
        'what it is a difference against: a release, or an algorithm in the last one of --kernel.',
    )
    .addOption(sizeOption())
    .addOption(backingsOption(' (default: all that suit --size)'))
    .addOption(kernelList())
    .addOption(layout())
    .addOption(iommuOption())
    .addOption(repeatOption(PUBLISHED_REPEAT))
    .addOption(profileOption('nothing is predicted'));
  for (const option of [...filesOptions(), ...formatOptions(['unit-test'])])
    command.addOption(option);
  command.action(bench);
  throwUsageErrors(command);
}

/** The releases before and after the large-folio series, which published figures compare. */
const BEFORE_AND_AFTER = ['6.16', '6.18'];

function kernelList(): Option {
  const series = kernelVersions.map((version) => version.series);
  const description =
    `a comma list of ${series.join(',')}, point releases such as 6.18.15, ` +
    'or pin algorithms (pinfold list algorithms), which run in 6.18';
  return flag('--kernel <list>', description, (text, place) =>
    list(text, (item) => {
      forFlag(place, item, contender);
      return item;
    }),
  ).default(BEFORE_AND_AFTER, BEFORE_AND_AFTER.join(','));
}

function layout(): Option {
  const description = `how 4 KiB pages lie in memory: ${layoutNames.join(' or ')}`;
  return flag('--layout <name>', description, layoutName).default(layoutNames[0], layoutNames[0]);
}

/** The kernels and algorithms to be measured; each file behind what it is a difference against. */
async function contendersOf(
  { kernel: asked, file, patience }: BenchFlags,
  command: Command,
): Promise<BenchSpec['kernels']> {
  const releases = asked.filter((name) => /^\d/.test(name));
  const otherwise = releases.at(-1) ?? BEFORE_AND_AFTER[1];
  const own = await algorithmsOfFiles(file, otherwise, patience);
  if (own.length === 0) return asked;
  const contenders = own.map((algorithm) => ownContender(algorithm, otherwise));
  const bases = own.map((algorithm) => {
    const { name } = algorithm.base ?? algorithm;
    return releaseOfBase(algorithm) ?? (isOf(otherwise, name) ? otherwise : name);
  });
  const kernels = command.getOptionValueSource('kernel') === 'default' ? [] : asked;
  return [...new Set([...kernels, ...bases]), ...contenders];
}

/** Whether an algorithm is that of a release. */
function isOf(release: string, algorithm: string): boolean {
  return kernelVersion(release).type1.pinAlgorithm.name === algorithm;
}

async function bench(flags: BenchFlags, command: Command): Promise<void> {
  const { size: bytes, layout, repeat, iommu } = flags;
  const kernels = await contendersOf(flags, command);
  const backings = flags.backing ?? backingsFor(bytes);
  const leftOut = flags.backing ? [] : allBackings.filter((one) => !backings.includes(one));
  const { profile: asked } = flags;
  const costs = asked ?? (flags.format === 'unit-test' ? profile(UNIT_TEST_PROFILE) : undefined);
  const spec: BenchSpec = {
    bytes,
    backings,
    kernels,
    layout,
    repeat,
    leftOut,
    profile: costs,
    iommu,
  };
  checkProfileIommu(costs, iommu);
  checkSize(spec, process.availableMemory(), '--size');
  const text = flags.format === 'unit-test' ? unitTestText : reportText;
  measureAndPrint(flags, (host) => benchMemDmaMap(spec, { ...host, failureOf }), text);
  if (!flags.json && flags.format === 'text') process.stdout.write(GO_ON);
}

/** Below the report for a terminal: what to do next. */
const GO_ON = `
Go on with:
  pinfold compare --size 1G                   the same patch by patch
  pinfold bench --size 1G --layout scattered  4 KiB pages of which no two are adjacent
  pinfold list operations                     what a scenario for 'pinfold run' may contain
`;
