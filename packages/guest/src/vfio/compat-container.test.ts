/** A container that iommufd answers for: what it does otherwise than type1. */
import { kernelVersion } from '@pinfold/kernels';
import { runScenario, type Observation } from '@pinfold/scenario';
import { describe, expect, it } from 'vitest';
import { ModelMachine, parseScenario } from '../index.ts';

async function observed(script: string, opensDevices: boolean): Promise<Observation[]> {
  const facts = { container: 'iommufd', opensDevices } as const;
  const machine = new ModelMachine({ kernel: kernelVersion('7.2'), facts });
  const { steps, pinsLeft } = await runScenario(parseScenario(script, 'test'), machine);
  expect(pinsLeft).toBe(0);
  return steps.map(({ observation }) => observation);
}

const MEMORY = 'mmap name=A kind=anon size=4M advise=nohuge\ntouch va=A size=4M\n';

describe('a container of iommufd', () => {
  it('pins nothing before a device is opened, then all of it', async () => {
    const script = `open type=v2\n${MEMORY}map iova=1G va=A size=4M\ndevice dev=edu\nclosedev dev=edu`;
    const seen = await observed(script, false);
    expect(seen.map(({ mm }) => mm?.VmPin)).toEqual([0, 0, 0, 0, 4096, 0]);
  });

  it('charges a process without CAP_IPC_LOCK alone', async () => {
    const map = 'map iova=1G va=A size=4M\n';
    const root = await observed(`open type=v2\n${MEMORY}${map}`, true);
    expect(root.at(-1)?.mm).toMatchObject({ VmLck: 0, VmPin: 4096 });
    const other = await observed(`open type=v2\n${MEMORY}dropcap\n${map}`, true);
    expect(other.at(-1)?.mm).toMatchObject({ VmLck: 4096, VmPin: 4096, UserLck: 0 });
  });

  it('cuts mappings for v1 and refuses to for v2', async () => {
    const steps = `${MEMORY}map iova=1G va=A size=4M\nunmap iova=1G+1M size=1M\nunmap iova=1G size=4M`;
    const v1 = await observed(`open type=v1\n${steps}`, true);
    expect(v1.slice(-2).map(({ size_out }) => size_out)).toEqual(['0x100000', '0x300000']);
    const v2 = await observed(`open type=v2\n${steps}`, true);
    expect(v2.slice(-2).map(({ errno, size_out }) => [errno, size_out])).toEqual([
      ['ENOENT', '0x0'],
      [null, '0x400000'],
    ]);
  });

  it('needs no VFIO_SET_IOMMU, and maps after its last group has left', async () => {
    const script = `opencontainer\n${MEMORY}map iova=1G va=A size=4M\nopengroup dev=edu\nsetcontainer dev=edu\nmap iova=1G va=A size=4M\nunset dev=edu\nmap iova=2G va=A size=4M`;
    const seen = await observed(script, false);
    const maps = seen.filter(({ op }) => op === 'map').map(({ errno }) => errno);
    expect(maps).toEqual(['ENODEV', null, null]);
  });
});
