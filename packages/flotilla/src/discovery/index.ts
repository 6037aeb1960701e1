export type { Discovery, Instancer, InstanceObserver, Registrar, Registration, Watch } from "./discovery.ts";
