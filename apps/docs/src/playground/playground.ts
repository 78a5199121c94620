/** The page "Scenario playground": a scenario, run in the browser. */
import { InputError } from '@pinfold/base';
import {
  failureText,
  ModelMachine,
  parseScenario,
  runScenario,
  type DoneStep,
} from '@pinfold/scenario';
import { kernelVersion } from '@pinfold/vfio-type1';

const EXAMPLE = `title one huge page, mapped and unmapped
open type=v2
mmap name=A kind=anon size=2M advise=huge
touch va=A size=A.len
map iova=0x40000000 va=A size=A.len
unmap iova=0x40000000 size=A.len
`;

/** An editor for scenarios, and what their steps do. */
class ScenarioPlayground extends HTMLElement {
  readonly #text = document.createElement('textarea');
  readonly #result = document.createElement('pre');

  /** Draws the element. */
  connectedCallback(): void {
    const run = document.createElement('button');
    run.textContent = 'Run';
    run.addEventListener('click', () => void this.#run());
    this.#text.value = EXAMPLE;
    this.#text.ariaLabel = 'Scenario';
    this.#text.rows = 8;
    this.#result.ariaLive = 'polite';
    this.replaceChildren(this.#text, run, this.#result);
  }

  async #run(): Promise<void> {
    try {
      const scenario = parseScenario(this.#text.value, 'scenario');
      const { steps } = await runScenario(
        scenario,
        new ModelMachine({ kernel: kernelVersion('6.18') }),
      );
      this.#result.textContent = steps.map(stepText).join('\n');
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      this.#result.textContent = error.message;
    }
  }
}

function stepText({ step, observation }: DoneStep): string {
  const { ret, errno, pins, failure } = observation;
  const why = failure ? failureText(failure) : '';
  return `${step.line} ${step.op}: ${errno ?? ret} +${pins.acquired} -${pins.released} ${why}`.trim();
}

customElements.define('scenario-playground', ScenarioPlayground);
