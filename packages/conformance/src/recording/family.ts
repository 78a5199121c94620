/**
 * The family of a scenario: what it is about.
 *
 * @source recordings README, "Directories"
 */
import type { Recording } from './recording.ts';

/** Folders that are a family of their own. */
const FOLDERS =
  /^(access|aw39|compat-dev|compat-lazy|defects|extpin|icount|iofd|late|more-hang|more|random2|random|timing|type1-72)(?:-|$)/;

/**
 * The family of a recording: its folder's where that says it, else the leading letters of the
 * scenario's name.
 *
 * @param recording the recording
 * @param file its file, with folders if they are known
 * @returns for example `b`, `u`, `aw39`, `random`
 */
export function familyOf(recording: Pick<Recording, 'scenario' | 'aw_bits'>, file = ''): string {
  const folder = file.split(/[\\/]/).at(-2) ?? '';
  const known = FOLDERS.exec(folder)?.[1];
  if (known) return known;
  if (recording.aw_bits === 39) return 'aw39';
  if (/^(?:r|rnd|random)\d/.test(recording.scenario)) return 'random';
  return /^[a-z]+/i.exec(recording.scenario)?.[0].toLowerCase() ?? 'other';
}

/** What the scenarios of each family are about. */
const SUMMARIES: Readonly<Record<string, string>> = {
  access: 'iommufd: in-kernel users that pin pages',
  aw39: 'an IOMMU of 39 bits',
  'compat-dev': 'the VFIO container served by iommufd',
  'compat-lazy': 'the same, with no device open: nothing is attached',
  b: 'kinds of memory: 4 KiB pages, THP, hugetlb, memfds, files',
  d: 'dirty logging',
  defects: 'charges of external pins where the kernel goes wrong',
  e: 'errors and limits',
  extpin: 'emulated devices, which pin pages themselves',
  i: 'GET_INFO and extensions',
  icount: 'times by counted instructions',
  iofd: 'iommufd: memory, files, dma-bufs, limits, domains, processes',
  late: 'files closed twice, BARs that keep their device, attaches, THP settings',
  m: 'module parameters',
  more: 'copy on write, memory that changes under a mapping, ends of sizes, values, limits',
  'more-hang': 'maps that may never return',
  p: 'peer to peer: mappings of BARs',
  random: 'random sequences',
  random2: 'random sequences, with more kinds of steps',
  s: 'sizes and alignment',
  timing: 'times of maps and unmaps',
  'type1-72': 'type1 of the kernel that was built with iommufd',
  u: 'unmaps',
  v: 'type1 v1',
};

/**
 * What the scenarios of a family are about.
 *
 * @param family as {@link familyOf} has it
 * @returns a few words; undefined for one that the program does not know
 * @source recordings README, "Directories"; README-more; README-extpin
 */
export function familySummary(family: string): string | undefined {
  return Object.hasOwn(SUMMARIES, family) ? SUMMARIES[family] : undefined;
}
