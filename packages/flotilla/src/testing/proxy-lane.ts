import type { Clock, Timer } from "../clock/clock.ts";
import { type Random, randomInt } from "../clock/random.ts";
import type { Ending, SettledProxyFault } from "./proxy-fault.ts";

/** The two sockets of a lane, as it needs them. */
export interface LaneEnds {
  /** Stops and resumes reading where bytes come from. */
  pause(): void;
  resume(): void;
  /** Sends on. False: no more until `drained`. */
  write(bytes: Buffer): boolean;
  /** Ends, or resets, the connection to where bytes go: the other side has. */
  end(): void;
  break(): void;
  /** Ends the connection at both ends. */
  cut(how: Exclude<Ending, "blackhole">): void;
}

/** A fault on one connection. */
export interface Acting {
  readonly fault: SettledProxyFault;
  /** It does something to the connection. */
  strike(): void;
}

/** How a stream goes on: with bytes, with its end, with a reset. */
export type Arrival = Buffer | "end" | "break";

interface Item {
  arrival: Arrival;
  readonly arrivedMs: number;
  delayMs: number;
}

interface OnLane {
  readonly acting: Acting;
  /** Bytes that still pass before it ends the connection. */
  left: number;
  /** Nothing passes because of it. */
  silent: boolean;
}

/** What all lanes of a proxy share. */
export interface LaneSettings {
  readonly clock: Clock;
  readonly random: Random;
  readonly maxBufferBytes: number;
}

/** With limited bandwidth bytes are sent on in pieces that take so long, milliseconds. */
const SLICE_MS = 20;
const MAX_RETRANSMIT_MS = 60_000;

/**
 * One direction of a connection. What arrives leaves complete and in order, unless a fault says otherwise. Once
 * `maxBufferBytes` are held the sender is not read any more, so that it has to wait as for a slow network.
 */
export class ProxyLane {
  readonly #ends: LaneEnds;
  readonly #settings: LaneSettings;
  #faults: readonly OnLane[] = [];
  #queue: Item[] = [];
  #head = 0;
  #passed = 0;
  #held = 0;
  #paused = false;
  #blocked = false;
  #over = false;
  /** With limited bandwidth: when what was sent last is through. */
  #freeMs = 0;
  #timer: Timer | undefined;
  #turn: NodeJS.Immediate | undefined;

  constructor(ends: LaneEnds, settings: LaneSettings) {
    this.#ends = ends;
    this.#settings = settings;
  }

  /** Bytes sent on so far. */
  get passed(): number {
    return this.#passed;
  }

  /** Bytes that have arrived and were not sent on yet. */
  get held(): number {
    return this.#held;
  }

  /** Something comes from the sender. */
  receive(arrival: Arrival): void {
    if (this.#over) return;
    for (const { acting } of this.#faults) if (acting.fault.ending === undefined) acting.strike();
    this.#queue.push({ arrival, arrivedMs: this.#settings.clock.now(), delayMs: this.#delay(arrival) });
    if (typeof arrival !== "string") this.#hold(arrival.byteLength);
    // Else something before it waits, and this after it.
    if (this.#timer === undefined && this.#turn === undefined) this.#send();
  }

  /** The receiver can take more. */
  drained(): void {
    if (!this.#blocked || this.#over) return;
    this.#blocked = false;
    this.#freeMs = this.#settings.clock.now();
    this.#send();
  }

  add(acting: Acting): void {
    const { ending, afterBytes } = acting.fault;
    const atOnce = ending !== undefined && afterBytes < 0;
    const onLane = { acting, left: ending === undefined ? Infinity : Math.max(0, afterBytes), silent: false };
    this.#faults = [...this.#faults, onLane];
    if (atOnce) this.#end(onLane);
    this.#changed();
  }

  remove(acting: Acting): void {
    this.#faults = this.#faults.filter((onLane) => onLane.acting !== acting);
    this.#changed();
  }

  /** Forgets what is on its way, and whatever comes. */
  stop(): void {
    if (this.#over) return;
    this.#over = true;
    this.#rest();
    this.#queue = [];
    this.#head = 0;
    this.#hold(-this.#held);
  }

  /** What waits is under the rules that hold now. */
  #changed(): void {
    if (this.#over) return;
    this.#rest();
    for (let i = this.#head; i < this.#queue.length; i++) {
      const item = this.#queue[i]!;
      item.delayMs = this.#delay(item.arrival);
    }
    this.#freeMs = this.#settings.clock.now();
    this.#send();
  }

  #rest(): void {
    this.#timer?.cancel();
    clearImmediate(this.#turn);
    this.#timer = this.#turn = undefined;
  }

  /** How long something that arrives is on its way. */
  #delay(arrival: Arrival): number {
    const { random } = this.#settings;
    let ms = 0;
    for (const { acting } of this.#faults) {
      const { fault } = acting;
      if (fault.latency !== undefined) ms += fault.latency.sample(random);
      if (typeof arrival === "string" || fault.loss === 0) continue;
      for (let wait = fault.retransmitMs; random.next() < fault.loss; wait = Math.min(2 * wait, MAX_RETRANSMIT_MS))
        ms += wait;
    }
    return ms;
  }

  #hold(change: number): void {
    const { maxBufferBytes } = this.#settings;
    this.#held += change;
    if (!this.#paused && this.#held >= maxBufferBytes) {
      this.#paused = true;
      this.#ends.pause();
    } else if (this.#paused && this.#held <= maxBufferBytes / 2) {
      this.#paused = false;
      this.#ends.resume();
    }
  }

  /** Sends on what is due, and comes back when more is. */
  #send(): void {
    while (!this.#blocked && !this.#over) {
      const item = this.#queue[this.#head];
      if (item === undefined || this.#faults.some(({ silent }) => silent)) return;
      const { arrival } = item;
      const dueMs = item.arrivedMs + item.delayMs;
      if (typeof arrival === "string") {
        if (this.#waits(dueMs)) return;
        if (this.#ended()) continue;
        this.#next();
        if (arrival === "end") this.#ends.end();
        else this.#ends.break();
        continue;
      }
      const { bytes, bytesPerMs, inTurns } = this.#piece(arrival.byteLength);
      const throughMs = bytesPerMs === Infinity ? dueMs : Math.max(dueMs, this.#freeMs) + bytes / bytesPerMs;
      if (this.#waits(throughMs)) return;
      if (this.#ended()) continue;
      this.#freeMs = throughMs;
      if (bytes === arrival.byteLength) this.#next();
      else item.arrival = arrival.subarray(bytes);
      this.#pass(arrival.subarray(0, bytes));
      if (inTurns && !this.#blocked) {
        // Written in one turn, the pieces would arrive as one.
        this.#turn = setImmediate(() => {
          this.#turn = undefined;
          this.#send();
        });
        return;
      }
    }
  }

  /** Whether it is too early, and the rest comes later. */
  #waits(untilMs: number): boolean {
    const { clock } = this.#settings;
    const waitMs = untilMs - clock.now();
    if (waitMs <= 0) return false;
    this.#timer = clock.schedule(waitMs, () => {
      this.#timer = undefined;
      this.#send();
    });
    return true;
  }

  /** How much is sent at once, and how fast. */
  #piece(available: number): { bytes: number; bytesPerMs: number; inTurns: boolean } {
    let bytes = available;
    let bytesPerMs = Infinity;
    let inTurns = false;
    for (const { acting, left } of this.#faults) {
      const { fault } = acting;
      bytes = Math.min(bytes, fault.chunkBytes);
      bytesPerMs = Math.min(bytesPerMs, fault.bytesPerMs);
      inTurns ||= fault.chunkBytes < Infinity;
      if (left > 0) bytes = Math.min(bytes, left);
    }
    if (bytesPerMs < Infinity) bytes = Math.min(bytes, Math.max(1, Math.floor(bytesPerMs * SLICE_MS)));
    return { bytes, bytesPerMs, inTurns };
  }

  /** Whether a fault does not let through what comes now. */
  #ended(): boolean {
    const onLane = this.#faults.find(({ left }) => left === 0);
    if (onLane === undefined) return false;
    this.#end(onLane);
    return true;
  }

  #end(onLane: OnLane): void {
    const { ending } = onLane.acting.fault;
    onLane.acting.strike();
    if (ending === "blackhole") onLane.silent = true;
    else this.#ends.cut(ending!);
  }

  #next(): void {
    this.#head++;
    if (this.#head * 2 < this.#queue.length) return;
    this.#queue = this.#queue.slice(this.#head);
    this.#head = 0;
  }

  #pass(bytes: Buffer): void {
    const { random } = this.#settings;
    let sent = bytes;
    for (const { acting } of this.#faults) {
      const { corrupt } = acting.fault;
      if (corrupt === 0 || random.next() >= corrupt) continue;
      if (sent === bytes) sent = Buffer.from(bytes);
      const at = randomInt(random, sent.byteLength);
      sent[at] = sent[at]! ^ (1 << randomInt(random, 8));
    }
    this.#passed += bytes.byteLength;
    for (const onLane of this.#faults) onLane.left -= bytes.byteLength;
    this.#blocked = !this.#ends.write(sent);
    this.#hold(-bytes.byteLength);
  }
}
