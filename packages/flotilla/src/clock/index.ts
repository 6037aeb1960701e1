export type { Clock, EventLoop, Timer } from "./clock.ts";
export { constant, type Distribution, exponential, lognormal, mixture, uniform } from "./distribution.ts";
export { type Random, randomInt, seededRandom, systemRandom } from "./random.ts";
export { systemClock } from "./system-clock.ts";
export { VirtualClock, type VirtualClockOptions } from "./virtual-clock.ts";
