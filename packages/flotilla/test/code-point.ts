import fc from "fast-check";

const SURROGATES = 0xd800;
const AFTER_SURROGATES = 0xe000;
const HIGHEST = 0x10ffff;
const FIRST_PRINTABLE = 0x20;

/**
 * Any code point that is no half of a pair, the printable ones of ASCII first: `fc.string({ unit: codePoint })`. As fast-check's own unit
 * `binary`, which takes a second of every process that uses it to set up.
 */
export const codePoint: fc.Arbitrary<string> = fc
  .integer({ min: 0, max: HIGHEST - (AFTER_SURROGATES - SURROGATES) })
  .map((n) => {
    // The control characters of ASCII come last instead of first.
    const shifted = (n + FIRST_PRINTABLE) % (HIGHEST - (AFTER_SURROGATES - SURROGATES) + 1);
    return String.fromCodePoint(shifted < SURROGATES ? shifted : shifted + (AFTER_SURROGATES - SURROGATES));
  });
