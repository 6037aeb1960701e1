import { ServiceError } from "flotilla/errors";

/** Calls in flight. */
const LANES = 20;
/** Heap that may be gained between the first round and the last. */
export const MAX_GROWTH_BYTES = 1_000_000;

/** What came of calls: how many ended well, and how many with each code. */
export type Outcomes = Record<string, number>;

/** One column of the table besides calls, time and heap. */
export interface Column {
  readonly title: string;
  readonly value: () => number;
}

export const say = (line: string): void => void process.stdout.write(`${line}\n`);

/**
 * Makes so many rounds of so many calls, and prints after each what is in use.
 *
 * @param call - makes the nth call, from 0 on.
 * @returns the bytes that the heap has gained since the first round.
 */
export async function playRounds(
  rounds: number,
  calls: number,
  call: (n: number) => Promise<void>,
  column: Column,
): Promise<{ readonly gained: number; readonly outcomes: Outcomes }> {
  const outcomes: Outcomes = {};
  let made = 0;
  const lane = async (end: number): Promise<void> => {
    while (made < end) {
      try {
        await call(made++);
        outcomes["ok"] = (outcomes["ok"] ?? 0) + 1;
      } catch (error) {
        const { code } = ServiceError.from(error);
        outcomes[code] = (outcomes[code] ?? 0) + 1;
      }
    }
  };
  say(`${"calls".padStart(11)}${"µs a call".padStart(15)}${"heap, bytes".padStart(16)}${column.title.padStart(14)}`);
  let first = 0;
  let last = 0;
  for (let round = 1; round <= rounds; round++) {
    const cpu = process.cpuUsage();
    await Promise.all(Array.from({ length: LANES }, () => lane(round * calls)));
    const { user, system } = process.cpuUsage(cpu);
    last = await heap();
    if (round === 1) first = last;
    const number = (value: number, width: number): string => value.toLocaleString("en-US").padStart(width);
    const cost = ((user + system) / calls).toFixed(2).padStart(15);
    say(`${number(made, 11)}${cost}${number(last, 16)}${number(column.value(), 14)}`);
  }
  return { gained: last - first, outcomes };
}

/** Bytes in use when every call has ended, and all garbage is gone. */
async function heap(): Promise<number> {
  // What was cancelled ends.
  await new Promise((resolve) => setTimeout(resolve, 200));
  for (let i = 0; i < 3; i++) {
    globalThis.gc!();
    await new Promise((resolve) => setImmediate(resolve));
  }
  return process.memoryUsage().heapUsed;
}

/** Handles and timers that are left, but for those of the process itself. */
export function resourcesLeft(): number {
  return process.getActiveResourcesInfo().filter((type) => !/^(Pipe|TTY|File)/.test(type)).length;
}
