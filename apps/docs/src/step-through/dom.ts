/** Making elements. */

/** What an element is made with: properties; those with a dash are attributes. */
export type Props = Readonly<Record<string, unknown>>;

/**
 * Makes an element.
 *
 * @param tag its tag
 * @param props its properties and attributes
 * @param children what is in it
 * @returns the element
 */
export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  props: Props = {},
  ...children: readonly (Node | string)[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (name.includes('-') || name === 'for') element.setAttribute(name, String(value));
    else Object.assign(element, { [name]: value });
  }
  element.append(...children);
  return element;
}

/** An entry of a menu. */
export interface Choice {
  /** Its value. */
  readonly value: string;
  /** What is written there. */
  readonly label: string;
}

/**
 * Makes a menu with its label.
 *
 * @param label the label
 * @param onChange called with the value that was chosen
 * @returns the label with the menu in it, and the menu
 */
export function menu(
  label: string,
  onChange: (value: string) => void,
): { field: HTMLLabelElement; select: HTMLSelectElement } {
  const select = h('select', { ariaLabel: label, onchange: () => onChange(select.value) });
  return { field: h('label', { className: 'st-field' }, h('span', {}, label), select), select };
}

/**
 * Fills a menu.
 *
 * @param select the menu
 * @param choices its entries
 * @param value the entry that is chosen
 */
export function fill(select: HTMLSelectElement, choices: readonly Choice[], value: string): void {
  select.replaceChildren(
    ...choices.map((choice) => h('option', { value: choice.value }, choice.label)),
  );
  select.value = value;
}
