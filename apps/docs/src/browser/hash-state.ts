/** State in the fragment of the address, so that a copied address shows the same page. */

/**
 * The fragment as parameters.
 *
 * @returns them; empty without a fragment, or with one that is a heading's
 */
export function readHash(): URLSearchParams {
  return new URLSearchParams(location.hash.slice(1));
}

/**
 * Replaces the fragment; the history gets no entry, and no `hashchange` is fired.
 *
 * @param parameters what it is to say
 */
export function writeHash(parameters: URLSearchParams): void {
  const text = parameters.toString();
  history.replaceState(history.state, '', text === '' ? location.pathname : `#${text}`);
}

/**
 * Compresses a text for an address.
 *
 * @param text the text
 * @returns raw deflate, in the base64 of addresses
 */
export async function packText(text: string): Promise<string> {
  const bytes = await through(new CompressionStream('deflate-raw'), new TextEncoder().encode(text));
  const binary = Array.from(bytes, (byte) => String.fromCharCode(byte)).join('');
  return btoa(binary).replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '');
}

/** Bytes of a text in an address at most: a few kilobytes of one can be made of very many. */
const MAX_TEXT = 2 ** 20;

/**
 * Undoes `packText`.
 *
 * @param packed what it returned
 * @returns the text
 * @throws {Error} when it is something else, or a text of more than 1 MiB
 */
export async function unpackText(packed: string): Promise<string> {
  const binary = atob(packed.replaceAll('-', '+').replaceAll('_', '/'));
  const bytes = Uint8Array.from(binary, (char) => char.charCodeAt(0));
  const text = await through(new DecompressionStream('deflate-raw'), bytes, MAX_TEXT);
  return new TextDecoder('utf-8', { fatal: true }).decode(text);
}

/** What a stream makes of bytes, as far as it is not longer than a limit. */
async function through(
  stream: CompressionStream | DecompressionStream,
  bytes: Uint8Array<ArrayBuffer>,
  limit = Infinity,
): Promise<Uint8Array> {
  const reader = new Blob([bytes]).stream().pipeThrough(stream).getReader();
  const chunks: Uint8Array<ArrayBuffer>[] = [];
  let length = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    length += value.length;
    if (length > limit) {
      await reader.cancel();
      throw new Error(`The text in the address has more than ${limit} bytes.`);
    }
    chunks.push(value);
  }
  return new Uint8Array(await new Blob(chunks).arrayBuffer());
}
