import type { Instance } from "./instance.ts";
import type { Policy } from "./policy.ts";
import type { PoolState } from "./transport.ts";

/** Takes down the state of hosts and channels at one moment. */
export interface StateReport {
  /** The connections of a listener. */
  listener(address: string, connections: number): void;
  /** The connections of a channel to one address. */
  pool(address: string, state: PoolState): void;
  /** The instances a channel balances over; those that are `down` have refused their last call and are avoided. */
  instances(service: string, up: number, down: number): void;
  /** What stands around calls. `instance`: the one whose calls alone it is around. */
  policy(policy: Policy, instance?: Instance): void;
}
