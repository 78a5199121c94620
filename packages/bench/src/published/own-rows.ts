/** Measurements of a user's own: the format of the published set, or CSV. */
import { InputError, parseSize } from '@pinfold/base';
import { parseRecords, type PublishedRecord } from './record.ts';

/** Columns of a CSV file, and the field of a record that each is. */
const COLUMNS: Readonly<Record<string, string>> = {
  id: 'id',
  op: 'op',
  size: 'size_bytes',
  backing: 'backing',
  kernel: 'kernel_base',
  variant: 'variant',
  seconds: 'seconds',
  'page-size': 'page_size',
  host: 'hardware',
};

/**
 * Reads measurements from JSON or CSV. A CSV file begins with its columns, of which `op`, `size`,
 * `backing` and `seconds` are needed: `op,size,backing,kernel,seconds`.
 *
 * @param text the file
 * @param place its name, for messages
 * @returns the records
 * @throws {InputError} that names the place of the first fault
 */
export function parseMeasurements(text: string, place: string): PublishedRecord[] {
  if (!/^\s*[[{]/.test(text)) {
    const rows = rowsOfCsv(text, place);
    if (rows.length === 0) throw new InputError(place, 'a line per measurement', 'none');
    return parseRecords(rows, place);
  }
  try {
    return parseRecords(JSON.parse(text), place);
  } catch (error) {
    if (error instanceof InputError) throw error;
    throw new InputError(place, 'measurements as JSON or CSV', String(error));
  }
}

function rowsOfCsv(text: string, place: string): object[] {
  const lines = text.split(/\r?\n/).filter((line) => line.trim() !== '' && !line.startsWith('#'));
  const heads = (lines[0] ?? '').split(',').map((cell) => cell.trim());
  const unknown = heads.find((head) => !(head in COLUMNS));
  const expected = `columns of ${Object.keys(COLUMNS).join(', ')}`;
  if (unknown !== undefined) throw new InputError(`${place}:1`, expected, `'${unknown}'`);
  for (const needed of ['op', 'size', 'backing', 'seconds'])
    if (!heads.includes(needed)) throw new InputError(`${place}:1`, `a column ${needed}`, 'none');
  return lines.slice(1).map((line, i) => {
    const at = `${place}:${i + 2}`;
    const cells = line.split(',').map((cell) => cell.trim());
    if (cells.length !== heads.length)
      throw new InputError(at, `${heads.length} cells`, String(cells.length));
    const row: Record<string, unknown> = { id: `row ${i + 2}` };
    heads.forEach((head, n) => (row[COLUMNS[head]] = valueOf(head, cells[n], at)));
    return row;
  });
}

function valueOf(head: string, cell: string, at: string): unknown {
  if (head === 'size' || head === 'page-size') return parseSize(cell, `${at}: ${head}`);
  if (head !== 'seconds') return cell;
  const seconds = Number(cell);
  if (cell !== '' && seconds > 0) return seconds;
  throw new InputError(`${at}: seconds`, 'a number above 0', `'${cell}'`);
}
