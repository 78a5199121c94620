/** The texts of the plotting libraries that HTML pages carry; in the bundle they lie inside. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { PlotLibraries } from '@pinfold/bench';

/**
 * Reads the libraries.
 *
 * @returns their texts
 */
export function plotLibraries(): PlotLibraries {
  return {
    d3: libraryText('d3', 'd3.min.js'),
    plot: libraryText('@observablehq/plot', 'plot.umd.min.js'),
  };
}

/** A file in the `dist` of a package; the build replaces the calls by the texts. */
function libraryText(name: string, file: string): string {
  return readFileSync(fileURLToPath(new URL(`../dist/${file}`, import.meta.resolve(name))), 'utf8');
}
