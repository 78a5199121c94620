/** The explanation of a step, for a terminal. */
import type { Explanation } from '@pinfold/guest';
import { kernelVersion } from '@pinfold/kernels';
import type { Scenario } from '@pinfold/scenario';
import { standingOut } from './output.ts';
import { wrapped } from './table.ts';

/**
 * What is said of a step.
 *
 * @param explanation the step, and what there is to say
 * @param kernel the release that it ran on, to compare the others with
 * @returns its line, its outcome, and wrapped sentences
 */
export function explanationText(explanation: Explanation, kernel: string): string {
  const { line, text: step, errno, at, sentences } = explanation;
  const outcome = errno === null ? 'succeeds' : `${errno}${at ? ` from ${at}` : ''}`;
  const body = [...sentences, otherReleases(kernel, explanation)].filter((part) => part !== '');
  const refused = errno === null ? outcome : standingOut(outcome);
  const heading = wrapped(step, '          ', `line ${line}  `);
  return `${heading}  ${refused}\n${body.map((part) => wrapped(part, '    ')).join('')}`;
}

/**
 * What was left out because a step cannot be done.
 *
 * @param scenario the scenario
 * @param done number of the steps that were done
 * @returns a paragraph with an empty line before it; empty if all were
 */
export function notDoneText({ steps }: Scenario, done: number): string {
  const [next, ...others] = steps.slice(done);
  if (!next) return '';
  const rest = others.length > 0 ? ', nor was what comes after it' : '';
  return `\nLine ${next.line} was not done${rest}.\n`;
}

/** What the other releases make of the step. */
function otherReleases(kernel: string, { errno, releases }: Explanation): string {
  const series = kernelVersion(kernel).series;
  const others = Object.entries(releases).filter(([name]) => name !== series);
  if (others.length === 0) return '';
  const same = others.filter(([, outcome]) => outcome === errno).map(([name]) => name);
  const different = others.filter(([, outcome]) => outcome !== errno);
  const words = [
    ...(different.length > 0
      ? [different.map(([name, outcome]) => `${name} ${outcome ?? 'passes'}`).join(', ')]
      : []),
    ...(same.length > 0 ? [`${same.join(', ')} the same`] : []),
  ];
  return `Other releases: ${words.join('; ')}.`;
}
