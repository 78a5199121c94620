import { LogReader, replayLog } from '@pinfold/replay';

const reader = new LogReader();
const file = reader.open('qemu.log');
file.feed('[    0.412003] DMAR: Host address width 39\n');
file.feed('qemu-system-x86_64: vfio_container_dma_map(0x5634aa10be20, 0x382400000000, ');
file.feed('0x200000000, 0x7f2c40000000) = -22 (Invalid argument)\n');
file.end();

const { findings, assumed } = await replayLog(reader.end(), { kernel: '6.18' });
for (const { at, errno, from, action } of findings) {
  console.log(`${at.file}:${at.line}`, errno, from);
  console.log(action[0]);
}
console.log(`assumed: ${assumed[0]}`);
