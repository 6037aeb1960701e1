import { integer, type Random } from "../../kernel/random.ts";

/** Without I, L, O and U, so that an id survives being read out over the telephone (Crockford's base 32). */
const alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/** A new tracking id, `C-7K3QX9T2VB`: fifty bits of chance. */
export function newTrackingId(random: Random): string {
  let id = "C-";
  for (let i = 0; i < 10; i++) id += alphabet[integer(random, 0, alphabet.length - 1)];
  return id;
}
