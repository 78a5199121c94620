/** The page "Break it": the checker, live, and what a device reaches where an algorithm is wrong. */
import { kernelVersions } from '@pinfold/kernels';
import { pinAlgorithms } from '@pinfold/vfio-type1';
import { html, nothing, render, type TemplateResult } from 'lit-html';
import { packText, readHash, writeHash } from '../browser/hash-state.ts';
import { selectField } from '../browser/select-field.ts';
import { WorkerCalls, type WorkerError } from '../browser/worker-calls.ts';
import { reachDrawing } from './reach-drawing.ts';
import type { CheckRequest, CheckResult, ShownFinding } from './request.ts';

const FIRST: CheckRequest = {
  algorithm: 'hugetlb-v1-2025',
  // The rules before the patches of 2025, as of the command.
  kernel: '6.16',
  runs: 1000,
  seed: 1,
  all: false,
};
const RUNS = [250, 1000, 5000, 20_000];

/** The page. */
class BreakIt extends HTMLElement {
  #request = FIRST;
  #result: CheckResult | null = null;
  #error: WorkerError | null = null;
  /** Sequences that were run; null while nothing runs. */
  #done: number | null = null;
  #selected = 0;
  #replay = '';
  readonly #calls = new WorkerCalls<CheckRequest, CheckResult>(
    () => new Worker(new URL('./worker.ts', import.meta.url), { type: 'module' }),
  );
  readonly #onHash = (): void => this.#fromHash();

  connectedCallback(): void {
    window.addEventListener('hashchange', this.#onHash);
    this.#fromHash();
  }

  disconnectedCallback(): void {
    window.removeEventListener('hashchange', this.#onHash);
    this.#calls.stop();
  }

  /** An address that says what to check is one to look at the result of. */
  #fromHash(): void {
    const parameters = readHash();
    const algorithm = parameters.get('algorithm');
    const known = pinAlgorithms.some(({ name }) => name === algorithm);
    const kernel = kernelVersions.find(({ series }) => series === parameters.get('kernel'));
    this.#request = {
      algorithm: algorithm !== null && known ? algorithm : FIRST.algorithm,
      kernel: kernel?.series ?? FIRST.kernel,
      runs: positive(parameters.get('runs')) ?? FIRST.runs,
      seed: positive(parameters.get('seed')) ?? FIRST.seed,
      all: parameters.has('all'),
    };
    this.#draw();
    if (algorithm !== null) void this.#check(Number(parameters.get('finding') ?? 0));
  }

  #choose(change: Partial<CheckRequest>): void {
    this.#calls.stop();
    this.#request = { ...this.#request, all: false, ...change };
    this.#result = null;
    this.#draw();
  }

  #lookOn(all: boolean): void {
    this.#request = { ...this.#request, all };
    void this.#check();
  }

  async #check(selected = 0): Promise<void> {
    this.#done = 0;
    this.#result = null;
    this.#draw();
    const outcome = await this.#calls.call(this.#request, (done) => {
      this.#done = done;
      this.#draw();
    });
    if (this.#calls.busy) return;
    this.#done = null;
    this.#error = 'error' in outcome ? outcome.error : null;
    this.#result = 'result' in outcome ? outcome.result : null;
    await this.#select(selected);
  }

  async #select(index: number): Promise<void> {
    this.#selected = Math.min(index, Math.max(0, (this.#result?.findings.length ?? 0) - 1));
    const { algorithm, kernel, runs, seed, all } = this.#request;
    if (this.#result) {
      const parameters = new URLSearchParams({ algorithm, kernel });
      parameters.set('runs', String(runs));
      parameters.set('seed', String(seed));
      if (all) parameters.set('all', '');
      if (this.#selected > 0) parameters.set('finding', String(this.#selected));
      writeHash(parameters);
    }
    const finding = this.#result?.findings[this.#selected];
    const replay = new URLSearchParams({ kernel, algorithm });
    if (finding) replay.set('scenario', await packText(finding.scenario));
    this.#replay = replay.toString();
    this.#draw();
  }

  #draw(): void {
    const running = this.#done !== null;
    render(
      html`
        ${this.#controls()}
        <div class="buttons">
          ${
            running
              ? html`<button type="button" @click=${() => this.#calls.stop()}>Stop</button>`
              : html`<button type="button" class="primary" @click=${() => this.#lookOn(false)}>
                  Look for a counterexample
                </button>`
          }
          ${
            !running && this.#stoppedEarly()
              ? html`<button type="button" @click=${() => this.#lookOn(true)}>
                  Look for more
                </button>`
              : nothing
          }
        </div>
        <p class="status" role="status">${this.#status()}</p>
        ${
          running
            ? html`<progress
                max=${this.#request.runs}
                value=${this.#done ?? 0}
                aria-label="Sequences run"
              ></progress>`
            : nothing
        }
        ${
          this.#error
            ? html`<div class="error" role="alert">
                <p>${this.#error.name}: ${this.#error.message}</p>
              </div>`
            : nothing
        }
        ${this.#result ? this.#resultOf(this.#result) : nothing}
      `,
      this,
    );
  }

  #controls(): TemplateResult {
    const { algorithm, kernel, runs, seed } = this.#request;
    const defects = pinAlgorithms.find(({ name }) => name === algorithm)?.defects ?? [];
    return html`<div class="controls">
        ${selectField({
          id: 'break-it-algorithm',
          label: 'Pin algorithm',
          value: algorithm,
          choices: pinAlgorithms.map(({ name }) => [name, name]),
          onChoose: (name) => this.#choose({ algorithm: name }),
        })}
        ${selectField({
          id: 'break-it-kernel',
          label: 'Kernel',
          value: kernel,
          choices: kernelVersions.map(({ series }) => [series, `Linux ${series}`]),
          onChoose: (series) => this.#choose({ kernel: series }),
        })}
        ${selectField({
          id: 'break-it-runs',
          label: 'Sequences at most',
          value: String(runs),
          choices: [...new Set([...RUNS, runs])].map((n) => [String(n), n.toLocaleString('en')]),
          onChoose: (n) => this.#choose({ runs: Number(n) }),
        })}
        <div>
          <label for="break-it-seed">Seed</label>
          <input
            id="break-it-seed"
            type="number"
            min="1"
            max="4294967295"
            .value=${String(seed)}
            @change=${(event: Event) => this.#choose({ seed: seedOf(event) })}
          />
        </div>
      </div>
      <p class="hint">
        ${pinAlgorithms.find(({ name }) => name === algorithm)?.summary}.
        ${defects.length > 0 ? `Known to be wrong: ${defects.join('; ')}.` : 'No defect is known.'}
      </p>`;
  }

  /** Whether something was found before all sequences were run. */
  #stoppedEarly(): boolean {
    return (
      this.#result !== null && this.#result.sequences < this.#request.runs && !this.#request.all
    );
  }

  #status(): string {
    if (this.#done !== null) {
      return `${this.#done.toLocaleString('en')} of ${this.#request.runs.toLocaleString('en')} sequences …`;
    }
    if (!this.#result) return '';
    const { sequences, layouts, classes, findings } = this.#result;
    const rules = findings.length === 1 ? '1 rule' : `${findings.length} rules`;
    const found = findings.length === 0 ? 'Nothing found' : `${rules} violated`;
    return `${found}: ${sequences.toLocaleString('en')} sequences on ${layouts.toLocaleString('en')} layouts of memory, ${classes} boundary classes.`;
  }

  #resultOf(result: CheckResult): TemplateResult {
    const { findings } = result;
    const finding = findings[this.#selected];
    return html`
      ${
        findings.length > 1
          ? html`<div class="buttons" role="group" aria-label="Violated rules">
              ${findings.map(
                ({ rule }, index) =>
                  html`<button
                    type="button"
                    aria-pressed=${index === this.#selected ? 'true' : 'false'}
                    @click=${() => void this.#select(index)}
                  >
                    ${rule}
                  </button>`,
              )}
            </div>`
          : nothing
      }
      ${finding ? this.#findingOf(finding) : nothing} ${this.#command(result.sequences)}
    `;
  }

  #findingOf({ rule, what, scenario, reach, index }: ShownFinding): TemplateResult {
    return html`<section class="details" aria-label="Finding">
      <h2>This rule does not hold: ${rule}</h2>
      <p class="what">${what}</p>
      ${
        reach && reach.wrong > 0
          ? html`<h3>After line ${reach.line}: <code>${reach.text}</code></h3>
              <p>
                ${reach.wrong.toLocaleString('en')} ${reach.wrong === 1 ? 'page is' : 'pages are'}
                wrong. Red: what the device can now reach that it must not.
              </p>
              ${reachDrawing(reach)}`
          : nothing
      }
      <h3>The smallest sequence that shows it</h3>
      <p>
        The checker found it in random sequence ${index.toLocaleString('en')}, and removed from that
        all that it does not need.
      </p>
      <pre tabindex="0" role="region" aria-label="Counterexample">${scenario}</pre>
      <p><a href=${`/interactive/playground/#${this.#replay}`}>Open it in the playground</a></p>
    </section>`;
  }

  #command(runs: number): TemplateResult {
    const { algorithm, kernel, seed } = this.#request;
    return html`<p class="command">
      On a command line:
      <code
        >pinfold check --algorithm ${algorithm} --kernel ${kernel} --runs ${runs} --seed
        ${seed}</code
      >
    </p>`;
  }
}

function positive(text: string | null): number | undefined {
  return text !== null && /^[1-9]\d{0,9}$/.test(text) ? Number(text) : undefined;
}

function seedOf({ target }: Event): number {
  return (target instanceof HTMLInputElement ? positive(target.value) : undefined) ?? FIRST.seed;
}

customElements.define('break-it', BreakIt);
