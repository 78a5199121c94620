/** The files that say what the playground can load; `generate/recordings.ts` writes them. */

/** `data/recordings.json`: the recordings, in the order of the manifest. */
export type RecordingIndex = readonly {
  /** Folder and file: `main/e03-bad-vaddr.json.gz`. */
  readonly name: string;
  readonly title: string;
  readonly family: string;
  /** The kernels that it was recorded on: `6.18.15`. */
  readonly kernels: readonly string[];
}[];

/** `data/examples.json`: scenarios, each of which shows one reason for an error or a surprise. */
export type ExampleIndex = readonly {
  readonly name: string;
  readonly title: string;
  readonly script: string;
}[];

/**
 * Where a file of `public/data` is.
 *
 * @param name its path in that folder
 * @returns its address
 */
export function dataUrl(name: string): string {
  return `${import.meta.env.BASE_URL.replace(/\/$/, '')}/data/${name}`;
}
