export { constant, type Distribution, exponential, lognormal, mixture, uniform } from "../clock/distribution.ts";
export { Histogram } from "./histogram.ts";
export type { Machine, MachineOptions, Program } from "./machine.ts";
export type { Network, NetworkOptions, Place } from "./network.ts";
export { type Grid, type Line, type Panel, plot } from "./plot.ts";
export type { Process, SimChannelOptions, SimHostOptions } from "./process.ts";
export type { RegistryOptions, SimRegistry } from "./registry.ts";
export type { Interval, Traffic, TrafficOptions } from "./traffic.ts";
export { type Sample, simulate, type World, type WorldOptions } from "./world.ts";
