/**
 * The family of a scenario: what it is about.
 *
 * @source recordings README, "Directories"
 */
import type { Recording } from './recording.ts';

/** Folders that are a family of their own. */
const FOLDERS = /^(aw39|defects|extpin|icount|late|more-hang|more|random2|random|timing)(?:-|$)/;

/**
 * The family of a recording: its folder's where that says it, else the leading letters of the
 * scenario's name.
 *
 * @param recording the recording
 * @param file its file, with folders if they are known
 * @returns for example `b`, `u`, `aw39`, `random`
 */
export function familyOf(recording: Pick<Recording, 'scenario' | 'aw_bits'>, file = ''): string {
  const folder = file.split(/[\\/]/).at(-2) ?? '';
  const known = FOLDERS.exec(folder)?.[1];
  if (known) return known;
  if (recording.aw_bits === 39) return 'aw39';
  if (/^(?:r|rnd|random)\d/.test(recording.scenario)) return 'random';
  return /^[a-z]+/i.exec(recording.scenario)?.[0].toLowerCase() ?? 'other';
}
