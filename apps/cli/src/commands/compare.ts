/** `pinfold compare`: the ablation table of pin algorithms. */
import {
  checkCompare,
  compareAlgorithms,
  compareText,
  DEFAULT_BASE,
  DEFAULT_LAYOUTS,
  defaultAlgorithms,
  layout,
  layouts,
  memoriesOf,
  type Backing,
  type CompareSpec,
  type Layout,
  type Profile,
} from '@pinfold/bench';
import { kernelVersion, kernelVersions } from '@pinfold/kernels';
import { pinAlgorithm, type PinAlgorithm } from '@pinfold/vfio-type1';
import type { Command, Option } from 'commander';
import { algorithmsOfFiles, filesOptions, releaseOfBase } from '../algorithm-flags.ts';
import { flag, forFlag, list } from '../flags.ts';
import {
  backingsOption,
  formatOptions,
  failureOf,
  iommuOption,
  measureAndPrint,
  repeatOption,
  sizeOption,
  type FormatFlags,
} from '../measuring.ts';
import { checkProfileIommu, profileOption } from '../profile-flag.ts';
import { throwUsageErrors } from '../usage-error.ts';

/** The release for which the large-folio series was merged. */
const DEFAULT_KERNEL = '6.18';

/** Counts need one; scattered pages take the model seconds, and time is not the result here. */
const DEFAULT_REPEAT = 3;

/** The command's flags, read. */
interface CompareFlags extends FormatFlags {
  readonly algorithm: readonly PinAlgorithm[];
  readonly file?: readonly string[];
  readonly patience: number;
  readonly base: PinAlgorithm;
  readonly backing?: readonly Backing[];
  readonly layout?: readonly Layout[];
  readonly size: number;
  readonly kernel: string;
  readonly repeat: number;
  readonly time: boolean;
  readonly profile?: Profile;
  readonly iommu?: string;
}

/**
 * Adds the command.
 *
 * @param program the program
 */
export function addCompare(program: Command): void {
  const command = program
    .command('compare')
    .summary('pin algorithms beside each other: the ablation table of a patch series')
    .description(
      'Maps and unmaps the same memory with several pin algorithms, patch by patch, and shows in ' +
        'which operations they differ, the time of the model, gain and loss against a base, and ' +
        'what small folios pay. `pinfold list algorithms` says what there is. A file is shown beside ' +
        'what it is a difference against, and beside nothing else unless that is asked for.',
    )
    .addOption(algorithmsOption())
    .addOption(baseOption())
    .addOption(backingsOption(' (default: all that suit --layout and --size)'))
    .addOption(layoutsOption())
    .addOption(sizeOption())
    .addOption(kernelOption())
    .addOption(iommuOption())
    .addOption(repeatOption(DEFAULT_REPEAT))
    .addOption(profileOption('nothing is predicted'))
    .option('--no-time', 'leave out every time: what is left is the same on every machine');
  for (const option of [...filesOptions(), ...formatOptions()]) command.addOption(option);
  command.action(compare);
  throwUsageErrors(command);
}

function algorithmsOption(): Option {
  const defaults = defaultAlgorithms();
  return flag('--algorithm <list>', 'a comma list of pin algorithms', (text, place) =>
    list(text, (item) => forFlag(place, item, pinAlgorithm)),
  ).default(defaults, defaults.map(({ name }) => name).join(','));
}

function baseOption(): Option {
  const description = 'the pin algorithm that the others are compared with';
  return flag('--base <name>', description, (text, place) =>
    forFlag(place, text, pinAlgorithm),
  ).default(pinAlgorithm(DEFAULT_BASE), DEFAULT_BASE);
}

function layoutsOption(): Option {
  const description =
    `how the memory lies: a comma list of ${Object.keys(layouts).join(',')} ` +
    `(default: those of ${DEFAULT_LAYOUTS.join(',')} that suit --backing)`;
  return flag('--layout <list>', description, (text, place) =>
    list(text, (item) => layout(item, place)),
  );
}

function kernelOption(): Option {
  const series = kernelVersions.map((version) => version.series).join(', ');
  const description = `whose rules hold, but for the algorithm: ${series} or a point release`;
  return flag('--kernel <name>', description, (text, place) => {
    forFlag(place, text, kernelVersion);
    return text;
  }).default(DEFAULT_KERNEL, DEFAULT_KERNEL);
}

/** What is compared, and where: with files, what they are differences against, and that release. */
async function choiceOf(
  { algorithm, base, kernel, file, patience }: CompareFlags,
  command: Command,
): Promise<Pick<CompareSpec, 'algorithms' | 'base' | 'kernel'>> {
  const own = await algorithmsOfFiles(file, kernel, patience);
  if (own.length === 0) return { algorithms: algorithm, base, kernel };
  const isAsked = (name: string): boolean => command.getOptionValueSource(name) !== 'default';
  const release = own.map(releaseOfBase).find((name) => name !== null);
  return {
    algorithms: [...(isAsked('algorithm') ? algorithm : []), ...own],
    base: isAsked('base') ? base : (own[0].base?.algorithm ?? base),
    kernel: isAsked('kernel') ? kernel : (release ?? kernel),
  };
}

/** The memories that suit the flags, and the backings that only the size leaves out. */
function chosenMemories({
  backing,
  layout,
  size: bytes,
}: CompareFlags): Required<Pick<CompareSpec, 'memories' | 'leftOut'>> {
  const choice = { backings: backing, layouts: layout };
  const places = { backings: '--backing', layouts: '--layout' };
  const memories = memoriesOf({ ...choice, bytes }, places);
  const ofAnySize = memoriesOf(choice, places).map((memory) => memory.backing);
  const left = ofAnySize.filter((one) => !memories.some((memory) => memory.backing === one));
  return { memories, leftOut: [...new Set(left)] };
}

async function compare(flags: CompareFlags, command: Command): Promise<void> {
  const { size: bytes, repeat } = flags;
  const { algorithms, base, kernel } = await choiceOf(flags, command);
  const { memories, leftOut } = chosenMemories(flags);
  const { profile, iommu } = flags;
  const spec: CompareSpec = {
    ...{ algorithms, base, memories, bytes, kernel, repeat, leftOut, profile, iommu },
  };
  checkProfileIommu(profile, iommu);
  checkCompare(spec, process.availableMemory(), '--size');
  measureAndPrint(
    flags,
    (host) => compareAlgorithms(spec, { ...host, failureOf }),
    (report, style) => compareText(report, style, flags.time),
  );
}
