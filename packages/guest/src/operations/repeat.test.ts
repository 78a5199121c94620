import { InputError } from '@pinfold/base';
import { describe, expect, it } from 'vitest';
import { parseScenario } from './index.ts';

const HEAD = ['open type=v2', 'mmap name=R kind=anon size=64K'];

function stepsOf(...lines: string[]): string[] {
  return parseScenario([...HEAD, ...lines], 'a.scn')
    .steps.slice(2)
    .map(({ text }) => text);
}

function faultOf(...lines: string[]): string {
  try {
    parseScenario([...HEAD, ...lines], 'a.scn');
  } catch (error) {
    if (error instanceof InputError) return error.message;
    throw error;
  }
  return 'none';
}

describe('repeat=', () => {
  it('stands for plain steps, each with its own values', () => {
    expect(stepsOf('map iova=1G+0x2000*i va=R+4K*i size=4K repeat=3 # a comment')).toEqual([
      'map iova=1G+0x0 va=R+0K size=4K',
      'map iova=1G+0x2000 va=R+4K size=4K',
      'map iova=1G+0x4000 va=R+8K size=4K',
    ]);
  });

  it('is read as those plain steps are: the same steps, on the same line', () => {
    const [repeated, plain] = ['touch va=R+1P*i size=1P repeat=2', ''].map((line, second) =>
      parseScenario(
        [...HEAD, ...(second ? ['touch va=R+0P size=1P', 'touch va=R+1P size=1P'] : [line])],
        'a.scn',
      ).steps.slice(2),
    );
    const regions = new Map([['R', { va: 0x1000n, size: 0x10000n }]]);
    expect(repeated.map((step) => step.evaluate(regions))).toEqual(
      plain.map((step) => step.evaluate(regions)),
    );
    expect(repeated.map(({ line, place }) => [line, place])).toEqual([
      [3, 'a.scn:3'],
      [3, 'a.scn:3'],
    ]);
    expect(repeated[1].repeated).toEqual({ i: 1, text: 'touch va=R+1P*i size=1P repeat=2' });
    expect(plain[1].repeated).toBeUndefined();
  });

  it('is for every op, on any argument', () => {
    expect(
      stepsOf('addext dev=ext0', 'pin dev=ext0 iova=8K*i n=1 repeat=2', 'info repeat=2'),
    ).toEqual([
      'addext dev=ext0',
      'pin dev=ext0 iova=0K n=1',
      'pin dev=ext0 iova=8K n=1',
      'info',
      'info',
    ]);
  });

  it('leaves regions of the name i alone', () => {
    const lines = ['mmap name=i kind=anon size=4K', 'touch va=i size=1P repeat=1'];
    expect(stepsOf(...lines)).toEqual([lines[0], 'touch va=i size=1P']);
  });

  it.each([
    ['info repeat=0', 'a.scn:3: repeat: expected a number of steps from 1 to 131072'],
    ['info repeat=131073', 'a.scn:3: repeat: expected a number of steps from 1 to 131072'],
    ['info repeat=-1', 'a.scn:3: repeat: expected a number of steps'],
    ['info repeat=1e3', 'a.scn:3: repeat: expected a number of steps'],
    ['info repeat=2 repeat=2', 'a.scn:3: expected repeat= once'],
    ['touch va=4K*i size=1P', 'a.scn:3: va: expected a number'],
    ['mmap name=S kind=anon size=4K repeat=2', 'a.scn:3: expected a name that no other region has'],
    ['map iova=1T*i va=0 size=4K repeat=2 size=4K', 'a.scn:3: expected size= once'],
  ])('%s is refused', (line, message) => {
    expect(faultOf(line)).toContain(message);
  });
});
