/** One running copy of a service, as registered and discovered. Immutable; a change is a new object. */
export interface Instance {
  /** Unique among the instances of a service, and stable for the life of the process. */
  readonly id: string;
  /** Where it is reached: `http://10.0.0.7:8080`. */
  readonly address: string;
  /** Failure domain, for zone-aware balancing. Default none. */
  readonly zone?: string;
  /** Share of the traffic relative to the others, above 0. Default 1. */
  readonly weight?: number;
  /** Version of the service. */
  readonly version?: string;
  /** Whatever else a registrar and a balancer agree upon. */
  readonly metadata?: Readonly<Record<string, string>>;
}
