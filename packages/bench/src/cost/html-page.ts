/**
 * A report as one self-contained HTML page: plots by Observable Plot, whose text is inside, so that the
 * page needs no network. It follows the reader's light or dark scheme and the width of the window.
 */
import { sum } from 'simple-statistics';
import { publishedRecords } from '../published/records.ts';
import type { Calibration, Profile } from './calibration.ts';
import { calibrate, UNCALIBRATED } from './calibration.ts';
import { errorSummary, percentText, predictedRows, secondsText } from './calibration-report.ts';
import { costParts } from './classes.ts';
import { estimateVm, type EstimatedHost, type EstimatedVm } from './estimate.ts';
import { linkOf } from './link.ts';
import { countersOf } from './workload.ts';
import { operations } from '../operations.ts';

/** The texts of the libraries that the page needs. */
export interface PlotLibraries {
  /** d3, as one script. */
  readonly d3: string;
  /** Observable Plot, as one script. */
  readonly plot: string;
}

/** What a page about an estimate shows. */
export interface HtmlEstimate {
  /** The guests. */
  readonly vms: readonly EstimatedVm[];
  /** One host per kernel. */
  readonly hosts: readonly EstimatedHost[];
  /** The costs. */
  readonly profile: Profile;
}

interface Section {
  readonly id: string;
  readonly heading: string;
  readonly text: string;
}

/** A published time beside its prediction and the operations of the call. */
interface ComparedPoint {
  readonly label: string;
  readonly measured: number;
  readonly predicted: number;
  readonly low: number;
  readonly high: number;
  readonly operations: number;
}

const GIB = 2 ** 30;

/**
 * The page of an estimate: published beside predicted beside operations, scaling from 1 GiB to 1 TiB,
 * and what the estimate is made of.
 *
 * @param estimate guest, hosts and costs
 * @param libraries texts of the libraries
 * @returns HTML
 */
export function estimateHtml(estimate: HtmlEstimate, libraries: PlotLibraries): string {
  const { vms, profile } = estimate;
  const guests = vms.map(guestText).join(', ');
  const sections: Section[] = [
    {
      id: 'parts',
      heading: 'What the time is made of',
      text: `Predicted kernel time of ${guests}, in seconds; whiskers: 90 % interval of the sum.`,
    },
    {
      id: 'scaling',
      heading: 'From 1 GiB to 1 TiB',
      text: 'Predicted kernel time of the same guests at other sizes; the bands are 90 % intervals. Both scales are logarithmic.',
    },
  ];
  const name = profile.name === UNCALIBRATED ? 'li-zhe-2025' : profile.name;
  const found = calibrate({ profiles: [name] });
  const data = {
    parts: partsData(estimate),
    totals: cases(estimate).flatMap(({ name, vm, host }) => {
      const { map, unmap } = estimateVm(vm, host, profile);
      return [
        { of: `${name} map`, ...only(map) },
        { of: `${name} unmap`, ...only(unmap) },
      ];
    }),
    scaling: scalingData(estimate),
    compared: comparedData(found),
  };
  const compared = comparedSection(found, name);
  return page(
    `Mapping ${guests}`,
    `Every time on this page is predicted kernel time by the profile ${profile.name} (${profile.host}), unless it is called published.`,
    [...sections, ...compared],
    data,
    libraries,
  );
}

/**
 * The page of a calibration: published beside predicted beside operations, and all rows.
 *
 * @param found the calibration
 * @param libraries texts of the libraries
 * @returns HTML
 */
export function calibrationHtml(found: Calibration, libraries: PlotLibraries): string {
  const names = found.profiles.map(({ name }) => name).join(', ');
  const data = { parts: [], totals: [], scaling: [], compared: comparedData(found) };
  return page(
    'Predicted and measured',
    `Measurements beside predictions by the profiles ${names}.`,
    comparedSection(found, names),
    data,
    libraries,
    rowsTable(found),
  );
}

function only({ seconds, low, high }: { seconds: number; low: number; high: number }): object {
  return { seconds, low, high };
}

function guestText({ name, bytes, backing }: EstimatedVm): string {
  return `${name}: ${bytes / GIB} GiB of ${backing}`;
}

/** A guest on a kernel, and what plots call it. */
interface Case {
  readonly name: string;
  readonly vm: EstimatedVm;
  readonly host: EstimatedHost;
}

function cases({ vms, hosts }: HtmlEstimate): Case[] {
  return vms.flatMap((vm) =>
    hosts.map((host) => {
      const name = vms.length === 1 ? host.kernel : `${vm.name} ${host.kernel}`;
      return { name, vm, host };
    }),
  );
}

function partsData(estimate: HtmlEstimate): object[] {
  return cases(estimate).flatMap(({ name, vm, host }) => {
    const times = estimateVm(vm, host, estimate.profile);
    return (['map', 'unmap'] as const).flatMap((call) =>
      costParts.map((part) => ({
        ...{ of: `${name} ${call}`, part, seconds: times[call].parts[part] },
      })),
    );
  });
}

function scalingData(all: HtmlEstimate): object[] {
  return cases(all).flatMap(({ name, vm, host }) =>
    Array.from({ length: 11 }, (_, power) => 2 ** power).flatMap((gib) => {
      const estimate = estimateVm({ ...vm, bytes: gib * GIB }, host, all.profile);
      return (['map', 'unmap'] as const).map((call) => {
        return { call, kernel: name, gib, ...only(estimate[call]) };
      });
    }),
  );
}

function comparedData({ rows }: Calibration): ComparedPoint[] {
  const known = new Set(publishedRecords().map(({ id }) => id));
  return rows.flatMap(({ record, use, seconds, predicted }) => {
    if ((use !== 'fitted' && use !== 'held out') || seconds === null || !predicted) return [];
    const { workload } = linkOf(record);
    if (workload === null || !known.has(record.id)) return [];
    const counters = countersOf(workload);
    const op = workload.call === 'unmap' || workload.call === 'put' ? 'unmap' : 'map';
    return [
      {
        label: record.id,
        measured: seconds,
        predicted: predicted.seconds,
        low: predicted.low,
        high: predicted.high,
        operations: sum(operations[op].map((counter) => counters[counter])),
      },
    ];
  });
}

function comparedSection(found: Calibration, names: string): Section[] {
  const summary = errorSummary(
    found.rows.filter(({ use }) => use === 'fitted' || use === 'held out'),
  );
  if (summary === null) return [];
  const { n, mean, worst, covered } = summary;
  return [
    {
      id: 'compared',
      heading: 'Published, predicted, and operations',
      text: `${n} measurements, profile ${names}: error ${percentText(mean)} on average, ${percentText(worst)} at worst, ${percentText(covered)} within the 90 % interval. Circle: published; line and bar: predicted with its interval. Below: operations of the same calls, exact counts.`,
    },
  ];
}

function rowsTable(found: Calibration): string {
  const rows = predictedRows(found).map((row) => {
    const error =
      row.predicted !== null && row.seconds !== null && row.seconds > 0
        ? percentText(row.predicted / row.seconds - 1, true)
        : '';
    const seconds = (value: number | null): string => (value === null ? '' : secondsText(value));
    const interval = row.low === null ? '' : `${seconds(row.low)} to ${seconds(row.high)}`;
    const cells = [
      row.id,
      row.profile,
      seconds(row.seconds),
      seconds(row.predicted),
      interval,
      error,
    ];
    const said = row.excluded === undefined ? row.use : `${row.use}: ${row.excluded}`;
    return `<tr>${[...cells, said].map((cell) => `<td>${escaped(cell)}</td>`).join('')}</tr>`;
  });
  const heads = [
    'measurement',
    'profile',
    'measured',
    'predicted',
    '90 % interval',
    'error',
    'use',
  ];
  const head = heads.map((text) => `<th scope="col">${text}</th>`).join('');
  return `<section><h2>All measurements</h2><div class="wide"><table><thead><tr>${head}</tr></thead><tbody>${rows.join('\n')}</tbody></table></div></section>`;
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}

/** A library inside a script element. */
function inScript(text: string): string {
  return `<script>${text.replaceAll('</script', '<\\/script')}</script>`;
}

function page(
  title: string,
  about: string,
  sections: readonly Section[],
  data: object,
  { d3, plot }: PlotLibraries,
  more = '',
): string {
  const body = sections.map(
    ({ id, heading, text }) =>
      `<section><h2>${escaped(heading)}</h2><p>${escaped(text)}</p><figure id="${id}" role="img" aria-label="${escaped(heading)}"></figure></section>`,
  );
  const json = JSON.stringify(data).replaceAll('<', '\\u003c');
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:">
<title>${escaped(title)} - pinfold</title>
<style>${STYLE}</style>
</head>
<body>
<main>
<h1>${escaped(title)}</h1>
<p>${escaped(about)}</p>
${body.join('\n')}
${more}
</main>
${inScript(d3)}
${inScript(plot)}
<script>const data = ${json};
${SCRIPT}</script>
</body>
</html>
`;
}

const STYLE = `
:root { color-scheme: light dark; --text: #1b1b1f; --page: #ffffff; --rule: #d5d5dd; }
@media (prefers-color-scheme: dark) { :root { --text: #e8e8ee; --page: #17171c; --rule: #3a3a46; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--text); font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 64rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.6rem; line-height: 1.25; } h2 { font-size: 1.2rem; margin-top: 2.5rem; }
figure { margin: 0; } figure svg { max-width: 100%; height: auto; overflow: visible; }
figure > div { margin: 0; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: 0.85rem; }
td, th { border-bottom: 1px solid var(--rule); padding: 0.25rem 0.6rem; text-align: left; vertical-align: top; }
`;

/** Draws the plots; d3 and Plot are global. The colours are legible on light and on dark. */
const SCRIPT = `
const colours = ['#2f7ed8', '#e07b00', '#1f9d55', '#c0392b', '#8e5bd0'];
const style = { background: 'transparent', color: 'currentColor', fontSize: '12px', overflow: 'visible' };
function width(figure) { return Math.max(280, Math.min(figure.clientWidth, 1000)); }
function draw() {
  for (const [id, make] of Object.entries(plots)) {
    const figure = document.getElementById(id);
    if (figure) figure.replaceChildren(...make(width(figure)));
  }
}
const plots = {
  parts(width) {
    return [Plot.plot({
      width, style, marginLeft: 100, marginRight: 30,
      color: { legend: true, range: colours },
      x: { label: 'predicted seconds', grid: true }, y: { label: null },
      marks: [
        Plot.barX(data.parts, { y: 'of', x: 'seconds', fill: 'part', tip: true }),
        Plot.ruleY(data.totals, { y: 'of', x1: 'low', x2: 'high', strokeWidth: 1.5 }),
        Plot.ruleX([0]),
      ],
    })];
  },
  scaling(width) {
    return ['map', 'unmap'].map((call) => Plot.plot({
      width, height: 300, style, marginLeft: 60, subtitle: call,
      color: { legend: true, range: colours },
      x: { type: 'log', base: 2, label: 'GiB', tickFormat: 'd', grid: true },
      y: { type: 'log', label: 'predicted seconds', grid: true, tickFormat: '~g' },
      marks: [
        Plot.areaY(data.scaling.filter((d) => d.call === call), { x: 'gib', y1: 'low', y2: 'high', fill: 'kernel', fillOpacity: 0.18 }),
        Plot.lineY(data.scaling.filter((d) => d.call === call), { x: 'gib', y: 'seconds', stroke: 'kernel', strokeWidth: 2, tip: true }),
      ],
    }));
  },
  compared(width) {
    const labels = d3.sort(data.compared, (d) => d.label).map((d) => d.label);
    const narrow = width < 520;
    const common = {
      width, style, height: labels.length * 15 + 60, marginLeft: narrow ? 16 : 290, marginRight: 20, marginTop: 30,
      y: { domain: labels, label: null, ticks: narrow ? [] : undefined, tickSize: 0 },
    };
    const names = narrow ? [Plot.text(data.compared, { y: 'label', frameAnchor: 'left', text: 'label', textAnchor: 'start', dx: 2, fillOpacity: 0.55, fontSize: 9 })] : [];
    return [
      Plot.plot({
        ...common,
        color: { legend: true, domain: ['published', 'predicted'], range: [colours[1], colours[0]] },
        x: { type: 'log', label: 'seconds', grid: true, tickFormat: '~g', axis: 'top' },
        marks: [
          ...names,
          Plot.ruleY(data.compared, { y: 'label', x1: (d) => Math.max(d.low, d.predicted / 100), x2: 'high', stroke: colours[0], strokeWidth: 3, strokeOpacity: 0.45 }),
          Plot.tickX(data.compared, { y: 'label', x: 'predicted', stroke: () => 'predicted', strokeWidth: 2 }),
          Plot.dot(data.compared, { y: 'label', x: 'measured', stroke: () => 'published', r: 4, tip: true }),
        ],
      }),
      Plot.plot({
        ...common,
        x: { type: 'log', label: 'operations', grid: true, tickFormat: '~s', axis: 'top' },
        marks: [...names, Plot.barX(data.compared, { y: 'label', x1: 1000, x2: 'operations', fill: colours[2], fillOpacity: narrow ? 0.4 : 0.8, tip: true })],
      }),
    ];
  },
};
draw();
let last = innerWidth;
addEventListener('resize', () => { if (innerWidth !== last) { last = innerWidth; draw(); } });
`;
