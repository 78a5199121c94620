/**
 * Messages of QEMU about mappings: the call with its outcome in one line, whatever is written around it
 * (libvirt, kata and others quote them).
 *
 * @source QEMU hw/vfio/listener.c, hw/vfio/container.c, backends/iommufd.c
 */
import type { LogFormat, Sink } from '../log/entries.ts';
import { errnoOf, errnoOfWords, u64 } from '../log/numbers.ts';

const NUMBER = '\\s*(0x[0-9a-fA-F]+|\\d+)\\s*';
const MAP = new RegExp(
  `(vfio(?:_container|_legacy)?_dma_map)\\(([^,()]*),${NUMBER},${NUMBER},${NUMBER}\\)\\s*=\\s*(-?\\d+)`,
);
const UNMAP = new RegExp(
  `(vfio(?:_container|_legacy)?_dma_unmap)\\(([^,()]*),${NUMBER},${NUMBER}\\)\\s*=\\s*(-?\\d+)`,
);

/** Messages that say something without arguments: a pattern, and what it is about. */
const MESSAGES: readonly (readonly [RegExp, string])[] = [
  [/PCI peer-to-peer transactions on BARs are not supported/, 'p2p'],
  [/IOMMU_IOAS_MAP failed: (.*)/, 'iommufd-map'],
  [/VFIO_MAP_DMA failed: (.*)/, 'map'],
  [/VFIO_UNMAP_DMA failed: (.*)/, 'unmap'],
  [/possibly running out of DMA mappings/, 'entries'],
  [/group \d+ used in multiple address spaces/, 'address-spaces'],
  [/group \d+ is not viable/, 'viable'],
  [/failed to open \/dev\/vfio\/\d+: Device or resource busy/, 'group-busy'],
  [/failed to open \/dev\/vfio/, 'group-open'],
  [/No available IOMMU models|failed to set iommu for container/, 'no-iommu'],
  [/guest physical address space.*(?:too small|phys-bits)|phys-bits too low/, 'phys-bits'],
  [/hardware doesn't support pasid|IOMMU isn't enabled|no iommu_group found/, 'no-group'],
];

/** Reads the line of a map: a region_add of the trace has told it before, or this tells it. */
function readMap(found: RegExpExecArray, line: string, sink: Sink): void {
  const [, , , iovaText, sizeText, vaText, code] = found;
  const [iova, size, va] = [iovaText, sizeText, vaText].map((text, i) =>
    u64(text, ['iova', 'size', 'vaddr'][i]),
  );
  const errno = errnoOf(code);
  const same = sink.outcome(
    errno,
    (call) => call.op === 'map' && call.iova === iova && call.size === size && call.va === va,
  );
  const flags = { op: 'map', flags: 3, iova, size, va } as const;
  const backend = /iommufd/i.test(line) ? 'iommufd' : 'type1';
  if (!same) sink.call({ ...flags, backend, errno: Number(code) === 0 ? null : errno });
  const [, region] = /Region ([^:]+):\s*vfio/.exec(line) ?? [];
  if (region !== undefined) sink.message({ program: 'qemu', about: 'region', values: { region } });
}

/** The format. */
export const qemuMessages: LogFormat = {
  name: 'QEMU messages',
  open: () => ({
    read(line, sink) {
      const map = MAP.exec(line);
      if (map) {
        readMap(map, line, sink);
        return true;
      }
      const unmap = UNMAP.exec(line);
      if (unmap) {
        const [, , , iova, size, code] = unmap;
        sink.call({
          ...{ op: 'unmap', backend: 'type1', flags: 0, iova: u64(iova, 'iova') },
          ...{ size: u64(size, 'size'), errno: Number(code) === 0 ? null : errnoOf(code) },
        });
        return true;
      }
      const found = MESSAGES.find(([pattern]) => pattern.test(line));
      if (!found) return /^(?:\S+ )?qemu(?:-system-\w+|-kvm)?: /.test(line);
      const errno = errnoOfWords(line);
      sink.message({ program: 'qemu', about: found[1], ...(errno !== undefined && { errno }) });
      return true;
    },
  }),
};
