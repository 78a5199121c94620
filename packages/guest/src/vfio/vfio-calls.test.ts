/** The files of VFIO one by one: containers by name, groups that are opened apart from joining. */
import { kernelVersion } from '@pinfold/kernels';
import { runScenario } from '@pinfold/scenario';
import { describe, expect, it } from 'vitest';
import { ModelMachine, parseScenario } from '../index.ts';

async function outcomes(script: string): Promise<string[]> {
  const machine = new ModelMachine({ kernel: kernelVersion('6.18') });
  const { steps } = await runScenario(parseScenario(script, 'test'), machine);
  return steps.map(({ operation, observation: { errno, mm } }) => {
    return `${operation.op} ${errno ?? mm?.VmLck}`;
  });
}

describe('the files of VFIO', () => {
  it('joins a container in calls of its own', async () => {
    const seen = await outcomes(`opencontainer
opengroup dev=edu
opengroup dev=edu
device dev=edu
setcontainer dev=edu
setcontainer dev=edu
setiommu type=3
device dev=edu
unset dev=edu
closedev dev=edu
unset dev=edu
unset dev=edu
setcontainer dev=ivsh16`);
    expect(seen).toEqual([
      ...['opencontainer 0', 'opengroup 0', 'opengroup EBUSY', 'device EINVAL', 'setcontainer 0'],
      ...['setcontainer EINVAL', 'setiommu 0', 'device 0', 'unset EBUSY', 'closedev 0', 'unset 0'],
      ...['unset EINVAL', 'setcontainer EBADF'],
    ]);
  });

  it('has several containers, of which each has its own mappings', async () => {
    const seen = await outcomes(`opencontainer name=A
opengroup dev=edu
setcontainer dev=edu
setiommu type=3
mmap name=M kind=anon size=64K
map iova=0 va=M size=64K
opencontainer name=B
opengroup dev=ivsh16
setcontainer dev=ivsh16
setiommu type=3
map iova=0 va=M size=32K
container name=A
map iova=0 va=M size=4K
closegroup dev=edu
container name=B
unmap iova=0 size=32K`);
    expect(seen.slice(5)).toEqual([
      ...['map 64', 'opencontainer 64', 'opengroup 64', 'setcontainer 64', 'setiommu 64', 'map 96'],
      ...['container 96', 'map EEXIST', 'closegroup 32', 'container 32', 'unmap 0'],
    ]);
  });

  it('keeps what a closed container has mapped until the last group leaves', async () => {
    const seen = await outcomes(`open type=v2
mmap name=M kind=anon size=64K
map iova=0 va=M size=64K
closecontainer
map iova=0x100000 va=M size=4K
closegroup dev=edu
closegroup dev=edu`);
    expect(seen.slice(2)).toEqual([
      ...['map 64', 'closecontainer 64', 'map EBADF', 'closegroup 0', 'closegroup EBADF'],
    ]);
  });

  it('names the containers that are open when another is asked for', async () => {
    await expect(outcomes('opencontainer name=A\ncontainer name=B')).rejects.toThrow(
      'test:2: name=B: expected one of A, got none',
    );
  });
});
