import { backing, benchMemDmaMap } from '@pinfold/bench';

const { rows } = benchMemDmaMap(
  {
    bytes: 16 * 2 ** 30,
    backings: [backing('thp')],
    kernels: ['6.16', '6.18'],
    layout: 'contiguous',
    repeat: 1,
  },
  { clock: () => performance.now() },
);
for (const { op, kernel, counters } of rows) {
  console.log(op, kernel, counters.vpfnLookups, 'vpfn look-ups', counters.putCalls, 'puts');
}
