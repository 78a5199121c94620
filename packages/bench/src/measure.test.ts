import { Counters, ModelBug, Slot } from '@pinfold/base';
import { describe, expect, it } from 'vitest';
import { measure, type Clock, type Workload } from './measure.ts';

/** A clock that a workload turns on. */
class FakeClock {
  now = 0;
  readonly read: Clock = () => this.now;
}

/** What a fake workload does in each repetition: milliseconds and the amount of one counter. */
interface Step {
  readonly ms: number;
  readonly fills?: number;
  readonly dirtyLocks?: number;
}

class FakeWorkload implements Workload {
  readonly counters: Counters = new Counters();
  readonly #name: string;
  readonly #steps: readonly Step[];
  readonly #clock: FakeClock;
  readonly #log: string[];
  #repetition = 0;

  constructor(name: string, steps: readonly Step[], clock: FakeClock, log: string[] = []) {
    this.#name = name;
    this.#steps = steps;
    this.#clock = clock;
    this.#log = log;
  }

  map(): void {
    const { ms, fills = 0, dirtyLocks = 0 } = this.#steps[this.#repetition++];
    this.#log.push(`${this.#name} map`);
    this.#clock.now += ms;
    this.counters.add(Slot.pageFills, fills);
    this.counters.add(Slot.dirtyLocks, dirtyLocks);
  }

  unmap(): void {
    this.#log.push(`${this.#name} unmap`);
    this.#clock.now += 1;
  }

  checkReleased(): void {
    this.#log.push(`${this.#name} check`);
  }
}

function measureOne(steps: readonly Step[]): ReturnType<typeof measure>[number] {
  const clock = new FakeClock();
  const workload = new FakeWorkload('a', steps, clock);
  return measure([workload], { repeat: steps.length, clock: clock.read })[0];
}

describe('measure', () => {
  it('gives minimum and median of all repetitions', () => {
    const { map, unmap } = measureOne([{ ms: 30 }, { ms: 10 }, { ms: 12 }]);
    expect(map.repetitionMs).toEqual([30, 10, 12]);
    expect(map.modelMs).toEqual({ min: 10, median: 12 });
    expect(unmap.modelMs).toEqual({ min: 1, median: 1 });
  });

  it('takes the workloads in turn, and looks for what is left after every round', () => {
    const clock = new FakeClock();
    const log: string[] = [];
    const rounds: number[] = [];
    const workloads = ['a', 'b'].map(
      (name) => new FakeWorkload(name, [{ ms: 1 }, { ms: 1 }], clock, log),
    );
    measure(workloads, { repeat: 2, clock: clock.read, onRound: (round) => rounds.push(round) });
    const round = ['a map', 'a unmap', 'a check', 'b map', 'b unmap', 'b check'];
    expect(log).toEqual([...round, ...round]);
    expect(rounds).toEqual([0, 1]);
  });

  it('warms every workload up, for a time and once at least, before the first round', () => {
    const clock = new FakeClock();
    const log: string[] = [];
    const steps = [{ ms: 9 }, { ms: 5 }, { ms: 3 }, { ms: 4 }];
    const [quick, slow] = [steps, [{ ms: 30 }, { ms: 7 }, { ms: 8 }]].map(
      (times, i) => new FakeWorkload('ab'[i], times, clock, log),
    );
    const [a, b] = measure([quick, slow], { repeat: 2, clock: clock.read, warmUpMs: 12 });
    expect([a.map.repetitionMs, b.map.repetitionMs]).toEqual([
      [3, 4],
      [7, 8],
    ]);
    const round = (name: string): string[] =>
      ['map', 'unmap', 'check'].map((op) => `${name} ${op}`);
    expect(log.slice(0, 9)).toEqual(['a', 'a', 'b'].flatMap(round));
  });

  it('counts one operation, not all repetitions', () => {
    const { map, unmap } = measureOne([
      { ms: 1, fills: 7 },
      { ms: 1, fills: 7 },
    ]);
    expect(map.counters.pageFills).toBe(7);
    expect(unmap.counters.pageFills).toBe(0);
  });

  it('gives the counters of the last repetition, where first ones have settled', () => {
    const steps = [{ ms: 1, dirtyLocks: 9 }, { ms: 1 }, { ms: 1 }];
    expect(measureOne(steps).map.counters.dirtyLocks).toBe(0);
  });

  it('refuses repetitions that counted other work', () => {
    const unlike = [
      { ms: 1, fills: 7 },
      { ms: 1, fills: 8 },
    ];
    expect(() => measureOne(unlike)).toThrow(
      new ModelBug('map: repetition 2 counted other work: pageFills 7, then 8'),
    );
    const unsettled = [{ ms: 1 }, { ms: 1, dirtyLocks: 1 }, { ms: 1 }];
    expect(() => measureOne(unsettled)).toThrow(
      new ModelBug('map: repetition 3 counted other work: dirtyLocks 1, then 0'),
    );
  });

  it('says which workload has failed', () => {
    const clock = new FakeClock();
    const workloads = [[{ ms: 1 }, { ms: 1 }], [{ ms: 1 }]].map(
      (steps, i) => new FakeWorkload(String(i), steps, clock),
    );
    const failureOf = (error: unknown, index: number): Error =>
      new Error(`workload ${index} fails`, { cause: error });
    expect(() => measure(workloads, { repeat: 2, clock: clock.read, failureOf })).toThrow(
      'workload 1 fails',
    );
  });

  it('refuses to measure nothing', () => {
    expect(() => measureOne([])).toThrow(RangeError);
  });
});
