/**
 * Level state: what the step returned and what it left behind, the IOMMU page table apart.
 *
 * The program reports 0 for `info` whatever the ioctl returns: what it read says whether it worked.
 * Frames of pinned pages are compared where the pass shows layouts; elsewhere, only which are there.
 *
 * Where the pass shows no layout and the kernel's algorithm pins some pages twice (6.12), only the
 * difference of pins taken and dropped is compared: how often that happens follows from the layout.
 *
 * @source recordings README, "Kernel differences seen in the recordings"
 */
import { kernelVersion } from '@pinfold/kernels';
import type { IommuInfo, LayoutExtent, Observation, KnownLayouts } from '@pinfold/scenario';
import { diff, MAX_DIFFERENCES, type Difference } from './differences.ts';
import type { Recording } from '../recording/recording.ts';
import { compareRegion } from './layout.ts';
import type { ComparedStep, Level } from './level.ts';
import { compareMessages, recordsMessages } from './messages.ts';

type Extents = readonly LayoutExtent[];

/** The model's layout that was compared last with a recorded one: most steps leave both. */
const compared = new WeakMap<Extents, { model: Extents; differences: Difference[] }>();

/** The fields of a step that are compared as they are. */
const FIELDS = [
  ...(['size_out', 'avail', 'memlock', 'ext', 'bitmap'] as const),
  ...(['device_opened', 'iova_out', 'ioas', 'val', 'num', 'align', 'ranges', 'child_mm'] as const),
  ...(['rets', 'data', 'held', 'notify', 'notify_total'] as const),
] as const;

function compare({ recording, recorded, model, hasLayout }: ComparedStep): Difference[] {
  const [kernel, shown] = [recorded.shown, model.shown];
  const place = kernel.op === 'mmap' ? (['va', 'size'] as const) : [];
  const result = kernel.op === 'info' ? [] : (['ret', 'errno'] as const);
  // The first recordings do not say what a file of sysfs contains.
  const file = kernel.after === undefined ? [] : (['after'] as const);
  const names = [...result, ...FIELDS, ...place, ...file];
  return [
    ...names.flatMap((name) => diff(name, kernel[name], shown[name])),
    ...diff('pfns', pfnsOf(kernel, hasLayout), pfnsOf(shown, hasLayout)),
    ...(recordsMessages(recording) ? compareMessages(kernel, shown) : []),
    ...diff('mm.VmLck', kernel.mm.VmLck, shown.mm.VmLck),
    ...(shown.mm.VmPin === undefined ? [] : diff('mm.VmPin', kernel.mm.VmPin, shown.mm.VmPin)),
    ...(shown.mm.UserLck === undefined
      ? []
      : diff('mm.UserLck', kernel.mm.UserLck, shown.mm.UserLck)),
    ...comparePins(kernel, shown, hasLayout || !repins(recording)),
    ...diff('info', withoutArgsz(kernel.info), withoutArgsz(shown.info)),
    ...(hasLayout ? compareLayouts(recorded.layout, model.layout) : []),
  ].slice(0, MAX_DIFFERENCES);
}

/** The page array; without frames, only which entries are NULL. */
function pfnsOf({ pfns }: Observation, frames: boolean): unknown {
  if (!pfns || frames) return pfns;
  return pfns.flatMap(([, pfn, count]) => new Array<boolean>(count).fill(pfn !== null));
}

/** Whether the kernel's pin algorithm pins some pages twice, depending on the layout. */
function repins({ kernel }: Recording): boolean {
  return kernelVersion(kernel).type1.pinAlgorithm.repins;
}

function comparePins(kernel: Observation, model: Observation, exact: boolean): Difference[] {
  if (exact) return diff('pins', pinsOf(kernel), pinsOf(model));
  const net = ({ pins }: Observation): number => pins.acquired - pins.released;
  return diff('pins.acquired - pins.released', net(kernel), net(model));
}

function pinsOf({ pins: { acquired, released } }: Observation): unknown {
  return { acquired, released };
}

/** The recorded argsz is that of the program's buffer. */
function withoutArgsz(info: IommuInfo | undefined): unknown {
  if (!info) return undefined;
  const { flags, pgsizes, caps } = info;
  return { flags, pgsizes, caps };
}

function compareLayouts(recorded: KnownLayouts, model: KnownLayouts): Difference[] {
  const names = new Set([...recorded.keys(), ...model.keys()]);
  return [...names].flatMap((name) => {
    const [kernel, other] = [recorded.get(name) ?? NONE, model.get(name) ?? NONE];
    const last = compared.get(kernel);
    if (last?.model === other) return last.differences;
    const differences = compareRegion(name, kernel, other);
    compared.set(kernel, { model: other, differences });
    return differences;
  });
}

const NONE: Extents = [];

/** Level state. */
export const state: Level = {
  name: 'state',
  summary: 'result, VmLck, pins, capabilities, dirty bitmap, layout, external pins, warnings',
  needsLayout: false,
  applies: () => true,
  compare,
};
