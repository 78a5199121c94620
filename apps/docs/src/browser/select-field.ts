/** A list to choose from, with its label. */
import { html, type TemplateResult } from 'lit-html';

/** Something to choose: its value, and what the user reads. */
export type Choice = readonly [value: string, label: string];

/** What a field is made of. */
export interface SelectField {
  /** Id of the element, one of its kind on the page. */
  readonly id: string;
  readonly label: string;
  /** What is chosen. */
  readonly value: string;
  readonly choices: readonly Choice[];
  /** More choices, under headings. */
  readonly groups?: readonly (readonly [label: string, choices: readonly Choice[]])[];
  readonly onChoose: (value: string) => void;
}

/**
 * Draws the field.
 *
 * @param field what it is made of
 * @returns the field
 */
export function selectField(field: SelectField): TemplateResult {
  const { id, label, value, choices, groups = [], onChoose } = field;
  const option = ([of, text]: Choice): TemplateResult =>
    html`<option value=${of} ?selected=${of === value}>${text}</option>`;
  return html`<div>
    <label for=${id}>${label}</label>
    <select id=${id} .value=${value} @change=${(event: Event) => onChoose(valueOf(event))}>
      ${choices.map(option)}
      ${groups.map(([name, of]) => html`<optgroup label=${name}>${of.map(option)}</optgroup>`)}
    </select>
  </div>`;
}

function valueOf({ target }: Event): string {
  return target instanceof HTMLSelectElement ? target.value : '';
}
