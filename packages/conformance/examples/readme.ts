import { modelMachineForPass, verifyRecording, type Recording } from '@pinfold/conformance';

// A recording by hand, of a kernel that locks a page where none does.
const step = {
  ret: 0,
  errno: null,
  memlock: 2 ** 23,
  pins: { acquired: 0, released: 0 },
  mm: { VmLck: 0 },
};
const script = ['mmap name=A kind=anon size=32K', 'touch va=A size=A.len'];
const recording: Recording = {
  ...{ format: 'vfio-oracle/1', scenario: 'eight', title: '', script, config: {} },
  ...{ kernel: '6.18.15', release: '', accel: '', qemu: '', date: '', mem: '7G', aw_bits: 48 },
  guest: {
    ...{ probes: {}, cmdline: '', thp_enabled: 'never', thp_defrag: 'never', shmem_thp: 'never' },
    ...{ dma_entry_limit: '65535', disable_hugepages: 'N', iommu_cap: '', iommu_ecap: '' },
    ...{ hugepages_2m: '0', hugepages_1g: '0', mem_total_kb: 7 * 2 ** 20 },
  },
  runs: [
    {
      ...{ pass: 'plain', exit_status: 0, timeout: 0, pins_left: 0, wall_ms: 0 },
      steps: [
        { ...step, op: 'mmap', line: script[0], va: '0x1000000000', size: '0x8000' },
        { ...step, op: 'touch', line: script[1], mm: { VmLck: 4 } },
      ],
    },
  ],
};

const { results } = await verifyRecording(recording, 'eight.json', modelMachineForPass);
for (const { line, level, verdict, differences } of results) {
  console.log(`${line}: ${level} ${verdict}`);
  for (const { path, recorded, model } of differences) {
    console.log(`  ${path}: recorded ${String(recorded)}, model ${String(model)}`);
  }
}
