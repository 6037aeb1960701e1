/** A UN/LOCODE: two letters of a country and three of a place, `NLRTM` for Rotterdam. */
export type UnLocode = string;

/** Whether a text has the form of a UN/LOCODE. Says nothing of whether such a place exists. */
export function isUnLocode(text: string): boolean {
  return /^[A-Z]{2}[A-Z2-9]{3}$/.test(text);
}

/** The ISO 3166 country of a UN/LOCODE. */
export function countryOf(code: UnLocode): string {
  return code.slice(0, 2);
}
