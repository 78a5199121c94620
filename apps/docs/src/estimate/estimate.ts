/** The page "Estimate": how long mapping a guest takes, computed in the browser. */
import { backings, profileNames } from '@pinfold/bench';
import { kernelVersions } from '@pinfold/kernels';
import { html, nothing, render, type TemplateResult } from 'lit-html';
import { readHash, writeHash } from '../browser/hash-state.ts';
import { selectField, type Choice } from '../browser/select-field.ts';
import { WorkerCalls, type WorkerError } from '../browser/worker-calls.ts';
import { commandLine } from './command-line.ts';
import { FIELDS, type EstimateRequest, type EstimateResult, type ShownParts } from './request.ts';
import './estimate.css';

const SERIES = kernelVersions.map(({ series }) => series);

const FIRST: EstimateRequest = {
  ...{ memory: '128G', backing: 'thp', populated: 'no', containers: '1', bars: '' },
  ...{ kernel: '6.16', beside: SERIES.at(-1) ?? '', memlock: '', layout: '' },
  profile: 'jordan-2022-intel',
};

const POPULATED: readonly Choice[] = [
  ['no', 'no: the map does it'],
  ['yes', 'yes, before'],
  ['1', 'first, by 1 thread'],
  ['4', 'first, by 4 threads'],
  ['16', 'first, by 16 threads'],
  ['64', 'first, by 64 threads'],
];

/** The page. */
class EstimateForm extends HTMLElement {
  #request = FIRST;
  #result: EstimateResult | null = null;
  #error: WorkerError | null = null;
  readonly #calls = new WorkerCalls<EstimateRequest, EstimateResult>(
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

  #fromHash(): void {
    const parameters = readHash();
    const stated = FIELDS.map((name) => [name, parameters.get(name) ?? FIRST[name]] as const);
    this.#request = Object.fromEntries(stated) as unknown as EstimateRequest;
    void this.#estimate();
  }

  #choose(name: keyof EstimateRequest, value: string): void {
    this.#request = { ...this.#request, [name]: value.trim() };
    const changed = FIELDS.filter((field) => this.#request[field] !== FIRST[field]);
    writeHash(new URLSearchParams(changed.map((field) => [field, this.#request[field]])));
    void this.#estimate();
  }

  async #estimate(): Promise<void> {
    this.#draw();
    const outcome = await this.#calls.call(this.#request);
    if ('stopped' in outcome) return;
    this.#error = 'error' in outcome ? outcome.error : null;
    this.#result = 'result' in outcome ? outcome.result : null;
    this.#draw();
  }

  #draw(): void {
    this.dataset.ready = String(!this.#calls.busy);
    render(
      html`
        ${this.#controls()}
        <p class="status" role="status">
          ${this.#calls.busy ? 'Counting operations …' : this.#result ? this.#result.about : ''}
        </p>
        ${
          this.#error
            ? html`<div class="error" role="alert"><p>${this.#error.message}</p></div>`
            : nothing
        }
        ${this.#result ? resultOf(this.#result) : nothing}
        <p class="command">On a command line: <code>${commandLine(this.#request)}</code></p>
      `,
      this,
    );
  }

  #controls(): TemplateResult {
    const choices = (names: readonly string[]): Choice[] => names.map((name) => [name, name]);
    const linux = SERIES.map((series): Choice => [series, `Linux ${series}`]);
    return html`<div class="controls">
      ${this.#text('memory', 'Memory of the guest')}
      ${this.#select('backing', 'Backing', choices(backings.map(({ name }) => name)))}
      ${this.#select('populated', 'Populated', POPULATED)}
      ${this.#select('kernel', 'Kernel', linux)}
      ${this.#select('beside', 'Beside it', [['', 'nothing'], ...linux])}
      ${this.#select('profile', 'Costs of', choices(profileNames))}
      ${this.#text('containers', 'Containers')}
      ${this.#text('bars', 'Device memory, such as 16M,32G')}
      ${this.#text('memlock', 'RLIMIT_MEMLOCK, such as 64G')}
      <div>
        <label for="estimate-layout">Runs of pages: a length and a count per line</label>
        <textarea
          id="estimate-layout"
          rows="3"
          placeholder="4K 1200&#10;2M 300"
          .value=${this.#request.layout}
          @change=${(event: Event) => this.#choose('layout', textOf(event))}
        ></textarea>
      </div>
    </div>`;
  }

  #text(name: keyof EstimateRequest, label: string): TemplateResult {
    return html`<div>
      <label for=${`estimate-${name}`}>${label}</label>
      <input
        id=${`estimate-${name}`}
        type="text"
        autocomplete="off"
        .value=${this.#request[name]}
        @change=${(event: Event) => this.#choose(name, textOf(event))}
      />
    </div>`;
  }

  #select(name: keyof EstimateRequest, label: string, choices: readonly Choice[]): TemplateResult {
    return selectField({
      ...{ id: `estimate-${name}`, label, value: this.#request[name], choices },
      onChoose: (value) => this.#choose(name, value),
    });
  }
}

function textOf({ target }: Event): string {
  return target instanceof HTMLInputElement || target instanceof HTMLTextAreaElement
    ? target.value
    : '';
}

function resultOf({ times, parts, notes, advice }: EstimateResult): TemplateResult {
  const longest = Math.max(...parts.map(({ seconds }) => seconds));
  const names = [...new Set(parts.flatMap((one) => one.parts.map(({ part }) => part)))];
  return html`<section aria-label="Estimate">
    <div class="wide" tabindex="0" role="region" aria-label="Predicted kernel time">
      <table>
        <thead>
          <tr>
            ${['kernel', 'populate', 'map', 'unmap', 'populate + map'].map(
              (head) => html`<th scope="col" class="word">${head}</th>`,
            )}
          </tr>
        </thead>
        <tbody>
          ${times.map(
            ({ kernel, populate, map, unmap, start }) =>
              html`<tr>
                <th scope="row" class="word">${kernel}</th>
                ${[populate, map, unmap, start].map((cell) => html`<td class="word">${cell}</td>`)}
              </tr>`,
          )}
        </tbody>
      </table>
    </div>
    <h2>What the time is made of</h2>
    <ul class="legend" aria-hidden="true">
      ${names.map((part) => html`<li><i class=${`part-${part}`}></i>${part}</li>`)}
    </ul>
    <dl class="parts">${parts.map((one) => barOf(one, longest))}</dl>
    <h2>Limits and memory</h2>
    <dl>
      ${notes.map(
        ({ label, text }) =>
          html`<dt>${label}</dt>
            <dd>${text}</dd>`,
      )}
    </dl>
    <h2>What would change the start</h2>
    <ul>
      ${advice.map((text) => html`<li>${text}</li>`)}
    </ul>
  </section>`;
}

function barOf({ of, seconds, parts }: ShownParts, longest: number): TemplateResult {
  const words = parts.map(({ part, text }) => `${part} ${text}`).join(', ');
  return html`<dt>${of}</dt>
    <dd>
      <div class="bar" aria-hidden="true" style=${`width: ${(100 * seconds) / longest}%`}>
        ${parts.map(
          (part) =>
            html`<i
              class=${`part-${part.part}`}
              style=${`flex-grow: ${part.seconds / seconds}`}
            ></i>`,
        )}
      </div>
      ${words}
    </dd>`;
}

customElements.define('estimate-form', EstimateForm);
