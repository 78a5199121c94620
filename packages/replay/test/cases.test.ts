/** Each case as its user has it: the answer names the action. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { DEFAULT_MACHINE, factsOfLine, ModelMachine, parseScenario } from '@pinfold/guest';
import { kernelVersion } from '@pinfold/kernels';
import { runScenario } from '@pinfold/scenario';
import { expect, it } from 'vitest';
import { LogReader, replayLog, type Log, type Replay } from '../src/index.ts';

function readCase(name: string): Log {
  const reader = new LogReader();
  const file = reader.open(name);
  file.feed(readFileSync(fileURLToPath(new URL(`cases/${name}`, import.meta.url)), 'utf8'));
  file.end();
  return reader.end();
}

function wordsOf({ findings, answers }: Replay): string {
  return [...findings, ...answers].flatMap(({ why, action }) => [...why, ...action]).join('\n');
}

/** Other logs, and what their answers have to say. */
const logs: readonly (readonly [string, readonly string[], readonly RegExp[]])[] = [
  [
    'memory that cannot be faulted in',
    [
      'Region dimm1:vfio_dma_map(0x55,0x100000000,0x40000000,0x7f87b3ffe000)=-14(Bad address):unknown',
    ],
    [/VM_FAULT_SIGBUS/, /its file is as long as its mapping/],
  ],
  [
    'an unmap of nothing, and what it does to the next map',
    [
      'DPDK dma_map vaddr: 0x200000200000, iova: 0x200000200000, size: 0x4200000, ret: 0',
      'DPDK dma_unmap iova: 0x200000400000, size: 0x0, ret: 0',
      'DPDK dma_map vaddr: 0x200000400000, iova: 0x200000400000, size: 0x400000, ret=-1, errno was set to EEXIST',
    ],
    [/mapping of line 1/, /unmap of line 2 found nothing.*--match-allocations/],
  ],
  [
    'a mapping from before the log',
    [
      'rte_vhost_user.c: 763:vhost_session_mem_register: *INFO*: Registering VM memory for vtophys translation - 0x7fbf08000000 len:0x400000',
      'memory.c: 801:_vfio_iommu_map_dma: *NOTICE*: Cannot set up DMA mapping, error 17, ignored',
    ],
    [/mapped before the log begins/, /the error is harmless/],
  ],
  [
    'a limit that the log does not say',
    ['qemu: vfio_dma_map(0x55, 0x0, 0x8000000, 0x7e1a40000000) = -12 (Cannot allocate memory)'],
    [/LimitMEMLOCK=131072K/],
  ],
  [
    'a map without an IOMMU',
    [
      'openat(AT_FDCWD, "/dev/vfio/vfio", O_RDWR) = 5',
      'ioctl(5, VFIO_IOMMU_MAP_DMA, {argsz=32, flags=0x3, vaddr=0x7f0000000000, iova=0, size=0x200000}) = -1 EINVAL (Invalid argument)',
    ],
    [/VFIO_SET_IOMMU/],
  ],
  [
    'a fault of a device after an unmap',
    [
      'vfio_listener_region_add_ram region_add [ram] 0x0 - 0x1fffff [0x7f3100000000]',
      'vfio_listener_region_del region_del 0x0 - 0x1fffff',
      'DMAR: [DMA Write] Request device [00:02.0] fault addr 0x1000 [fault reason 0x05] PTE Write access is not set',
    ],
    [/used the iova 0x1000/, /Line 2 unmapped it/, /Stop the device/],
  ],
];

it.each(logs)('%s', async (_name, lines, answer) => {
  const reader = new LogReader();
  const file = reader.open('a.log');
  file.feed(lines.join('\n'));
  file.end();
  const replay = await replayLog(reader.end());
  for (const words of answer) expect(wordsOf(replay)).toMatch(words);
  expect(replay.differences).toEqual([]);
});

/** What a user has, and what its right answer has to say. */
const cases: Readonly<Record<string, readonly RegExp[]>> = {
  'aw39-bar.log': [
    /0x0 to 0xfedfffff, 0xfef00000 to 0x7fffffffff/,
    /0x382400000000 \+ 8 GiB needs 46/,
    /host-phys-bits-limit=39/,
    /not fatal.*peer-to-peer/,
  ],
  'memlock-total.log': [
    /this map alone needs 786432 pages \(3 GiB\)/,
    /0 pages \(0 bytes\) were charged before/,
    /ulimit -l 3145728/,
    /64 MiB/,
  ],
  'dpdk-exit.strace': [
    /type 1, which is v1: this unmap removed 32 MiB/,
    /has lost 30 MiB that the program believes mapped: harmless when it ends, fatal while it runs/,
    /size 0: no mapping lies in the range/,
  ],
  'iommufd-per-user.log': [
    /charges the user, not the process: 8 GiB of the other guests \+ 6 GiB of this map > 9 GiB/,
    /type1 would charge each process alone, and would not fail here/,
    /IOMMU_OPTION_RLIMIT_MODE.*ulimit -l 14680064/,
  ],
  'qemu-reboot-trace.log': [
    /overlaps the mapping of line 4 \(iova 0xe0000, 0x20000 bytes\)/,
    /No region_del for 0xe0000 to 0xfffff/,
    /6 mappings, and 3,145,744 KiB are locked/,
  ],
};

it.each(Object.keys(cases))('%s gets its right answer', async (name) => {
  const replay = await replayLog(readCase(name));
  for (const words of cases[name]) expect(wordsOf(replay)).toMatch(words);
  expect(replay.differences).toEqual([]);
});

it.each(Object.keys(cases))('%s becomes a scenario with the same errnos', async (name) => {
  const { scenario, kernel, findings } = await replayLog(readCase(name));
  const parsed = parseScenario(scenario, name);
  const facts = factsOfLine(parsed.machine, DEFAULT_MACHINE);
  const machine = new ModelMachine({ kernel: kernelVersion(kernel), facts });
  const { steps } = await runScenario(parsed, machine);
  const errnos = steps.flatMap(({ observation }) => observation.errno ?? []);
  expect(errnos).toEqual(findings.flatMap(({ errno }) => errno ?? []));
});

it('amd-ht.sysfs gets the addresses that can be used', async () => {
  const { usable } = await replayLog(readCase('amd-ht.sysfs'));
  expect(usable).toEqual([
    ['0x0', '0xfedfffff'],
    ['0xfef00000', '0xfcffffffff'],
    ['0x10000000000', '0xffffffffffffffff'],
  ]);
});
