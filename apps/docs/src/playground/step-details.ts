/** What there is to see of one step: why it failed, its calls, the IOMMU's leaves, where memory lies. */
import type { Explanation } from '@pinfold/guest';
import type { IommuTable, LayoutExtent } from '@pinfold/scenario';
import { html, nothing, type TemplateResult } from 'lit-html';
import type { LevelOutcome, Shown, StepOutcome } from './outcome.ts';

/** Runs and extents that are listed; more say nothing new on a screen. */
const MAX_LISTED = 50;

/**
 * Draws the details of a step.
 *
 * @param step the step
 * @param recorded kernel of the recording; null without one
 * @returns the details
 */
export function stepDetails(step: StepOutcome, recorded: string | null): TemplateResult {
  const { line, text, model, explanation, levels } = step;
  return html`<section class="details" aria-label="Details of a step">
    <h2>${line === 0 ? text : html`Line ${line}: <code>${text}</code>`}</h2>
    ${explanation ? explanationOf(explanation) : nothing}
    ${(model?.observation.klog ?? []).map((message) => listing('Kernel message', message))}
    ${levels.length > 0 ? comparisonOf(levels) : nothing} ${callsOf(step, recorded)}
    ${model?.table ? tableOf(model.table) : nothing} ${model ? layoutOf(model) : nothing}
  </section>`;
}

function explanationOf({ errno, at, sentences, releases }: Explanation): TemplateResult {
  const others = Object.entries(releases);
  const outcome = errno === null ? 'It succeeds, but' : `${errno}${at ? ` from ${at}` : ''}:`;
  return html`<div class="explanation">
    <p><strong>${outcome}</strong> ${sentences.join(' ')}</p>
    ${
      others.length > 0
        ? html`<p>
            Other releases:
            ${others.map(([series, other]) => `${series} ${other ?? 'succeeds'}`).join(', ')}.
          </p>`
        : nothing
    }
  </div>`;
}

/** What was compared with the real kernel, and what differs. */
function comparisonOf(levels: readonly LevelOutcome[]): TemplateResult {
  return html`<p>
      Compared with the real kernel:
      ${levels.map(({ level, verdict }) => `${level} ${verdict}`).join(', ')}.
    </p>
    <ul>
      ${levels.flatMap(({ details }) => details.map((text) => html`<li><code>${text}</code></li>`))}
    </ul>`;
}

/** Of a recording both traces, line by line as recorded; else a function graph. */
function callsOf({ calls, events, recorded }: StepOutcome, kernel: string | null): TemplateResult {
  const theirs = recorded?.observation.trace ?? [];
  if (calls.length === 0 && theirs.length === 0) return html``;
  const count = `${events.toLocaleString('en')} entries and returns`;
  if (kernel === null) {
    return html`<h3>Calls</h3>
      <p>${count}</p>
      ${listing('Calls of the step', calls.join('\n'))}`;
  }
  return html`<h3>Calls</h3>
    <div class="beside">
      <div>
        <p>Linux ${kernel}</p>
        ${listing('Calls of the kernel', theirs.join('\n'))}
      </div>
      <div>
        <p>Model, ${count}</p>
        ${listing('Calls of the model', calls.join('\n'))}
      </div>
    </div>`;
}

function listing(label: string, text: string): TemplateResult {
  return html`<pre tabindex="0" role="region" aria-label=${label}>${text}</pre>`;
}

function tableOf({ runs, runs_total, pt_pages }: IommuTable): TemplateResult {
  if (runs.length === 0) return html``;
  const lines = runs
    .slice(0, MAX_LISTED)
    .map(([iova, phys, size, leaf, access]) => `${iova} → ${phys}  ${size} ${leaf} ${access}`);
  return html`<h3>IOMMU page table after the step</h3>
    <p>
      Runs of adjacent leaves: IOVA, physical address, size, leaf size, access; ${pt_pages}
      page-table pages.
    </p>
    ${listing('Runs of leaves', withMore(lines, runs_total))}`;
}

function layoutOf({ observation: { layout = {} } }: Shown): TemplateResult {
  const regions = Object.entries(layout).filter(([, extents]) => extents.length > 0);
  if (regions.length === 0) return html``;
  return html`<h3>Where memory lies now</h3>
    <p>
      Per region: first page, first frame, pages, folio order, kind (a anonymous, f file, h hugetlb,
      t large folio, x exclusive, z zero page).
    </p>
    ${regions.map(([name, extents]) =>
      listing(`Layout of ${name}`, `${name}\n${withMore(extents.map(extentText), extents.length)}`),
    )}`;
}

function extentText([off, pfn, n, order, flags]: LayoutExtent): string {
  return `  +${off}  pfn 0x${pfn.toString(16)}  ${n} pages  order ${order}  ${flags}`;
}

function withMore(lines: readonly string[], total: number): string {
  const shown = lines.slice(0, MAX_LISTED);
  const more = total - shown.length;
  return [...shown, ...(more > 0 ? [`and ${more.toLocaleString('en')} more`] : [])].join('\n');
}
