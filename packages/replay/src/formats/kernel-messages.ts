/**
 * Messages of the kernel about VFIO and the IOMMU, with dmesg's time or as journald and syslog write them.
 *
 * @source drivers/iommu/intel/dmar.c, drivers/iommu/amd/iommu.c, drivers/vfio/vfio_iommu_type1.c
 */
import type { LogFormat, Sink } from '../log/entries.ts';

type MessageReader = (found: RegExpExecArray, sink: Sink) => void;

/** Bits of the capability register of a DMAR unit. */
const [MGAW, SAGAW] = [16n, 8n];

/** Width that a DMAR unit can translate: its maximum, and that of the page tables that it has. */
function widthOf(capability: bigint): number {
  const mgaw = Number((capability >> MGAW) & 0x3fn) + 1;
  const sagaw = Number((capability >> SAGAW) & 0x1fn);
  const tables = sagaw & 8 ? 57 : sagaw & 4 ? 48 : sagaw & 2 ? 39 : 30;
  return Math.min(mgaw, tables);
}

function narrower(width: number, sink: Sink, said: string): void {
  sink.fact(said, (facts) => {
    facts.iommu ??= 'intel-vtd';
    facts.addressWidth = Math.min(facts.addressWidth ?? width, width);
  });
}

const fault: MessageReader = (found, sink) => {
  const { device = '', address = '', reason = '', access = '' } = found.groups ?? {};
  const values = { device, address: `0x${address.replace(/^0x/, '')}`, reason, access };
  sink.message({ program: 'kernel', about: 'dma-fault', values });
};

const MESSAGES: readonly (readonly [RegExp, MessageReader])[] = [
  [
    /vfio_\w+: RLIMIT_MEMLOCK \((\d+)\) exceeded/,
    ([, bytes], sink) => {
      sink.fact(`RLIMIT_MEMLOCK is ${bytes} bytes, and was exceeded`, (facts) => {
        facts.memlock = Number(bytes);
        facts.ipcLock = false;
      });
    },
  ],
  [
    /DMAR: Host address width (\d+)/,
    ([, bits], sink) => {
      narrower(Number(bits), sink, `the host address width is ${bits} bits`);
    },
  ],
  [
    /DMAR: dmar\d+: reg_base_addr \S+ ver \S+ cap ([0-9a-f]+) ecap/,
    ([, capability], sink) => {
      const width = widthOf(BigInt(`0x${capability}`));
      narrower(width, sink, `a DMAR unit translates ${width} bits (cap ${capability})`);
    },
  ],
  [
    /DMAR: \[DMA (?<access>\w+)[^\]]*\] Request device \[(?<device>[0-9a-f:.]+)\].*?(?:fault )?addr (?<address>(?:0x)?[0-9a-f]+)\s*\[fault reason (?<reason>[^\]]+)\]/,
    fault,
  ],
  [
    /AMD-Vi: Event logged \[IO_PAGE_FAULT (?:device=(?<device>\S+) )?domain=\S+ address=(?<address>0x[0-9a-f]+) flags=(?<reason>0x[0-9a-f]+)/,
    fault,
  ],
  [
    /iommu width \((\d+)\) is not sufficient for the mapped address \(([0-9a-fx]+)\)/,
    ([, bits, address], sink) => {
      narrower(Number(bits), sink, `the IOMMU reaches ${bits} bits, and ${address} is beyond`);
    },
  ],
  [
    /(AMD-Vi|iommu ivhd0|perf\/amd_iommu|arm-smmu-v3)[ :]/,
    ([, which], sink) => {
      const kind = which.startsWith('arm') ? 'smmuv3' : 'amd';
      sink.fact(`the IOMMU is ${kind}`, (facts) => (facts.iommu ??= kind));
    },
  ],
  [
    /Linux version (\d+\.\d+\S*)/,
    ([, release], sink) => {
      sink.fact(`the kernel is ${release}`, (facts) => (facts.kernel = release));
    },
  ],
  [
    /group \d+ .*is not viable|not viable/,
    (_, sink) => {
      sink.message({ program: 'kernel', about: 'viable' });
    },
  ],
];

/** The format. */
export const kernelMessages: LogFormat = {
  name: 'kernel messages',
  open: () => ({
    read(line, sink) {
      for (const [pattern, read] of MESSAGES) {
        const found = pattern.exec(line);
        if (!found) continue;
        read(found, sink);
        return true;
      }
      return /^\[\s*\d+\.\d+\] |\bkernel: |\bDMAR: /.test(line);
    },
  }),
};
