/**
 * A hash of text, the same in every process and on every machine. Not for secrets.
 *
 * Algorithm: MurmurHash3 x86 32 bit (Austin Appleby), over UTF-16 code units.
 *
 * @returns a whole number from 0 to 2^32-1.
 */
export function hash32(text: string, seed = 0): number {
  let hash = seed | 0;
  const pairs = text.length & ~1;
  for (let i = 0; i < pairs; i += 2) {
    hash ^= scramble(text.charCodeAt(i) | (text.charCodeAt(i + 1) << 16));
    hash = (hash << 13) | (hash >>> 19);
    hash = (Math.imul(hash, 5) + 0xe6546b64) | 0;
  }
  if (pairs < text.length) hash ^= scramble(text.charCodeAt(pairs));
  hash ^= text.length * 2;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

function scramble(block: number): number {
  const k = Math.imul(block, 0xcc9e2d51);
  return Math.imul((k << 15) | (k >>> 17), 0x1b873593);
}
