/**
 * Long scenarios: one map per page of 4 KiB, as of a guest behind a virtual IOMMU, run and explained.
 * Prints CPU seconds and the used heap after each; both should double when the steps double.
 *
 *     node --conditions=@pinfold/source packages/guest/bench/many-maps.ts [steps...]
 */
import { kernelVersion } from '@pinfold/kernels';
import { runWhilePossible } from '@pinfold/scenario';
import { explainWhilePossible, ModelMachine, parseScenario } from '../src/index.ts';

const STEPS =
  process.argv.length > 2 ? process.argv.slice(2).map(Number) : [8250, 16_500, 33_000, 66_000];
const kernel = kernelVersion('6.18');

function scriptOf(steps: number): string {
  const maps = `map iova=1G+8K*i va=R+4K*i size=4K repeat=${steps}`;
  return `open type=v2\nmmap name=R kind=anon size=300M\n${maps}`;
}

async function measure(what: string, steps: number, act: () => Promise<unknown>): Promise<void> {
  const before = process.cpuUsage();
  const kept = await act();
  const { user, system } = process.cpuUsage(before);
  const seconds = ((user + system) / 1e6).toFixed(1);
  const heap = Math.round(process.memoryUsage().heapUsed / 2 ** 20);
  console.log(`${steps} maps ${what}: ${seconds} s of CPU, ${heap} MiB${kept ? '' : ', nothing'}`);
}

for (const steps of STEPS) {
  const scenario = parseScenario(scriptOf(steps), 'many-maps.scn');
  await measure('run', steps, () => runWhilePossible(scenario, new ModelMachine({ kernel })));
  await measure('explained', steps, () =>
    explainWhilePossible(scenario, kernel, (of) => new ModelMachine({ kernel: of })),
  );
}
