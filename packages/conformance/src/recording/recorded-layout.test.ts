import type { LayoutExtent } from '@pinfold/scenario';
import { describe, expect, it } from 'vitest';
import { withWholeFolios } from './recorded-layout.ts';
import type { RecordedStep } from './recording.ts';

function putRight(extents: LayoutExtent[]): readonly LayoutExtent[] | undefined {
  const layout: RecordedStep['layout'] = { A: extents };
  const step: RecordedStep = {
    ...{ op: 'touch', line: '', ret: 0, errno: null, mm: { VmLck: 0 }, memlock: null, layout },
    pins: { acquired: 0, released: 0 },
  };
  return withWholeFolios(step).layout?.A;
}

describe('pages whose kind the recorder did not see', () => {
  it.each<[string, LayoutExtent[], LayoutExtent[]]>([
    [
      'are those of the folio that goes on behind them',
      [
        [0, 512, 50, 0, 'x'],
        [50, 562, 462, 9, 'atx'],
      ],
      [
        [0, 512, 50, 9, 'atx'],
        [50, 562, 462, 9, 'atx'],
      ],
    ],
    [
      'are those of the folio that begins before them',
      [
        [0, 512, 462, 9, 'atx'],
        [462, 974, 50, 0, ''],
      ],
      [
        [0, 512, 462, 9, 'atx'],
        [462, 974, 50, 9, 'atx'],
      ],
    ],
    [
      'stay unknown beside another folio',
      [
        [0, 511, 1, 0, 'x'],
        [1, 512, 512, 9, 'atx'],
      ],
      [
        [0, 511, 1, 0, 'x'],
        [1, 512, 512, 9, 'atx'],
      ],
    ],
    [
      'stay unknown where frames do not go on',
      [
        [0, 512, 50, 0, 'x'],
        [50, 600, 400, 9, 'atx'],
      ],
      [
        [0, 512, 50, 0, 'x'],
        [50, 600, 400, 9, 'atx'],
      ],
    ],
  ])('%s', (_, recorded, expected) => {
    expect(putRight(recorded)).toEqual(expected);
  });
});

describe('pages that the recorder read as small ones of a large folio', () => {
  it.each<[string, LayoutExtent[], LayoutExtent[]]>([
    [
      'are those of the folio whose frames are around them',
      [
        [0, 1024, 128, 0, 'fx'],
        [128, 1152, 384, 9, 'tfx'],
      ],
      [
        [0, 1024, 128, 9, 'tfx'],
        [128, 1152, 384, 9, 'tfx'],
      ],
    ],
    [
      'stay small where their frames are those before the folio',
      [
        [0, 1020, 4, 0, 'fx'],
        [4, 1024, 512, 9, 'tfx'],
      ],
      [
        [0, 1020, 4, 0, 'fx'],
        [4, 1024, 512, 9, 'tfx'],
      ],
    ],
    [
      'stay small where a folio next to them is as small',
      [
        [0, 1024, 4, 2, 'ax'],
        [4, 1028, 4, 2, 'a'],
      ],
      [
        [0, 1024, 4, 2, 'ax'],
        [4, 1028, 4, 2, 'a'],
      ],
    ],
  ])('%s', (_, recorded, expected) => {
    expect(putRight(recorded)).toEqual(expected);
  });
});
