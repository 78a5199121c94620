/** What to say of messages where the log does not have the call: one entry per kind. */
import type { MessageAdvice } from './context.ts';
import { iommufdBar } from './on-calls.ts';

const RECIPE =
  'The log does not have the arguments. QEMU\'s trace has them (-trace "vfio_listener*"), or the script that `pinfold replay --recipe bpftrace` prints writes them out.';

/** The entries, the most particular first. */
export const onMessages: readonly MessageAdvice[] = [
  {
    about: 'map',
    errno: 'EFAULT',
    when: ({ values }) => values?.memory === 'bar' && values.backend === 'iommufd',
    why: ['The BAR of a device was to be mapped with iommufd.'],
    action: iommufdBar,
  },
  {
    about: 'map',
    errno: 'EINVAL',
    when: ({ values }) => values?.memory === 'bar',
    why: [
      'The BAR of a device lies at an iova that the IOMMU does not reach, such as above 39 bits, or that is reserved.',
    ],
    action: [
      'Compare its guest address with /sys/kernel/iommu_groups/N/reserved_regions and "DMAR: Host address width" in dmesg, and limit the physical address bits of the guest (cloud-hypervisor: --cpus max_phys_bits=39); a vIOMMU of QEMU below it: aw-bits=48. Without peer-to-peer DMA the mapping is not needed: vfio_p2p_dma=off.',
      RECIPE,
    ],
  },
  {
    about: 'map',
    errno: 'EEXIST',
    when: ({ values }) => values?.memory === 'bar',
    why: [
      'The BAR of a device was to be mapped where the container has a mapping already: two BARs, or a BAR and memory, are at one guest address. Two devices in one container share the iova space.',
    ],
    action: [
      'Give each device addresses of its own: a larger 64-bit window for BARs of hot-plugged devices (their bridges need room for all of them), or plug both at boot; or leave BARs out of the container (cloud-hypervisor: vfio_p2p_dma=off).',
      RECIPE,
    ],
  },
  {
    about: 'map',
    errno: 'EEXIST',
    when: ({ program }) => program === 'spdk',
    why: [
      'The memory is in the container already: it was registered before, by another connection to the same memory, or a region was not unregistered.',
    ],
    action: [
      'If both are the same file and range, the device reaches it, and the notice is harmless. If the memory was replaced in between, the device still reaches the old pages: unregister regions before they go (vhost: all of them at SET_MEM_TABLE).',
    ],
  },
  {
    about: 'map',
    errno: 'EEXIST',
    why: ['The iova is mapped already.'],
    action: ['Unmap the old mapping first; it keeps the old memory pinned until then.', RECIPE],
  },
  {
    about: 'map',
    errno: 'ENOMEM',
    why: [
      'The limit of locked memory is too low for the guest or the program, or memory ran out while it was faulted in.',
    ],
    action: [
      'dmesg says "vfio_pin_pages_remote: RLIMIT_MEMLOCK (N) exceeded" if it is the limit. Set it to all memory that is mapped: ulimit -l, LimitMEMLOCK=, or <hard_limit> of libvirt; a container runtime has a limit of its own (--ulimit memlock=-1).',
      RECIPE,
    ],
  },
  {
    about: 'map',
    errno: 'ENOSPC',
    why: ['The container has no entry left: dma_entry_limit is 65535 mappings of any size.'],
    action: [
      'Map larger ranges: 65535 entries of 2 MiB are 128 GiB. Or raise vfio_iommu_type1.dma_entry_limit before the container is opened.',
    ],
  },
  {
    about: 'map',
    errno: 'EFAULT',
    why: [
      'The memory cannot be faulted in or not written: its file is shorter than its mapping, the pool of huge pages or the memory cgroup is used up, or it is read-only or of a device.',
    ],
    action: [
      'Look at the mapping in /proc/PID/smaps, at the length of its file, and at HugePages_Free.',
      RECIPE,
    ],
  },
  {
    about: 'map',
    errno: 'EINVAL',
    why: [
      'Address and size are no multiples of the page size, the iova is outside of what the IOMMU has for the device, or the container has no IOMMU yet (VFIO_SET_IOMMU comes first).',
    ],
    action: [RECIPE],
  },
  { about: 'map', why: ['A map was refused.'], action: [RECIPE] },
  {
    about: 'iommufd-map',
    errno: 'EFAULT',
    why: ['iommufd could not pin the memory.'],
    action: iommufdBar,
  },
  {
    about: 'unmap-size',
    when: ({ values }) => Number(values?.got) === 0,
    why: [
      'The unmap found no mapping that begins in its range: type1 v1 had removed the whole mapping with an earlier unmap, or the range is a part of a larger mapping.',
    ],
    action: [
      'Harmless when the program ends. While it runs, the device has lost memory, or still reaches memory that was given back: unmap exactly what was mapped (DPDK: --match-allocations or --legacy-mem).',
    ],
  },
  {
    about: 'unmap-size',
    why: ['The unmap removed more than it was asked for: type1 v1 removes whole mappings.'],
    action: [
      'The device has lost the rest, which the program believes mapped. Use VFIO_TYPE1v2_IOMMU, or unmap exactly what was mapped.',
    ],
  },
  {
    about: 'p2p',
    why: ['The BAR of a device could not be mapped for other devices.'],
    action: ['Only peer-to-peer DMA to this BAR is lost; everything else works.'],
  },
  {
    about: 'entries',
    why: ['The guest may need more mappings than the container has (dma_entry_limit, 65535).'],
    action: [
      'Larger blocks of virtio-mem (block-size=), or a higher vfio_iommu_type1.dma_entry_limit. A confidential guest maps shared pages one by one, and uses up entries.',
    ],
  },
  {
    about: 'address-spaces',
    why: [
      'Devices of one group are to be in different address spaces: all devices of a group share one IOMMU domain.',
    ],
    action: [
      'Put them behind one bridge of the guest without a vIOMMU between, or assign only one of them; a group is split by hardware (ACS) alone.',
    ],
  },
  {
    about: 'viable',
    why: ['A device of the group is bound to a driver of the host.'],
    action: [
      'Bind all devices of the group to vfio-pci or to no driver: ls /sys/kernel/iommu_groups/N/devices.',
    ],
  },
  {
    about: 'group-busy',
    why: ['Another process has the group open.'],
    action: ['Find it: fuser -v /dev/vfio/N. A group has one opener at a time.'],
  },
  {
    about: 'group-open',
    why: ['The group cannot be opened.'],
    action: ['Check that the device is bound to vfio-pci and who may open /dev/vfio/N.'],
  },
  {
    about: 'no-iommu',
    why: ['The container got no IOMMU.'],
    action: [
      'Check intel_iommu=on or amd_iommu, and /sys/kernel/iommu_groups; interrupts that cannot be remapped need allow_unsafe_interrupts.',
    ],
  },
  {
    about: 'no-group',
    why: ['The device has no IOMMU group.'],
    action: [
      "Switch the IOMMU on: firmware (VT-d, AMD-Vi), and intel_iommu=on on the kernel's command line.",
    ],
  },
  {
    about: 'phys-bits',
    why: ['The guest has fewer physical address bits than its memory and BARs need.'],
    action: ["Raise phys-bits of the guest up to what the host's IOMMU reaches, or place less."],
  },
  {
    about: 'hugepages',
    why: ['No huge page is free.'],
    action: ['Reserve more: /sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages.'],
  },
  {
    about: 'no-vfio',
    why: ['No device is bound to VFIO yet, so that there is no container to map in.'],
    action: [
      'Probe a device first; memory that was registered before is mapped when the first one comes.',
    ],
  },
  {
    about: 'limit',
    why: ['libvirt may not raise the limit of locked memory.'],
    action: ['A session daemon cannot: set the limit of the user, or use qemu:///system.'],
  },
  {
    about: 'unmap',
    why: ['An unmap was refused.'],
    action: ['With type1 v2 it must not cut a mapping: name the ranges that were mapped.', RECIPE],
  },
];
