/**
 * The machine that a scenario is run on where nobody has said which: that of the recordings, made as
 * large as the scenario needs. A host that has the memory, or a device that has the BAR, is what the
 * writer of a scenario means; what was assumed is said with every answer.
 */
import { formatSize, X86_64 } from '@pinfold/base';
import {
  evaluate,
  joinMachineLines,
  parseExpression,
  type MachineBar,
  type MachineLine,
  type Step,
} from '@pinfold/scenario';
import type { GuestScenario } from '../operations/guest-scenario.ts';
import { HUGE_ORDERS } from '../process/huge-orders.ts';
import { factsOfLine } from './facts-of-line.ts';
import {
  DEFAULT_MACHINE,
  GUEST_IOMMU,
  unitsOf,
  type MachineDescription,
} from './machine-description.ts';

const GIB = 2 ** 30;
/** Memory of a machine at most: 16 TiB. */
const MAX_MEMORY = 2 ** 44;
/** What the kernel and page tables need besides the memory that a scenario maps. */
const OWN_MEMORY = GIB;
/** BARs up to this are those of the recordings' devices, whose ends scenarios try. */
const LARGEST_BAR = GIB;
/** Names that scenarios have for devices of no-IOMMU groups. */
const NO_IOMMU_DEVICE = /^noiommu[-_]?(\d*)$/;

/** A machine, and what was assumed of it. */
export interface AssumedMachine {
  /** The facts to replace in {@link DEFAULT_MACHINE}. */
  readonly facts: Partial<MachineDescription>;
  /** One line on the machine as a whole. */
  readonly summary: string;
  /** Whether the user has said nothing of it. */
  readonly isAssumed: boolean;
  /** What was made larger or added because a step needs it; empty where nothing was. */
  readonly fitted: readonly string[];
}

/**
 * The machine of a scenario.
 *
 * @param scenario the scenario, with its `machine` line
 * @param host what is said of the machine besides, such as a host file; the scenario's line counts more
 * @returns its facts, and what was assumed
 * @throws {InputError} when something is said of it that no machine of the model can have
 */
export function assumedMachine(scenario: GuestScenario, host: MachineLine = {}): AssumedMachine {
  const said = joinMachineLines(host, scenario.machine);
  const { line, fitted } = fittedTo(scenario, said);
  const facts = factsOfLine(line, DEFAULT_MACHINE);
  const memorySaid = said.memory !== undefined || said.bytes !== undefined;
  return {
    facts: { ...facts, memoryIsAssumed: !memorySaid },
    summary: summaryOf({ ...DEFAULT_MACHINE, ...facts }),
    isAssumed: Object.keys(said).length === 0,
    fitted,
  };
}

/** A line, with what the steps of a scenario need besides. */
function fittedTo(
  { steps }: GuestScenario,
  said: MachineLine,
): { line: MachineLine; fitted: string[] } {
  const fitted: string[] = [];
  const extra: { -readonly [Key in keyof MachineLine]: MachineLine[Key] } = {};
  const bytes = said.memory || said.bytes !== undefined ? undefined : memoryFor(steps);
  if (bytes !== undefined) {
    extra.bytes = bytes;
    fitted.push(`${sizeText(bytes)} of memory`);
  }
  const bars = barsFor(steps, said);
  if (bars.length > 0) extra.bars = bars;
  for (const { dev, bar, bytes: size } of bars)
    fitted.push(`BAR ${bar} of ${dev} with ${sizeText(size)}`);
  const groups = noIommuGroupsFor(steps, said);
  if (groups.length > 0) {
    extra.groups = groups;
    const param = 'enable_unsafe_noiommu_mode';
    if (said.params?.[param] === undefined) {
      extra.params = { [param]: 'Y' };
      fitted.push(`vfio.${param}=Y`);
    }
    for (const { name, devices } of groups) fitted.push(`group ${name} of ${devices.join(', ')}`);
  }
  return { line: joinMachineLines(said, extra), fitted };
}

/** Memory that the steps' regions take, with room for the kernel; undefined if the default has it. */
function memoryFor(steps: readonly Step[]): number | undefined {
  const [have, used] = [
    DEFAULT_MACHINE.memory.reduce((sum, { npage }) => sum + npage, 0) * X86_64.pageSize,
    Object.entries(DEFAULT_MACHINE.hugepages).reduce(
      (sum, [order, pages]) => sum + pages * 2 ** Number(order) * X86_64.pageSize,
      0,
    ),
  ];
  let wanted = 0;
  for (const { op, arguments: written } of steps) {
    if (op !== 'mmap' || written.of !== undefined) continue;
    if (HUGE_ORDERS[written.kind] !== undefined || written.kind === 'bar') continue;
    const size = sizeIn(written.size);
    // What no machine has, the kernel is asked for on purpose.
    if (size <= MAX_MEMORY) wanted += size;
  }
  const needed = wanted + wanted / 32 + OWN_MEMORY + used;
  if (wanted + used <= have || needed > MAX_MEMORY) return undefined;
  return 2 ** Math.ceil(Math.log2(needed));
}

/** BARs that steps map beyond what any device of the default machine has. */
function barsFor(steps: readonly Step[], said: MachineLine): MachineBar[] {
  const wanted = new Map<string, MachineBar>();
  for (const { op, arguments: written } of steps) {
    if (op !== 'mmap' || written.kind !== 'bar') continue;
    const { dev, bar: number = '0' } = written;
    const bar = sizeIn(number);
    if (said.bars?.some((one) => one.dev === dev && one.bar === bar)) continue;
    const end = sizeIn(written.off ?? '0') + sizeIn(written.size);
    if (end <= LARGEST_BAR || end > MAX_MEMORY) continue;
    const bytes = 2 ** Math.ceil(Math.log2(end));
    const key = `${dev}.${bar}`;
    if ((wanted.get(key)?.bytes ?? 0) < bytes) wanted.set(key, { dev, bar, bytes });
  }
  return [...wanted.values()];
}

/** Groups of devices that a scenario calls as no-IOMMU groups are called. */
function noIommuGroupsFor(
  steps: readonly Step[],
  said: MachineLine,
): NonNullable<MachineLine['groups']>[number][] {
  const names = new Set(steps.map(({ arguments: { dev } }) => dev));
  const known = new Set(said.groups?.flatMap(({ devices }) => devices));
  return [...names].flatMap((name: string | undefined) => {
    const [, number] = NO_IOMMU_DEVICE.exec(name ?? '') ?? [];
    if (name === undefined || number === undefined || known.has(name)) return [];
    return [{ name: `noiommu-${number || 0}`, devices: [name], hostDriven: [] }];
  });
}

/** A size as a step writes it; 0 where it depends on regions. */
function sizeIn(text: string | undefined): number {
  if (text === undefined || !/^(?:0x[\da-f]+|\d+)[KMGTP]?$/i.test(text)) return 0;
  try {
    return Number(evaluate(parseExpression(text, 'size'), new Map(), 'size'));
  } catch {
    return 0;
  }
}

/** A machine in one line. */
function summaryOf(facts: MachineDescription): string {
  const { memory, geometry, hugepages, memlock, privileged = true } = facts;
  const bytes = memory.reduce((sum, { npage }) => sum + npage, 0) * geometry.pageSize;
  const [unit] = unitsOf({ [GUEST_IOMMU]: facts.iommus[GUEST_IOMMU] }).values();
  const pools = Object.entries(hugepages)
    .filter(([, pages]) => pages > 0)
    .map(([order, pages]) => `${pages}x${formatSize(2 ** Number(order) * geometry.pageSize)}`);
  const limit = memlock === Infinity ? 'unlimited' : formatSize(memlock);
  return [
    sizeText(bytes),
    `${unit.kind} ${unit.addressWidth} bits`,
    `pools ${pools.join(' ') || 'empty'}`,
    privileged ? 'root' : 'no CAP_IPC_LOCK',
    `memlock ${limit}`,
  ].join(', ');
}

function sizeText(bytes: number): string {
  return formatSize(bytes).replace(/[KMGT]$/, (unit) => ` ${unit}iB`);
}
