// The package brings no types; this is as much of it as is used.
declare module "sea-ports" {
  import type { RawPort } from "./clean.ts";

  const seaPorts: { readonly JSON: Readonly<Record<string, RawPort>> };
  export default seaPorts;
}
