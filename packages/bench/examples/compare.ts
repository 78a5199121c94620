import { compareAlgorithms, memoriesOf, layouts } from '@pinfold/bench';
import { pinAlgorithm } from '@pinfold/vfio-type1';

const { smallFolios } = compareAlgorithms(
  {
    algorithms: ['unpin-rfc-2025', 'unpin-folio-2025', 'series-1-4'].map(pinAlgorithm),
    base: pinAlgorithm('batched'),
    memories: memoriesOf({ layouts: [layouts.S4] }),
    bytes: 64 * 2 ** 20,
    kernel: '6.18',
    repeat: 1,
  },
  { clock: () => performance.now() },
);
for (const { algorithm, op, loses, more } of smallFolios.filter((one) => one.op === 'unmap')) {
  console.log(op, algorithm, loses ? 'loses' : 'does not lose', more);
}
