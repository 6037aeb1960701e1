import type { Clock, Timer } from "../clock/clock.ts";

/** Something to do; those that wait are a list, and those that run. */
class Task {
  /** What is left to do, milliseconds at full speed. */
  left: number;
  readonly done: () => void;
  /** While it runs: since when, at the present speed. */
  sinceMs = 0;
  timer: Timer | undefined = undefined;
  next: Task | undefined = undefined;

  constructor(left: number, done: () => void) {
    this.left = left;
    this.done = done;
  }
}

/**
 * The processor of a machine: tasks in the order they came, each on one core from start to end. With one core this is what
 * a Node process is: whatever it does waits for what it is doing.
 */
export class Cpu {
  readonly #clock: Clock;
  readonly #cores: number;
  #running: Task | undefined;
  #busy = 0;
  #first: Task | undefined;
  #last: Task | undefined;
  #queued = 0;
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
    return this.#queued;
  }

  /** Cores at work. */
  get busy(): number {
    return this.#busy;
  }

  /** Work done so far, in milliseconds of one core at full speed. */
  get workedMs(): number {
    const now = this.#clock.now();
    let sum = this.#busyMs;
    for (let task = this.#running; task !== undefined; task = task.next) sum += (now - task.sinceMs) * this.#rate;
    return sum;
  }

  /** Does a task of `costMs` when its turn comes, then calls `done`. What costs nothing is done at once when a core is free. */
  run(costMs: number, done: () => void): void {
    if (this.#halted) return;
    if (this.#pauses === 0 && this.#busy < this.#cores && this.#queued === 0) {
      if (costMs <= 0) return done();
      this.#start(new Task(costMs, done));
    } else {
      this.#wait(new Task(costMs, done));
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
    for (let task = this.#running; task !== undefined; task = task.next) task.timer?.cancel();
    this.#running = undefined;
    this.#busy = 0;
    this.#first = this.#last = undefined;
    this.#queued = 0;
  }

  get #rate(): number {
    return this.#pauses > 0 ? 0 : this.#speed;
  }

  #wait(task: Task): void {
    if (this.#last === undefined) this.#first = task;
    else this.#last.next = task;
    this.#last = task;
    this.#queued++;
  }

  #start(task: Task): void {
    task.sinceMs = this.#clock.now();
    task.next = this.#running;
    this.#running = task;
    this.#busy++;
    this.#arm(task);
  }

  #arm(task: Task): void {
    const rate = this.#rate;
    task.timer = rate > 0 ? this.#clock.schedule(task.left / rate, () => this.#finish(task)) : undefined;
  }

  #finish(task: Task): void {
    this.#busyMs += task.left;
    this.#busy--;
    if (this.#running === task) this.#running = task.next;
    else {
      let before = this.#running!;
      while (before.next !== task) before = before.next!;
      before.next = task.next;
    }
    task.next = undefined;
    task.done();
    this.#next();
  }

  /** Starts what waits, as far as there are cores. */
  #next(): void {
    while (this.#queued > 0 && this.#pauses === 0 && this.#busy < this.#cores) {
      const task = this.#first!;
      this.#first = task.next;
      if (this.#first === undefined) this.#last = undefined;
      this.#queued--;
      if (task.left <= 0) task.done();
      else this.#start(task);
    }
  }

  /** Takes down what the running tasks have done so far at the present speed. */
  #settle(): void {
    const now = this.#clock.now();
    for (let task = this.#running; task !== undefined; task = task.next) {
      const done = Math.min(task.left, (now - task.sinceMs) * this.#rate);
      task.left -= done;
      task.sinceMs = now;
      this.#busyMs += done;
      task.timer?.cancel();
    }
  }

  #rearm(): void {
    for (let task = this.#running; task !== undefined; task = task.next) this.#arm(task);
  }
}
