import type { Clock, Timer } from "../clock/clock.ts";

interface Task {
  /** What is left to do, milliseconds at full speed. */
  left: number;
  readonly done: () => void;
}

interface Running {
  readonly task: Task;
  /** Since when, at the present speed. */
  sinceMs: number;
  timer: Timer | undefined;
}

/**
 * The processor of a machine: tasks in the order they came, each on one core from start to end. With one core this is what
 * a Node process is: whatever it does waits for what it is doing.
 */
export class Cpu {
  readonly #clock: Clock;
  readonly #cores: number;
  readonly #running = new Set<Running>();
  #queue: Task[] = [];
  #head = 0;
  #speed = 1;
  #pauses = 0;
  #halted = false;
  #busyMs = 0;

  constructor(clock: Clock, cores: number) {
    this.#clock = clock;
    this.#cores = cores;
  }

  /** Tasks that wait for a core. */
  get queued(): number {
    return this.#queue.length - this.#head;
  }

  /** Cores at work. */
  get busy(): number {
    return this.#running.size;
  }

  /** Work done so far, in milliseconds of one core at full speed. */
  get workedMs(): number {
    const now = this.#clock.now();
    let sum = this.#busyMs;
    for (const { sinceMs } of this.#running) sum += (now - sinceMs) * this.#rate;
    return sum;
  }

  /** Does a task of `costMs` when its turn comes, then calls `done`. What costs nothing is done at once when a core is free. */
  run(costMs: number, done: () => void): void {
    if (this.#halted) return;
    if (this.#pauses === 0 && this.#running.size < this.#cores && this.#head === this.#queue.length) {
      if (costMs <= 0) return done();
      this.#start({ left: costMs, done });
    } else {
      this.#queue.push({ left: costMs, done });
    }
  }

  /** Share of full speed from now on, for what is running too; 0 stops it. */
  setSpeed(speed: number): void {
    this.#settle();
    this.#speed = speed;
    this.#rearm();
  }

  /** Does nothing for so long, as in a garbage collection that stops the world. */
  pause(ms: number): void {
    this.#settle();
    this.#pauses++;
    this.#rearm();
    this.#clock.schedule(ms, () => {
      if (this.#halted) return;
      this.#settle();
      this.#pauses--;
      this.#rearm();
      this.#next();
    });
  }

  /** Never does anything any more. */
  halt(): void {
    this.#halted = true;
    for (const running of this.#running) running.timer?.cancel();
    this.#running.clear();
    this.#queue = [];
    this.#head = 0;
  }

  get #rate(): number {
    return this.#pauses > 0 ? 0 : this.#speed;
  }

  #start(task: Task): void {
    const running: Running = { task, sinceMs: this.#clock.now(), timer: undefined };
    this.#running.add(running);
    this.#arm(running);
  }

  #arm(running: Running): void {
    const rate = this.#rate;
    running.timer = rate > 0 ? this.#clock.schedule(running.task.left / rate, () => this.#finish(running)) : undefined;
  }

  #finish(running: Running): void {
    this.#busyMs += running.task.left;
    this.#running.delete(running);
    running.task.done();
    this.#next();
  }

  /** Starts what waits, as far as there are cores. */
  #next(): void {
    while (this.#head < this.#queue.length && this.#pauses === 0 && this.#running.size < this.#cores) {
      const task = this.#queue[this.#head++]!;
      if (this.#head > 1024 && this.#head * 2 > this.#queue.length) {
        this.#queue = this.#queue.slice(this.#head);
        this.#head = 0;
      }
      if (task.left <= 0) task.done();
      else this.#start(task);
    }
  }

  /** Takes down what the running tasks have done so far at the present speed. */
  #settle(): void {
    const now = this.#clock.now();
    for (const running of this.#running) {
      const done = Math.min(running.task.left, (now - running.sinceMs) * this.#rate);
      running.task.left -= done;
      running.sinceMs = now;
      this.#busyMs += done;
      running.timer?.cancel();
    }
  }

  #rearm(): void {
    for (const running of this.#running) this.#arm(running);
  }
}
