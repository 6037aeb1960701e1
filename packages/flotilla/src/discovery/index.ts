export type { Discovery, InstanceObserver, Instancer, Registrar, Registration, Watch } from "./discovery.ts";
export { type EmbeddedOptions, embedded } from "./embedded/embedded.ts";
export { type FixedTargets, fixed } from "./fixed.ts";
