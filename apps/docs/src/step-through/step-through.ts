/** The page "Step through a map": a mapping's life, step by step, under one algorithm or two. */
import { formatSize, InputError } from '@pinfold/base';
import { count } from './call-text.ts';
import type { Palette } from './cells.ts';
import { legend, readPalette } from './colours.ts';
import {
  DEFAULT_SPEED,
  isWide,
  SettingsForm,
  SPEEDS,
  Transport,
  type Commands,
} from './controls.ts';
import { CountersTable } from './counters-table.ts';
import { h } from './dom.ts';
import { Places } from './places.ts';
import { paceOf } from './player.ts';
import { DEFAULT_STATE, readState, writeState, type PageState } from './settings.ts';
import type { ShownStep } from './shown-step.ts';
import { SideView } from './side-view.ts';
import { Side } from './side.ts';
import { FUNCTIONS } from './steps.ts';
import { ToldStep } from './told-step.ts';
import { TraceList } from './trace-list.ts';

/** Milliseconds after which the address follows. */
const ADDRESS_DELAY = 250;

/** An algorithm and its view. */
interface Shown {
  readonly side: Side;
  readonly view: SideView;
}

/** The element of the page. */
class StepThrough extends HTMLElement implements Commands {
  #state: PageState = DEFAULT_STATE;
  #sides: readonly Shown[] = [];
  #places = new Places([], 'page');
  #playing = 0;
  #perSecond = SPEEDS[DEFAULT_SPEED];
  /** The next step at which playing stops. */
  #stop = Infinity;
  #addressTimer = 0;
  #palette: Palette | null = null;

  readonly #form = new SettingsForm(this);
  readonly #transport = new Transport(this);
  readonly #counters = new CountersTable();
  readonly #trace = new TraceList((index) => this.go(index));
  readonly #told = new ToldStep();
  readonly #command = h('p', { className: 'st-note st-command' });
  readonly #error = h('p', { className: 'st-error', role: 'alert', hidden: true });
  readonly #views = h('div', { className: 'st-sides' });
  readonly #main = h(
    'div',
    { className: 'st-main' },
    this.#views,
    h('div', { className: 'st-panels' }, this.#trace.element, this.#counters.element),
  );
  readonly #stage = h(
    'section',
    { className: 'st-stage', tabIndex: 0, 'aria-label': 'The step: arrow keys step, space plays' },
    this.#told.element,
    legend(),
    this.#main,
  );

  /** Draws the element and begins. */
  connectedCallback(): void {
    const keys = h('p', { className: 'st-note' }, KEYS);
    // On a phone, what sticks to the top must be low.
    if (!isWide()) this.#form.element.append(this.#transport.options);
    this.replaceChildren(
      ...[this.#form.element, this.#transport.element, this.#error],
      ...[this.#stage, keys, this.#command],
    );
    this.#stage.addEventListener('keydown', (event) => this.#onKey(event));
    addEventListener('popstate', () => this.#readAddress());
    new ResizeObserver(() => this.#render()).observe(this.#views);
    new MutationObserver(() => {
      this.#palette = null;
      this.#render();
    }).observe(document.documentElement, { attributeFilter: ['data-theme'] });
    this.#readAddress();
  }

  choose(change: Partial<PageState>): void {
    this.#setState({ ...this.#state, step: 0, ...change });
    history.pushState(null, '', `?${writeState(this.#state)}`);
    void this.#open();
  }

  go(index: number): void {
    const last = this.#sides[0]?.side.lastStep ?? 0;
    const step = Math.max(0, Math.min(last, index));
    this.#setState({ ...this.#state, step });
    this.#render();
  }

  by(steps: number): void {
    this.#pause();
    this.go(this.#state.step + steps);
  }

  toggle(): void {
    if (this.#playing === 0) void this.#play();
    else {
      this.#pause();
      this.#render();
    }
  }

  speed(name: string): void {
    this.#perSecond = SPEEDS[name];
    if (this.#playing > 0) void this.#play();
  }

  breakAt(breakpoint: string): void {
    this.#setState({ ...this.#state, breakpoint });
    this.#transport.showFunctions(this.#sides[0]?.side.overview ?? null, breakpoint);
    if (this.#playing > 0) void this.#play();
  }

  run(forward: boolean): void {
    void this.#run(forward);
  }

  async #run(forward: boolean): Promise<void> {
    const fn = FUNCTIONS.findIndex((name) => name === this.#state.breakpoint);
    if (fn < 0 || this.#sides.length === 0) return;
    this.#pause();
    const { side } = this.#sides[0];
    const found = await side.find(fn, this.#state.step, forward);
    if (this.#sides[0]?.side === side) this.go(found >= 0 ? found : forward ? side.lastStep : 0);
  }

  /** Plays from here until the next call of the breakpoint's function, or the end. */
  async #play(): Promise<void> {
    this.#pause();
    const shown = this.#sides.at(0);
    const steps = shown?.side.overview?.steps;
    if (!shown || steps === undefined) return;
    if (this.#state.step === steps - 1) this.go(0);
    const fn = FUNCTIONS.findIndex((name) => name === this.#state.breakpoint);
    const found = fn < 0 ? -1 : await shown.side.find(fn, this.#state.step, true);
    this.#stop = found < 0 ? steps - 1 : found;
    const isCalm = matchMedia('(prefers-reduced-motion: reduce)').matches;
    const { stride, every } = paceOf(this.#perSecond, steps, isCalm);
    this.#playing = window.setInterval(() => this.#tick(shown.side, stride), every);
    this.#render();
  }

  #tick(side: Side, stride: number): void {
    const { step } = this.#state;
    const wanted = Math.min(step + stride, this.#stop);
    // Where not all steps are here, those of the sample are; they are as exact.
    const near = side.step(wanted) ? wanted : (side.nearest(wanted)?.index ?? wanted);
    const next = wanted === this.#stop || near <= step ? wanted : near;
    if (next >= this.#stop) this.#pause();
    this.go(next);
  }

  #pause(): void {
    clearInterval(this.#playing);
    this.#playing = 0;
  }

  #onKey(event: KeyboardEvent): void {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.target !== this.#stage) return;
    const actions: Readonly<Record<string, () => void>> = {
      ArrowRight: () => this.by(event.shiftKey ? 10 : 1),
      ArrowLeft: () => this.by(event.shiftKey ? -10 : -1),
      ' ': () => this.toggle(),
      Home: () => this.by(-Infinity),
      End: () => this.by(Infinity),
      PageDown: () => this.run(true),
      PageUp: () => this.run(false),
    };
    const action = actions[event.key];
    if (!action) return;
    event.preventDefault();
    action();
  }

  #readAddress(): void {
    try {
      this.#setState(readState(new URLSearchParams(location.search)));
      this.#showError('');
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      this.#setState(DEFAULT_STATE);
      this.#showError(`The address says ${error.message}.`);
    }
    void this.#open();
  }

  #setState(state: PageState): void {
    this.#state = state;
    clearTimeout(this.#addressTimer);
    this.#addressTimer = window.setTimeout(() => {
      history.replaceState(null, '', `?${writeState(this.#state)}`);
    }, ADDRESS_DELAY);
  }

  #showError(text: string): void {
    this.#error.textContent = text;
    this.#error.hidden = text === '';
  }

  /** Records the chosen algorithms anew. */
  async #open(): Promise<void> {
    this.#pause();
    for (const { side } of this.#sides) side.close();
    const { settings, algorithm, versus, pace, step } = this.#state;
    const names = versus === null ? [algorithm] : [algorithm, versus];
    const sides = names.map(() => this.#newSide());
    this.#sides = sides;
    this.dataset.ready = 'false';
    this.#form.show(this.#state);
    this.#transport.showFunctions(null, this.#state.breakpoint);
    this.#views.replaceChildren(...sides.map(({ view }) => view.element));
    this.#main.classList.toggle('st-two', sides.length === 2);
    try {
      await Promise.all(sides.map(({ side }, i) => side.open(settings, names[i], step)));
    } catch (error) {
      if (this.#sides === sides) this.#showError(error instanceof Error ? error.message : '');
      return;
    }
    if (this.#sides !== sides) return;
    this.#places = new Places(
      sides.map(({ side }) => side),
      pace,
    );
    this.#transport.showFunctions(sides[0].side.overview, this.#state.breakpoint);
    this.#showCommand();
    this.go(this.#state.step);
  }

  /** The command that counts the same in a terminal. */
  #showCommand(): void {
    const { backing, layout, bytes, kernel } = this.#state.settings;
    const names = this.#sides.map(({ side }) => side.overview?.algorithm ?? '');
    const algorithms = [...new Set(names)].join(',');
    const memory = `--backing ${backing} --layout ${layout} --size ${formatSize(bytes)}`;
    const command = `pinfold compare ${memory} --kernel ${kernel} --algorithm ${algorithms} --base ${names[0]} --repeat 1 --json`;
    this.#command.replaceChildren(
      'The same counters in a terminal, of each of the two calls as a whole: ',
      h('code', {}, command),
    );
  }

  #newSide(): Shown {
    const worker = new Worker(new URL('./worker.ts', import.meta.url), { type: 'module' });
    const view = new SideView();
    view.showLoading('The model maps and unmaps once …');
    const onProgress = (steps: number): void =>
      view.showLoading(`The model maps and unmaps once: ${count(steps)} steps so far …`);
    return { side: new Side(worker, onProgress), view };
  }

  /** Shows the step, if it is here; else what is nearest, and gets it. */
  #render(): void {
    if (this.#sides.length === 0 || this.#sides.some(({ side }) => !side.overview)) return;
    const { step: wanted } = this.#state;
    const isReady = this.#places.isHere(wanted);
    const places = this.#places.at(wanted);
    this.#palette ??= readPalette(this);
    const counted = this.#sides.flatMap((shown, i) => this.#showSide(shown, places[i]));
    const [{ side }] = this.#sides;
    this.#told.show(counted[0], this.#state.breakpoint, this.#playing > 0, counted.length > 1);
    this.#transport.show(wanted, side.lastStep, this.#playing > 0);
    this.#trace.show(wanted, side.lastStep, (i) => side.step(i));
    this.#counters.show(counted);
    this.dataset.ready = String(isReady);
    this.dataset.step = String(wanted);
    if (!isReady || this.#playing === 0) void this.#fetch(isReady);
  }

  async #fetch(wasReady: boolean): Promise<void> {
    const places = this.#places;
    try {
      const fetched = await places.fetch(() => this.#state.step);
      if (!fetched || this.#places !== places) return;
    } catch (error) {
      this.#showError(error instanceof Error ? error.message : String(error));
      return;
    }
    if (!wasReady || this.dataset.ready !== 'true') this.#render();
  }

  #showSide({ side, view }: Shown, index: number): ShownStep[] {
    const { overview } = side;
    const step = side.step(index) ?? side.nearest(index);
    if (!overview || !step || !this.#palette) return [];
    view.showLoading(step.index === index ? '' : `Reading step ${count(index)} …`);
    view.show(step, overview, this.#state.settings.kernel, this.#palette);
    const before = step.index > 0 ? side.step(step.index - 1) : null;
    return [{ step, before, last: side.nearest(side.lastStep), overview }];
  }
}

const KEYS =
  'Keys, while the drawing has the focus: → and ← step (with Shift ten steps), space plays, Home and End, Page Down and Page Up go to the breakpoint.';

customElements.define('step-through', StepThrough);
