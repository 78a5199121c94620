/** The schema of recordings. Fields that it does not list pass. */
import { z } from 'zod';
import { RECORDING_FORMAT, type Recording } from './recording.ts';

const hex = z.string().regex(/^0x[0-9a-f]{1,16}$/, 'a hexadecimal number such as 0x1000');
const count = z.int().nonnegative();
const errno = z.string().nullable();

const pins = z.looseObject({ acquired: z.int(), released: z.int() });
const mm = z.looseObject({
  VmLck: z.int(),
  ...{ VmPin: z.int().exactOptional(), UserLck: z.int().exactOptional() },
});
const memlock = count.nullable();

/** Pages of one extent at most: 16 GiB, more than the memory of any recorded machine. */
const MAX_EXTENT = 2 ** 22;
/** What page frames and pages of a process lie below. */
const MAX_PAGE = 2 ** 40;

const page = count.max(MAX_PAGE);
const extent = z.tuple([page, page, count.max(MAX_EXTENT), count.max(18), z.string()]);
const leafSize = z.string().regex(/^(1|2|4|8|16|32|64|128|256|512)[KMGTP]$/, 'a size such as 64K');
const run = z.tuple([hex, hex, hex, leafSize, z.enum(['r', 'w', 'rw'])]);

const table = z.looseObject({
  present: count,
  pt_pages: count,
  leaf: z.record(z.string(), count),
  runs_total: count,
  runs: z.array(run),
});

const info = z.looseObject({
  argsz: count,
  flags: count,
  pgsizes: hex,
  caps: z.array(z.looseObject({ id: count, version: count, name: z.string() })),
});

const bench = z.looseObject({
  ...{ va: hex, iova: hex, size: hex, warm: count },
  ...{ map_ns: z.array(count), unmap_ns: z.array(count), map_errno: errno, unmap_errno: errno },
});

const notification = z.looseObject({
  ...{ dev: z.string(), iova: hex, size: hex, held: count, released: count },
});

const bytes = z.looseObject({
  ...{ len: count, fnv: z.string(), runs: z.array(z.tuple([count, count, count])) },
});

/** Fields of the steps of emulated devices. */
const external = {
  dev: z.string().exactOptional(),
  ...{ npage: z.int().exactOptional(), prot: z.int().exactOptional() },
  ...{ times: count.exactOptional(), len: count.exactOptional(), write: count.exactOptional() },
  iovas: z.array(hex).exactOptional(),
  pfns: z.array(z.tuple([count, page.nullable(), count])).exactOptional(),
  rets: z.array(z.union([z.int(), z.string()])).exactOptional(),
  data: bytes.exactOptional(),
  held: z.record(z.string(), z.int()).exactOptional(),
  ...{ notify: z.array(notification).exactOptional(), notify_total: count.exactOptional() },
  ...{ warn: count.exactOptional(), klog: z.array(z.string()).exactOptional() },
};

/** Fields of the steps of iommufd. */
const iommufd = {
  device_opened: z.boolean().exactOptional(),
  iova_out: hex.exactOptional(),
  ...{ ioas: count.exactOptional(), val: z.int().exactOptional(), num: count.exactOptional() },
  align: hex.exactOptional(),
  ranges: z.array(z.tuple([hex, hex])).exactOptional(),
  child_mm: mm.exactOptional(),
};

const step = z.looseObject({
  ...{ op: z.string(), line: z.string(), ret: z.int(), errno, mm, pins, memlock },
  ...{ iova: hex.exactOptional(), va: hex.exactOptional(), size: hex.exactOptional() },
  ...{ flags: count.exactOptional(), argsz: count.exactOptional() },
  after: z.string().exactOptional(),
  ...{ size_out: hex.exactOptional(), avail: count.exactOptional(), ns: count.exactOptional() },
  ...{ iommu_type: count.exactOptional(), bar_phys: hex.exactOptional() },
  layout: z.record(z.string(), z.array(extent)).exactOptional(),
  iommu: table.exactOptional(),
  calls: z.record(z.string(), count).exactOptional(),
  trace: z.array(z.string()).exactOptional(),
  trace_total: count.exactOptional(),
  info: info.exactOptional(),
  ext: z.record(z.string(), z.int()).exactOptional(),
  bitmap: z.looseObject({ runs: z.array(z.tuple([count, count])), set: count }).exactOptional(),
  region_info: z.looseObject({ flags: count, size: hex, offset: hex }).exactOptional(),
  bench: bench.exactOptional(),
  ...external,
  ...iommufd,
});

const pass = z.looseObject({
  pass: z.enum(['trace', 'plain']),
  ...{ exit_status: z.int(), timeout: z.int(), pins_left: z.int(), wall_ms: z.number() },
  start_state: z.looseObject({ mm, pins, memlock }).exactOptional(),
  steps: z.array(step),
  broken: z.string().exactOptional(),
  broken_tail: z.string().exactOptional(),
  klog: z.array(z.string()).exactOptional(),
});

const probe = z.looseObject({ symbol: z.string(), args: z.boolean() });

const guest = z.looseObject({
  probes: z.record(z.string(), probe.nullable()),
  ...{ cmdline: z.string(), thp_enabled: z.string(), thp_defrag: z.string() },
  ...{
    shmem_thp: z.string(),
    dma_entry_limit: z.string().nullable(),
    disable_hugepages: z.string().nullable(),
  },
  ...{ iommu_cap: z.string(), iommu_ecap: z.string() },
  ...{ hugepages_2m: z.string(), hugepages_1g: z.string(), mem_total_kb: count },
});

/** What a recording has to be. */
export const recordingSchema: z.ZodType<Recording> = z.looseObject({
  format: z.literal(RECORDING_FORMAT),
  ...{ scenario: z.string(), title: z.string(), script: z.array(z.string()) },
  ...{ kernel: z.string(), release: z.string(), accel: z.string(), qemu: z.string() },
  ...{ aw_bits: count, iommu_device: z.string().exactOptional() },
  ...{ mem: z.string(), date: z.string() },
  config: z.record(z.string(), z.string().nullable()),
  guest,
  runs: z.array(pass).min(1),
});
