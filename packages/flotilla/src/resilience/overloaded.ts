/** The reason in the error detail of calls refused because too many are in flight. */
export const OVERLOADED = "OVERLOADED";
