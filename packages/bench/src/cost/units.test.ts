import { expect, it } from 'vitest';
import { countAllUnits } from './count-units.ts';
import units from './units.json' with { type: 'json' };

it('units.json holds what the model counts', () => {
  expect(countAllUnits()).toEqual(units);
}, 600_000);
