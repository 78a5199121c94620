/**
 * Errors of cloud-hypervisor and of others that use rust-vmm's VFIO crates (also as kata quotes them): the
 * kind of the memory and the errno, without arguments.
 *
 * @source cloud-hypervisor vmm/src/device_manager.rs, rust-vmm vfio-ioctls
 */
import { errnoName } from '@pinfold/base';
import type { LogFormat } from '../log/entries.ts';

const NESTED = /(\w*)\(?(?:\w*\()*IommuDma(Map|Unmap)\(Error\((\d+)\)/;
const SENTENCE =
  /(?:Failed to|failed to|Could not|Cannot|Unable to)[^:]*(?:DMA map|DMA unmap|map VFIO MMIO region|map an IOVA range|mmio regions?).*?\(os error (\d+)\)/i;

/** The format. */
export const cloudHypervisor: LogFormat = {
  name: 'cloud-hypervisor messages',
  open: () => ({
    read(line, sink) {
      const nested = NESTED.exec(line);
      const sentence = nested ? null : SENTENCE.exec(line);
      const number = nested?.[3] ?? sentence?.[1];
      if (number === undefined) {
        return /\bcloud-hypervisor: [\d.]+m?s: /.test(line);
      }
      const isUnmap = nested?.[2] === 'Unmap' || /unmap/i.test(sentence?.[0] ?? '');
      const isBar = /VfioMapRegion|MMIO|mmio/.test(line);
      const isIommufd = line.includes('IOAS');
      const memory = isBar ? 'bar' : 'ram';
      const backend = isIommufd ? 'iommufd' : 'type1';
      sink.message({
        ...{ program: 'cloud-hypervisor', about: isUnmap ? 'unmap' : 'map' },
        ...{ errno: errnoName(Number(number)), values: { memory, backend } },
      });
      return true;
    },
  }),
};
