import { ServiceError } from "../errors/service-error.ts";
import { type Hardware, Process, type Surroundings } from "./process.ts";
import type { ClockSkew } from "./process-clock.ts";

/** Options of a machine. */
export interface MachineOptions {
  /** Tasks it can do at once. Default 1, as a Node process. */
  readonly cores?: number;
  /** Share of the speed service times are told for; above 0. Default 1. */
  readonly speed?: number;
  /** Failure domain. Default none. */
  readonly zone?: string;
  /** What taking in a request costs, milliseconds of a core: reading, parsing, routing. Default 0. */
  readonly receiveMs?: number;
  /** How wrong its clock is. Default: right. */
  readonly clock?: ClockSkew;
}

/** What runs on a machine: called with a new process at every start. */
export type Program = (process: Process) => void | Promise<void>;

/** A machine of a simulation: it runs one program, which can stop, crash and be started again. */
export class Machine implements Hardware {
  readonly name: string;
  readonly zone: string | undefined;
  readonly cores: number;
  readonly receiveMs: number;
  readonly skew: ClockSkew;
  readonly #world: Surroundings;
  readonly #program: Program;
  #speed: number;
  #process: Process | undefined;
  #gone = false;
  #lives = 0;

  /** @throws RangeError when an option is not legal, naming it. */
  constructor(world: Surroundings, name: string, program: Program, options: MachineOptions) {
    const { cores = 1, speed = 1, receiveMs = 0, clock = {} } = options;
    if (!(Number.isInteger(cores) && cores >= 1))
      throw new RangeError(`machine: cores must be a whole number above 0, got ${cores}`);
    if (!(speed > 0)) throw new RangeError(`machine: speed must be above 0, got ${speed}`);
    if (!(receiveMs >= 0)) throw new RangeError(`machine: receiveMs must be 0 or more, got ${receiveMs}`);
    if (!((clock.drift ?? 0) > -1)) throw new RangeError(`machine: clock.drift must be above -1, got ${clock.drift}`);
    this.#world = world;
    this.name = name;
    this.zone = options.zone;
    this.cores = cores;
    this.receiveMs = receiveMs;
    this.skew = clock;
    this.#speed = speed;
    this.#program = program;
  }

  /** What runs on it now. */
  get process(): Process | undefined {
    return this.#process;
  }

  running(): Process | "gone" | undefined {
    return this.#gone ? "gone" : this.#process;
  }

  /** Starts the program; resolves when it has started. */
  async start(): Promise<Process> {
    if (this.#process !== undefined) throw new ServiceError("failed_precondition", `sim: ${this.name} is running`);
    this.#gone = false;
    const process = new Process(this.#world, this, this.#world.random(`${this.name}#${++this.#lives}`));
    process.cpu.setSpeed(this.#speed);
    this.#process = process;
    await this.#program(process);
    return process;
  }

  /** Ends the program in order, as on SIGTERM. */
  async stop(): Promise<void> {
    const process = this.#process;
    if (process === undefined) return;
    await process.stop();
    if (this.#process !== process) return;
    process.kill(false);
    this.#process = undefined;
  }

  /** Ends the program at once, as by kill -9: whoever talked to it is told by the machine that the connection is reset. */
  crash(): void {
    this.#process?.kill(false);
    this.#process = undefined;
  }

  /** The power fails: nobody is told anything, and what is sent here gets no answer until the next start. */
  vanish(): void {
    this.#gone = true;
    this.#process?.kill(true);
    this.#process = undefined;
  }

  /** The process does nothing for so long: a garbage collection that stops the world, a page fault, a noisy neighbour. */
  pause(ms: number): void {
    this.#process?.cpu.pause(ms);
  }

  /** Share of the speed service times are told for, from now on. */
  setSpeed(speed: number): void {
    if (!(speed >= 0)) throw new RangeError(`machine: speed must be 0 or more, got ${speed}`);
    this.#speed = speed;
    this.#process?.cpu.setSpeed(speed);
  }
}
