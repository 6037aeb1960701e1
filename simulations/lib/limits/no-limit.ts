import type { LimitFactory } from "flotilla/resilience";

/** As many as come: what there is without a limit. */
export const noLimit: LimitFactory = () => ({
  current: 1_000_000,
  kind: () => ({ inFlight: 0 }),
  pressed() {},
  ended() {},
});
