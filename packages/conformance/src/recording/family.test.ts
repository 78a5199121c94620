import { expect, it } from 'vitest';
import { familyOf } from './family.ts';

it.each([
  ['b06-thp', 48, '6.18.15/main/b06-thp.json.gz', 'b'],
  ['a02-aperture', 39, '6.18.15/aw39/a02-aperture.json.gz', 'aw39'],
  ['a02-aperture', 39, 'a02-aperture.json', 'aw39'],
  ['r014', 48, '6.18.15/random/r014.json.gz', 'random'],
  ['r014', 48, 'C:\\recordings\\r014.json', 'random'],
  ['rnd03', 48, '6.18.15/extpin/rnd03.json.gz', 'extpin'],
  ['rnd03', 48, '', 'random'],
  ['r01-read', 48, '', 'random'],
  ['t16g', 48, '6.18.15/timing-thp/t16g.json.gz', 'timing'],
  ['n-4k', 48, '6.18.15/icount/n-4k.json.gz', 'icount'],
  ['e03-bad-vaddr', 48, undefined, 'e'],
  ['v02-v1-cut', 48, '7.2-iofd/compat-dev/v02-v1-cut.json.gz', 'compat-dev'],
  ['v02-v1-cut', 48, '7.2-iofd/type1-72/v02-v1-cut.json.gz', 'type1-72'],
  ['r03-change-process', 48, '7.2-iofd/iofd/r03-change-process.json.gz', 'iofd'],
  ['42', 48, 'x/42.json', 'other'],
])('%s of %i bits in %j is %s', (scenario, aw_bits, file, family) => {
  expect(familyOf({ scenario, aw_bits }, file)).toBe(family);
});
