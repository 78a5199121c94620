/** The page "Step through a map": a mapping's life, step by step, under one algorithm or two. */
import { formatSize, InputError } from '@pinfold/base';
import { targetOf } from './beside.ts';
import { PAGE_STATES, type PageState as State } from './bands.ts';
import {
  DEFAULT_SPEED,
  isWide,
  SettingsForm,
  SPEEDS,
  Transport,
  type Commands,
} from './controls.ts';
import { CountersTable, type CountedStep } from './counters-table.ts';
import { h } from './dom.ts';
import { count, explain } from './explain.ts';
import { paceOf } from './player.ts';
import { Side } from './side.ts';
import { SideView } from './side-view.ts';
import { DEFAULT_STATE, readState, writeState, type PageState } from './settings.ts';
import type { Palette } from './scene.ts';
import { Col, FUNCTIONS, isCall, type Step } from './steps.ts';
import { TraceList } from './trace-list.ts';

/** Milliseconds after which the address follows. */
const ADDRESS_DELAY = 250;

/** An algorithm and its view. */
interface Shown {
  readonly side: Side;
  readonly view: SideView;
  /** Number of the step that is shown. */
  index: number;
}

/** The element of the page. */
class StepThrough extends HTMLElement implements Commands {
  #state: PageState = DEFAULT_STATE;
  #sides: Shown[] = [];
  #playing = 0;
  #perSecond = SPEEDS[DEFAULT_SPEED];
  /** The next step at which playing stops. */
  #stop = Infinity;
  /** Whose steps are being fetched. */
  #catchingUp: readonly Shown[] | null = null;
  /** Where the second algorithm was at a step of the first, as the worker has found out. */
  #located: { readonly step: number; readonly place: number | null } = { step: -1, place: null };
  #addressTimer = 0;
  #palette: Palette | null = null;

  readonly #form = new SettingsForm(this);
  readonly #transport = new Transport(this);
  readonly #counters = new CountersTable();
  readonly #trace = new TraceList((index) => this.go(index));
  readonly #call = h('code', { className: 'st-call' });
  readonly #text = h('p', { className: 'st-text' });
  readonly #during = h('p', { className: 'st-note st-during' });
  readonly #told = h(
    'div',
    { className: 'st-told', role: 'status' },
    ...[this.#call, this.#during, this.#text],
  );
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
    this.#told,
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
    const { settings, algorithm, versus, step } = this.#state;
    const names = versus === null ? [algorithm] : [algorithm, versus];
    const sides = names.map(() => this.#newSide());
    this.#sides = sides;
    this.#located = { step: -1, place: null };
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
    return { side: new Side(worker, onProgress), view, index: 0 };
  }

  /** Shows the step, if it is here; else what is nearest, and gets it. */
  #render(): void {
    if (this.#sides.length === 0 || this.#sides.some(({ side }) => !side.overview)) return;
    const isExact = this.#placeAll();
    this.#palette ??= readPalette(this);
    for (const shown of this.#sides) this.#showSide(shown, this.#palette);
    const [{ side, index }] = this.#sides;
    const step = side.step(index) ?? side.nearest(index);
    if (step) this.#tell(side, step);
    this.#transport.show(this.#state.step, side.lastStep, this.#playing > 0);
    this.#trace.show(index, side.lastStep, (i) => side.step(i));
    this.#counters.show(this.#sides.flatMap(countedStep));
    const isReady = isExact && this.#sides.every((one) => one.side.isHere(one.index));
    this.dataset.ready = String(isReady);
    this.dataset.step = String(index);
    if (!isExact || this.#playing === 0) void this.#catchUp(isReady);
  }

  /** Places all sides at the step; false if something is not here yet. */
  #placeAll(): boolean {
    const [first, second] = this.#sides;
    const { step } = this.#state;
    const here = first.side.step(step);
    first.index = step;
    if (!second) return here !== null;
    const place =
      this.#state.pace === 'step'
        ? Math.min(step, second.side.lastStep)
        : here && this.#placeBeside(first.side, second.side, here);
    if (place === null) return false;
    second.index = place;
    return here !== null && second.side.step(place) !== null;
  }

  /** The step of the second algorithm that is as far as one of the first, if that is known here. */
  #placeBeside(first: Side, second: Side, { row, index }: Step): number | null {
    if (this.#located.step === index && this.#located.place !== null) return this.#located.place;
    return second.locateHere(targetOf(row, npageOf(first)));
  }

  /** Gets what is not here; what was asked for meanwhile too. */
  async #catchUp(wasReady: boolean): Promise<void> {
    const sides = this.#sides;
    if (this.#catchingUp === sides) return;
    this.#catchingUp = sides;
    try {
      for (let step = -1; step !== this.#state.step && this.#sides === sides;) {
        step = this.#state.step;
        await this.#loadStep(sides, step);
      }
    } catch (error) {
      this.#showError(error instanceof Error ? error.message : String(error));
      return;
    }
    if (this.#sides !== sides) return;
    this.#catchingUp = null;
    if (!wasReady || this.dataset.ready !== 'true') this.#render();
  }

  async #loadStep([first, second]: readonly Shown[], step: number): Promise<void> {
    await first.side.load(step);
    const here = first.side.step(step);
    if (!second || !here) return;
    const isByStep = this.#state.pace === 'step';
    const place = isByStep
      ? Math.min(step, second.side.lastStep)
      : await second.side.locate(targetOf(here.row, npageOf(first.side)));
    await second.side.load(place);
    this.#located = { step, place: isByStep ? null : place };
  }

  #showSide({ side, view, index }: Shown, palette: Palette): void {
    const { overview } = side;
    const step = side.step(index) ?? side.nearest(index);
    if (!overview || !step) return;
    view.showLoading(step.index === index ? '' : `Reading step ${count(index)} …`);
    view.show(step, overview, this.#state.settings.kernel, palette);
  }

  /** Says what the step does. While it plays, a screen reader is left in peace. */
  #tell(side: Side, step: Step): void {
    const { overview } = side;
    if (!overview) return;
    const before = step.index > 0 ? side.step(step.index - 1) : null;
    const { call, text } = explain({ step, before, shape: overview.shape });
    this.#told.ariaLive = this.#playing > 0 ? 'off' : 'polite';
    this.#call.textContent = call;
    this.#text.textContent = text;
    const isStop = step.fn === this.#state.breakpoint && isCall(step.row);
    this.#told.classList.toggle('st-stopped', isStop);
    const ioctl = step.at(Col.phase) === 0 ? 'VFIO_IOMMU_MAP_DMA' : 'VFIO_IOMMU_UNMAP_DMA';
    const beside = this.#sides.length > 1 ? `, ${overview.algorithm}` : '';
    this.#during.textContent = `${isStop ? 'Breakpoint. ' : ''}During ${ioctl}${beside}`;
  }
}

const KEYS =
  'Keys, while the drawing has the focus: → and ← step (with Shift ten steps), space plays, Home and End, Page Down and Page Up go to the breakpoint.';

function npageOf(side: Side): number {
  return side.overview?.shape.npage ?? 0;
}

function countedStep({ side, index }: Shown): CountedStep[] {
  const step = side.step(index) ?? side.nearest(index);
  if (!step || !side.overview) return [];
  const before = step.index > 0 ? side.step(step.index - 1) : null;
  return [{ algorithm: side.overview.algorithm, step, before, last: side.nearest(side.lastStep) }];
}

/** What the colours mean. */
function legend(): HTMLElement {
  const states = Object.entries(PAGE_STATES) as [State, string][];
  const items = states
    .filter(([state]) => state !== 'released')
    .map(([state, text]) => h('li', {}, h('span', { className: `st-swatch st-${state}` }), text));
  items.push(
    h('li', {}, h('span', { className: 'st-swatch st-next' }), 'page in question'),
    h('li', {}, h('span', { className: 'st-swatch st-needed' }), 'frame that the chunk needs'),
  );
  const list = h('ul', { className: 'st-legend' }, ...items);
  list.ariaLabel = 'Colours';
  return list;
}

function readPalette(element: HTMLElement): Palette {
  const style = getComputedStyle(element);
  const colour = (name: string): string => style.getPropertyValue(`--st-${name}`).trim();
  return {
    idle: colour('idle'),
    pinned: colour('pinned'),
    chunk: colour('chunk'),
    mapped: colour('mapped'),
    waiting: colour('waiting'),
    released: colour('released'),
    text: colour('text'),
    muted: colour('muted'),
    line: colour('line'),
    background: colour('background'),
    wrong: colour('wrong'),
    absent: colour('absent'),
  };
}

customElements.define('step-through', StepThrough);
