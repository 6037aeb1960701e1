import type { UnLocode } from "../kernel/un-locode.ts";
import type { Coordinates } from "./distance.ts";

/** A sea port, as the services know it. */
export interface Port extends Coordinates {
  readonly code: UnLocode;
  readonly name: string;
  readonly country: string;
}
