/** The page "Scenario playground": an editor for scenarios, and what their steps do. */
import { kernelVersions } from '@pinfold/kernels';
import { pinAlgorithms } from '@pinfold/vfio-type1';
import { html, nothing, render, type TemplateResult } from 'lit-html';
import { readHash, writeHash } from '../browser/hash-state.ts';
import { selectField, type Choice } from '../browser/select-field.ts';
import { WorkerCalls, type WorkerError } from '../browser/worker-calls.ts';
import type { ScenarioEditor } from './editor.ts';
import { dataUrl, type ExampleIndex, type RecordingIndex } from './index-files.ts';
import { outcomeTable } from './outcome-table.ts';
import { FILE, type PlaygroundRequest, type RunOutcome } from './outcome.ts';
import { INITIAL, readState, writeState, type PlaygroundState } from './state.ts';
import { stepDetails } from './step-details.ts';

/** What the families of recordings are about. */
const FAMILIES: Readonly<Record<string, string>> = {
  b: 'backings',
  s: 'sizes and alignment',
  u: 'unmap',
  v: 'type1 v1',
  e: 'errors and limits',
  p: 'peer to peer (BAR)',
  m: 'module parameters',
  d: 'dirty logging',
  i: 'info',
  aw39: 'a 39-bit IOMMU',
  random: 'random sequences',
  extpin: 'devices that pin pages themselves',
};

/** The page. */
class ScenarioPlayground extends HTMLElement {
  #state: PlaygroundState = INITIAL;
  #outcome: RunOutcome | null = null;
  #error: WorkerError | null = null;
  #running = false;
  #selected = 0;
  #copied = false;
  #editor: ScenarioEditor | null = null;
  #examples: ExampleIndex = [];
  #recordings: RecordingIndex = [];
  readonly #calls = new WorkerCalls<PlaygroundRequest, RunOutcome>(
    () => new Worker(new URL('./worker.ts', import.meta.url), { type: 'module' }),
  );
  readonly #onHash = (): void => void this.#fromHash();

  connectedCallback(): void {
    window.addEventListener('hashchange', this.#onHash);
    void this.#load();
  }

  disconnectedCallback(): void {
    window.removeEventListener('hashchange', this.#onHash);
    this.#calls.stop();
  }

  async #load(): Promise<void> {
    this.#draw();
    const [{ ScenarioEditor: Editor }, examples, recordings] = await Promise.all([
      import('./editor.ts'),
      fetchJson<ExampleIndex>('examples.json'),
      fetchJson<RecordingIndex>('recordings.json'),
    ]);
    this.#examples = examples;
    this.#recordings = recordings;
    const place = this.querySelector<HTMLElement>('.editor');
    if (!place) return;
    this.#editor = new Editor(place, this.#state.script, {
      onChange: (script) => this.#edited(script),
      onRun: () => void this.#run(),
    });
    await this.#fromHash();
  }

  async #fromHash(): Promise<void> {
    try {
      const parameters = readHash();
      this.#state = await readState(parameters);
      this.#editor?.setText(this.#state.script);
      const step = parameters.get('step');
      await this.#run(step === null ? undefined : Number(step));
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      this.#error = { name: 'InputError', message: `the address of this page: ${message}` };
      this.#draw();
    }
  }

  /** What the user writes is no longer the recording. */
  #edited(script: string): void {
    this.#state = { ...this.#state, script, recording: null };
    this.#draw();
  }

  /** Shows something else, and runs it. */
  #choose(change: Partial<PlaygroundState>): void {
    this.#state = { ...this.#state, ...change };
    if (change.script !== undefined) this.#editor?.setText(change.script);
    void this.#run();
  }

  async #run(selected?: number): Promise<void> {
    this.#running = true;
    this.#copied = false;
    this.#draw();
    const outcome = await this.#calls.call(this.#request());
    if ('stopped' in outcome && this.#calls.busy) return;
    this.#running = false;
    this.#error = 'error' in outcome ? outcome.error : null;
    this.#outcome = 'result' in outcome ? outcome.result : null;
    const count = this.#outcome?.steps.length ?? 0;
    this.#selected = Math.min(selected ?? firstOfInterest(this.#outcome), Math.max(0, count - 1));
    if (this.#outcome && this.#state.recording) {
      this.#state = { ...this.#state, script: this.#outcome.script };
      this.#editor?.setText(this.#outcome.script);
    }
    const line = lineOf(this.#error);
    this.#editor?.mark(line > 0 ? { line, message: this.#error?.message ?? '' } : null);
    await this.#writeHash();
    this.#draw();
  }

  #request(): PlaygroundRequest {
    const { script, recording, kernel, algorithm } = this.#state;
    return recording
      ? { kind: 'recording', recorded: recording.kernel, name: recording.name, kernel }
      : { kind: 'scenario', script, kernel, algorithm };
  }

  async #writeHash(): Promise<void> {
    const parameters = await writeState(this.#state);
    if (this.#selected !== firstOfInterest(this.#outcome)) {
      parameters.set('step', String(this.#selected));
    }
    writeHash(parameters);
  }

  #draw(): void {
    render(
      html`
        ${this.#controls()}
        <div class="editor"></div>
        ${this.#buttons()}
        <p class="status" role="status">${this.#status()}</p>
        ${this.#error ? this.#errorText(this.#error) : nothing}
        ${this.#outcome ? this.#result(this.#outcome) : nothing}
      `,
      this,
    );
  }

  #controls(): TemplateResult {
    const { recording, kernel, algorithm } = this.#state;
    const recorded = this.#recordings.find(({ name }) => name === recording?.name);
    const algorithms = pinAlgorithms.map(({ name }): Choice => [name, name]);
    return html`<div class="controls">
      ${select('Example', '', [['', 'choose …'], ...this.#exampleChoices()], (name) => {
        const script =
          name === 'first'
            ? INITIAL.script
            : this.#examples.find((example) => example.name === name)?.script;
        if (script !== undefined) this.#choose({ script, recording: null });
      })}
      ${select(
        'Recording',
        recording?.name ?? '',
        [['', 'none']],
        (name) => this.#chooseRecording(name, recording?.kernel),
        this.#recordingGroups(),
      )}
      ${
        recording
          ? select(
              'Real kernel',
              recording.kernel,
              (recorded?.kernels ?? [recording.kernel]).map((of) => [of, `Linux ${of}`]),
              (of) => this.#chooseRecording(recording.name, of),
            )
          : nothing
      }
      ${select(
        'Model',
        kernel,
        kernelVersions.map(({ series }) => [series, `Linux ${series}`]),
        (series) => this.#choose({ kernel: series }),
      )}
      ${
        recording
          ? nothing
          : select('Pin algorithm', algorithm ?? '', [['', 'the release’s'], ...algorithms], (of) =>
              this.#choose({ algorithm: of === '' ? null : of }),
            )
      }
    </div>`;
  }

  #chooseRecording(name: string, kernel?: string): void {
    const found = this.#recordings.find((recording) => recording.name === name);
    const recorded = found?.kernels.find((of) => of === kernel) ?? found?.kernels.at(-1);
    if (recorded === undefined) this.#choose({ recording: null });
    else {
      const series = kernelVersions.find((version) => recorded.startsWith(`${version.series}.`));
      this.#choose({
        recording: { kernel: recorded, name },
        kernel: series?.series ?? this.#state.kernel,
        algorithm: null,
      });
    }
  }

  #exampleChoices(): Choice[] {
    return [
      ['first', 'a huge page and a limit'],
      ...this.#examples.map(({ name, title }): Choice => [name, title]),
    ];
  }

  #recordingGroups(): Group[] {
    const families = new Map<string, Choice[]>();
    for (const { name, title, family } of this.#recordings) {
      const short = name.replace(/^.*\//, '').replace('.json.gz', '');
      families.set(family, [...(families.get(family) ?? []), [name, `${short}: ${title}`]]);
    }
    return [...families].map(([family, choices]) => [FAMILIES[family] ?? family, choices]);
  }

  #buttons(): TemplateResult {
    return html`<div class="buttons">
      ${
        this.#running
          ? html`<button type="button" @click=${() => this.#calls.stop()}>Stop</button>`
          : html`<button type="button" class="primary" @click=${() => void this.#run()}>
              Run
            </button>`
      }
      <button type="button" @click=${() => void this.#copy()}>
        ${this.#copied ? 'Copied' : 'Copy link'}
      </button>
      <span class="hint">Ctrl+Enter runs; Tab leaves the editor.</span>
    </div>`;
  }

  async #copy(): Promise<void> {
    await this.#writeHash();
    await navigator.clipboard.writeText(location.href);
    this.#copied = true;
    this.#draw();
  }

  #status(): string {
    if (this.#running) return 'Running …';
    if (!this.#outcome) return this.#error ? 'Not run.' : '';
    const { steps, pinsLeft } = this.#outcome;
    const refused = steps.filter(({ model }) => (model?.observation.errno ?? null) !== null).length;
    const levels = steps.flatMap((step) => step.levels);
    const passed = levels.filter(({ verdict }) => verdict === 'passed').length;
    const compared = `${passed} of ${levels.length} comparisons agree with the real kernel`;
    return [
      `${steps.filter(({ line }) => line > 0).length} steps, ${refused} refused`,
      ...(pinsLeft ? [`${pinsLeft.toLocaleString('en')} pages are still pinned at the end`] : []),
      ...(levels.length > 0 ? [compared] : []),
    ].join('; ');
  }

  #errorText(error: WorkerError): TemplateResult {
    const line = lineOf(error);
    const kind = error.name === 'InputError' ? '' : `${error.name}: `;
    return html`<div class="error" role="alert">
      <p>${kind}${error.message}</p>
      ${
        line > 0
          ? html`<button type="button" @click=${() => this.#editor?.goTo(line)}>
              Go to line ${line}
            </button>`
          : nothing
      }
    </div>`;
  }

  #result(outcome: RunOutcome): TemplateResult {
    const recorded = this.#state.recording?.kernel ?? null;
    const step = outcome.steps[this.#selected];
    return html`
      ${
        outcome.findings.length > 0
          ? html`<div class="explanation findings">
              ${outcome.findings.map((text) => html`<p>${text}</p>`)}
            </div>`
          : nothing
      }
      ${outcomeTable(outcome, {
        selected: this.#selected,
        recorded,
        onSelect: (index) => {
          this.#selected = index;
          void this.#writeHash();
          this.#draw();
        },
      })}
      <p class="hint">
        Pins in pages of 4 KiB; 4K, 2M, 1G: leaves in the IOMMU page table. Choose a step for its
        details.
      </p>
      ${step ? stepDetails(step, recorded) : nothing}
      <p class="command">On a command line: <code>${this.#command()}</code></p>
    `;
  }

  #command(): string {
    const { recording, kernel, algorithm } = this.#state;
    if (recording) {
      return `pinfold verify --diff packages/recordings/${recording.kernel}/${recording.name}`;
    }
    const flags = algorithm === null ? '' : ` --algorithm ${algorithm}`;
    return `pinfold run --trace --kernel ${kernel}${flags} ${FILE}.scn`;
  }
}

/** The first step that was refused or is not as recorded, else the first that made calls. */
function firstOfInterest(outcome: RunOutcome | null): number {
  const steps = outcome?.steps ?? [];
  const tests: readonly ((step: RunOutcome['steps'][number]) => boolean)[] = [
    ({ levels }) => levels.some(({ verdict }) => verdict === 'failed'),
    ({ model }) => (model?.observation.errno ?? null) !== null,
    ({ calls }) => calls.length > 0,
  ];
  const found = tests.map((test) => steps.findIndex(test)).find((index) => index >= 0);
  return found ?? 0;
}

/** The line of the scenario that an error is about; 0 if it is about something else. */
function lineOf(error: WorkerError | null): number {
  const [, line] = new RegExp(`^${FILE}:(\\d+)`).exec(error?.place ?? '') ?? [];
  return Number(line ?? 0);
}

type Group = readonly [label: string, choices: readonly Choice[]];

function select(
  label: string,
  value: string,
  choices: readonly Choice[],
  onChoose: (value: string) => void,
  groups: readonly Group[] = [],
): TemplateResult {
  const id = `playground-${label.toLowerCase().replaceAll(' ', '-')}`;
  return selectField({ id, label, value, choices, onChoose, groups });
}

async function fetchJson<Content>(name: string): Promise<Content> {
  const response = await fetch(dataUrl(name));
  if (!response.ok) throw new Error(`${name}: status ${response.status}`);
  return (await response.json()) as Content;
}

customElements.define('scenario-playground', ScenarioPlayground);
