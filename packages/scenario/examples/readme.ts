import {
  bytes,
  needed,
  newRegion,
  op,
  runScenario,
  ScenarioLanguage,
  type Machine,
  type Observation,
} from '@pinfold/scenario';

interface MapOperation {
  readonly op: 'map';
  readonly name: string;
  readonly size: bigint;
}

// A language of one op, for a machine that can pin 1 MiB.
const map = op({ name: needed(newRegion), size: needed(bytes) }, (values) => ({
  ...{ op: 'map', ...values },
}));
const language = new ScenarioLanguage<MapOperation>(new Map([['map', map('map')]]));

class OneMebibyte implements Machine<MapOperation> {
  #pinned = 0;

  perform({ size }: MapOperation): Promise<Observation> {
    const pages = Number(size / 4096n);
    const fits = this.#pinned + pages <= 256;
    if (fits) this.#pinned += pages;
    return Promise.resolve({
      ...{ op: 'map', ret: fits ? 0 : -1, errno: fits ? null : 'ENOMEM', memlock: 2 ** 20 },
      ...{ mm: { VmLck: this.#pinned * 4 }, pins: { acquired: fits ? pages : 0, released: 0 } },
    });
  }

  exit(): Promise<number> {
    return Promise.resolve(0);
  }
}

const scenario = language.parse('map name=A size=768K\nmap name=B size=512K', 'two.scn');
const { steps } = await runScenario(scenario, new OneMebibyte());
for (const { step, observation } of steps) {
  console.log(step.place, step.text, observation.errno ?? observation.ret, observation.mm);
}
