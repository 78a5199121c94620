/** What to do about calls that failed or did something else than asked for: an advice per kind. */
import { hex } from '@pinfold/scenario';
import type { LoggedCall, LoggedMessage } from '../log/entries.ts';
import type { Advice, AdviceContext } from './context.ts';
import { amount, kib } from './sizes.ts';

type MapCall = LoggedCall & { op: 'map' };
type UnmapCall = LoggedCall & { op: 'unmap' };

/** Bytes of memory that libvirt adds to a limit for the guest itself. */
const LIBVIRT_EXTRA = 2 ** 30;

function mapOf({ call }: AdviceContext): MapCall | null {
  return call.op === 'map' ? call : null;
}

/** The messages of the log that come right after a call and belong to it. */
function says({ log, call }: AdviceContext, about: string): LoggedMessage | undefined {
  return log.messages.find(
    (message) =>
      message.about === about &&
      message.at.file === call.at.file &&
      message.at.line >= call.at.line,
  );
}

/** Whether a guest is what maps: a program with its own addresses has nothing to configure. */
function isGuest({ log, call }: AdviceContext): boolean {
  return (
    /qemu|vfio_\w*dma_map|region_add|dimm|pc\.ram/.test(call.text) || log.formats.has('QEMU trace')
  );
}

/** An iova that no page table of the IOMMU reaches, or that is reserved. */
const outside: Advice = (context) => {
  const map = mapOf(context);
  const { failure, observation, run, log } = context;
  if (!map || observation.errno !== 'EINVAL') return [];
  if (!/iova_dma_valid|iopt_|iommufd_ioas_map/.test(failure?.at ?? '')) return [];
  const end = map.iova + map.size - 1n;
  const needed = end.toString(2).length;
  const ranges = usable(run);
  const top = ranges.at(-1)?.last;
  const said: string[] = [];
  if (top !== undefined && end > top) {
    const bits = top.toString(2).length;
    said.push(
      `The IOMMU has addresses up to ${hex(top)}, which is ${bits} bits; ${hex(map.iova)} + ${amount(map.size)} needs ${needed}.`,
      isGuest(context)
        ? `Give the guest ${bits} physical address bits (QEMU: -cpu host,host-phys-bits-limit=${bits}, or phys-bits=${bits}; libvirt: <maxphysaddr mode='passthrough' limit='${bits}'/>), so that its firmware puts 64-bit BARs and memory below ${hex(top + 1n)} (${amount(top + 1n)}).`
        : `Choose iovas below ${hex(top + 1n)} (${amount(top + 1n)}).`,
    );
  } else {
    const holes = gapsOf(ranges).filter(([from, to]) => map.iova <= to && end >= from);
    const text = holes.map(([from, to]) => `${hex(from)} to ${hex(to)}`).join(', ');
    said.push(
      `Keep ${isGuest(context) ? 'guest memory and BARs' : 'iovas'} out of ${text || 'the reserved ranges'}: the IOMMU driver reserves it for this device.`,
    );
  }
  const p2p = says(context, 'p2p');
  if (p2p || regionOf(context).includes('BAR')) {
    said.push(
      'It is not fatal: QEMU goes on without the mapping, and only peer-to-peer DMA of other devices to this BAR is lost.',
    );
  } else if (log.messages.some(({ program }) => program === 'cloud-hypervisor')) {
    said.push('cloud-hypervisor: vfio_p2p_dma=off leaves BARs out.');
  }
  return said;
};

function regionOf(context: AdviceContext): string {
  return says(context, 'region')?.values?.region ?? '';
}

/** Usable ranges as the failed check saw them, or as GET_INFO gives them. */
function usable(run: AdviceContext['run']): { first: bigint; last: bigint }[] {
  for (const { observation } of run.steps) {
    const caps = observation.info?.caps ?? [];
    const ranges = caps.find(({ name }) => name === 'iova_ranges')?.ranges;
    if (!Array.isArray(ranges)) continue;
    return (ranges as [string, string][]).map(([first, last]) => ({
      first: BigInt(first),
      last: BigInt(last),
    }));
  }
  return [];
}

function gapsOf(ranges: readonly { first: bigint; last: bigint }[]): [bigint, bigint][] {
  const gaps: [bigint, bigint][] = [];
  ranges.forEach(({ first }, i) => {
    const before = i === 0 ? 0n : ranges[i - 1].last + 1n;
    if (first > before) gaps.push([before, first - 1n]);
  });
  return gaps;
}

/** A map that meets a mapping. */
const overlaps: Advice = (context) => {
  const map = mapOf(context);
  const { mapped, observation, calls } = context;
  if (!map || observation.errno !== 'EEXIST') return [];
  const met = mapped.overlapping(map.iova, map.size);
  if (met.length === 0) {
    return [
      'What it meets was mapped before the log begins, or by another user of the container: the same memory registered twice, or an old mapping that was never unmapped.',
      'If it is the same memory, the device reaches it, and the error is harmless. If the memory was replaced, the device still reaches the old pages: unmap before memory goes (SPDK vhost: unregister all regions at SET_MEM_TABLE).',
    ];
  }
  const [first] = met;
  const isSame = first.iova === map.iova && first.size === map.size;
  const range = `${hex(first.iova)} to ${hex(first.iova + first.size - 1n)}`;
  const unmaps = calls.filter(
    (call): call is UnmapCall =>
      call.op === 'unmap' &&
      call.at.line > first.at.line &&
      call.at.line < map.at.line &&
      call.iova < first.iova + first.size &&
      first.iova < call.iova + call.size,
  );
  const event = /region_add|vfio_container|vfio_dma/.test(map.text) ? 'region_del' : 'unmap';
  const said = [
    isSame && first.va === map.va
      ? `The same range is mapped already, by line ${first.at.line}, to the same memory: the device reaches it, and the error can be ignored if both are meant to be the same.`
      : `It meets the mapping of ${range} that line ${first.at.line} made${met.length > 1 ? ` (and ${met.length - 1} more)` : ''}: the device still reaches the old memory there.`,
  ];
  const empty = context.log.messages.find(
    ({ about, at, values }) =>
      about === 'unmap-size' &&
      values?.got === '0' &&
      at.line > first.at.line &&
      at.line < map.at.line,
  );
  if (empty) {
    said.push(
      `The unmap of line ${empty.at.line} found nothing (size 0): an unmap must name the whole mapping. If the program ignores both, the device writes to the old memory, and data is lost without an error: unmap exactly what was mapped (DPDK: --match-allocations, or --legacy-mem).`,
    );
  } else if (unmaps.length === 0) {
    said.push(
      `No ${event} for ${range} came between: unmap it first (the order of deletes and adds is wrong, or one is missing).`,
    );
  } else {
    said.push(
      `The unmap of line ${unmaps[0].at.line} did not remove it${unmaps[0].errno ? `: it failed with ${unmaps[0].errno}` : ' (an unmap must name the whole mapping: it returns size 0, or EINVAL, otherwise)'}.`,
    );
  }
  said.push(
    `At this point the container has ${mapped.count} mappings, and ${kibText(context)} KiB are locked.`,
  );
  return said;
};

function kibText({ observation: { mm } }: AdviceContext): string {
  return (mm.VmPin ?? mm.VmLck).toLocaleString('en-US');
}

/** A limit of locked memory. */
const overLimit: Advice = (context) => {
  const map = mapOf(context);
  const { calls, observation, failure, run, index } = context;
  if (!map || observation.errno !== 'ENOMEM') return [];
  const limit = observation.memlock;
  const isIommufd = run.steps[index].operation.op === 'ioas_map';
  if (isIommufd && !/update_pinned|rlimit/.test(failure?.at ?? '')) return [];
  if (isIommufd) return overUserLimit(context, map, limit);
  if (!/lock_acct|pin_pages_remote/.test(failure?.at ?? '')) return [];
  const first = calls.indexOf(map);
  const total = calls.reduce(
    (sum, call, i) =>
      sum + (call.op === 'map' && (i <= first || call.errno === null) ? call.size : 0n),
    0n,
  );
  const allowed = limit === null ? 'unlimited' : amount(limit);
  return [
    `To lock in all, up to this map: ${amount(total)}, ${kib(total)} KiB; this map alone ${amount(map.size)}. Allowed are ${allowed}.`,
    `Set the limit to at least ${kib(total)} KiB: ulimit -l ${kib(total)}; systemd: LimitMEMLOCK=${kib(total)}K; libvirt: <hard_limit unit='KiB'>${kib(Number(total) + LIBVIRT_EXTRA)}</hard_limit>, which is 1 GiB more for QEMU itself; or give the process CAP_IPC_LOCK.`,
  ];
};

/** iommufd charges the user, and so all its processes together. */
function overUserLimit(context: AdviceContext, map: MapCall, limit: number | null): string[] {
  const { log, mapped } = context;
  const others = BigInt(log.facts.chargedByUser ?? 0);
  const own = mapped.list.reduce((sum, { size }) => sum + size, 0n);
  const sum = others + own + map.size;
  const parts = [
    ...(others > 0n ? [`${amount(others)} of the other guests`] : []),
    ...(own > 0n ? [`${amount(own)} of earlier maps`] : []),
    `${amount(map.size)} of this map`,
  ];
  const than =
    limit === null
      ? ''
      : `${others + own + map.size > BigInt(limit) ? ' >' : ' against'} ${amount(limit)}`;
  return [
    `iommufd charges the user, not the process: ${parts.join(' + ')}${than}. type1 would charge each process alone${limit !== null && own + map.size <= BigInt(limit) ? ', and would not fail here' : ''}.`,
    `Count per process (IOMMU_OPTION with IOMMU_OPTION_RLIMIT_MODE set to 1, before the first map; newer libvirt does that), or set a limit for the sum: ulimit -l ${kib(sum)}.`,
  ];
}

/** An unmap of type1 v1 that takes more than it was asked for, or nothing. */
const unmapSize: Advice = (context) => {
  const { call, mapped, observation, calls } = context;
  if (call.op !== 'unmap' || observation.size_out === undefined) return [];
  const got = BigInt(observation.size_out);
  if (got > call.size) {
    return [
      `The IOMMU is type 1, which is v1: this unmap removed ${amount(got)} where ${amount(call.size)} were asked for. The device has lost ${amount(got - call.size)} that the program believes mapped: harmless when it ends, fatal while it runs.`,
      'Use VFIO_TYPE1v2_IOMMU (VFIO_SET_IOMMU with 3), which refuses such an unmap, or unmap exactly what was mapped (DPDK: --match-allocations, or --legacy-mem).',
    ];
  }
  if (got !== 0n) return [];
  const later = calls.find(
    (one) =>
      one.op === 'map' &&
      one.at.line > call.at.line &&
      one.errno === 'EEXIST' &&
      one.iova < call.iova + call.size &&
      call.iova < one.iova + one.size,
  );
  if (later) {
    return [
      `Nothing was unmapped, and line ${later.at.line} gets EEXIST: what it maps is not reached by the device, which still reaches the old memory. Data goes to the wrong pages without any error if the program ignores that.`,
      'Unmap exactly the range that was mapped (DPDK: --match-allocations).',
    ];
  }
  return mapped.v1 ? ['An earlier unmap has taken the whole mapping: nothing is left here.'] : [];
};

/** No entry left. */
const outOfEntries: Advice = (context) => {
  const map = mapOf(context);
  const { mapped, observation } = context;
  if (!map || observation.errno !== 'ENOSPC') return [];
  const total = mapped.list.reduce((sum, { size }) => sum + size, 0n);
  return [
    `${mapped.count} mappings of this log hold ${amount(total)}. An entry is one map, whatever its size: map larger ranges (with 2 MiB per map 65535 entries are 128 GiB).`,
    'Raise vfio_iommu_type1.dma_entry_limit before the container is opened (modprobe option, or /sys/module/vfio_iommu_type1/parameters/dma_entry_limit), make the blocks of virtio-mem larger, or fewer pages private to a confidential guest.',
  ];
};

/** Memory that is not there, or is of a device. */
const badAddress: Advice = (context) => {
  const map = mapOf(context);
  const { observation, failure, run, index } = context;
  if (!map || observation.errno !== 'EFAULT') return [];
  const { operation } = run.steps[index];
  if (
    operation.op === 'ioas_map' &&
    /BAR|bar|MMIO|p2p/.test(`${regionOf(context)} ${failure?.at ?? ''} ${map.text}`)
  ) {
    return iommufdBar;
  }
  return [
    `Bad address is about the memory at ${hex(map.va)}, not about the iova: a page of it cannot be faulted in or not written. Check that its file is as long as its mapping, that the pool of huge pages has enough free (HugePages_Free; 2 MiB pages for ${amount(map.size)}: ${Math.ceil(Number(map.size) / 2 ** 21)}), that /dev/shm or the memory cgroup is large enough, and that the memory is writable.`,
    'With less memory the map passes if the pool or the file is what is short.',
  ];
};

/** What iommufd does with BARs. */
export const iommufdBar: string[] = [
  'IOMMU_IOAS_MAP pins pages, and the BAR of a device has none (VM_PFNMAP): it gives EFAULT on every release. From 6.19 on a BAR is mapped as a dma-buf: VFIO_DEVICE_FEATURE_DMA_BUF, then IOMMU_IOAS_MAP_FILE.',
  'Only peer-to-peer DMA needs it: leave BARs out (cloud-hypervisor: vfio_p2p_dma=off), take the error as a warning, or use the type1 container.',
];

/** All advice on calls, in the order in which it is said. */
export const onCalls: readonly Advice[] = [
  outside,
  overlaps,
  overLimit,
  unmapSize,
  outOfEntries,
  badAddress,
];
