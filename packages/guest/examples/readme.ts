import { ModelMachine, parseScenario } from '@pinfold/guest';
import { kernelVersion } from '@pinfold/kernels';
import { failureText, runScenario } from '@pinfold/scenario';

const script = `
title one huge page, mapped and unmapped; then a limit
open type=v2
mmap name=A kind=anon size=2M addr=0x4000000000 advise=huge
touch va=A size=A.len
map iova=0x40000000 va=A size=A.len
unmap iova=0x40000000 size=2M
dropcap
memlock bytes=1M
map iova=0x40000000 va=A size=2M
`;
const machine = new ModelMachine({ kernel: kernelVersion('6.18') });
const { steps, pinsLeft } = await runScenario(parseScenario(script, 'limit.scn'), machine);

for (const { step, observation } of steps) {
  const { ret, errno, pins, failure } = observation;
  const why = failure ? failureText(failure) : '';
  console.log(
    `${step.line} ${step.op}: ${errno ?? ret} +${pins.acquired} -${pins.released} ${why}`.trim(),
  );
}
console.log(pinsLeft, 'pins left');
