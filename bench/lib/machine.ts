import { execFileSync } from "node:child_process";
import { accessSync, constants, readFileSync } from "node:fs";
import { delimiter, join } from "node:path";

/** Where processes run: on two disjoint sets of cores where the system can pin, else anywhere. */
export interface Machine {
  /** Cores of the process under measurement, in `taskset` list form; undefined when not pinned. */
  readonly subjectCpus: string | undefined;
  /** Cores of the load generator. */
  readonly loadCpus: string | undefined;
  readonly pinning: string;
}

export function onPath(command: string): string | undefined {
  for (const folder of (process.env.PATH ?? "").split(delimiter)) {
    const file = join(folder, command);
    try {
      accessSync(file, constants.X_OK);
      return file;
    } catch {
      // Not in this folder: the next one is asked.
    }
  }
  return undefined;
}

/** Parses the kernel's list form: `0-3,8` is 0, 1, 2, 3, 8. */
function parseCpuList(list: string): number[] {
  return list
    .trim()
    .split(",")
    .flatMap((range) => {
      const [first, last = first] = range.split("-").map(Number);
      return Array.from({ length: (last ?? 0) - (first ?? 0) + 1 }, (_, i) => (first ?? 0) + i);
    });
}

/** The cores this process may use, which in a container are fewer than the machine has. */
function allowedCpus(): number[] {
  try {
    const list = /^Cpus_allowed_list:\s*(\S+)$/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1];
    return list === undefined ? [] : parseCpuList(list);
  } catch {
    return [];
  }
}

export function surveyMachine(): Machine {
  const cpus = allowedCpus();
  const unpinned = (why: string): Machine => ({
    subjectCpus: undefined,
    loadCpus: undefined,
    pinning: `not pinned (${why})`,
  });
  if (cpus.length < 2) return unpinned("fewer than two cores, or cores unknown");
  if (onPath("taskset") === undefined) return unpinned("no taskset on PATH");
  const subjectCpus = String(cpus.at(-1));
  const loadCpus = String(cpus.at(-2));
  try {
    execFileSync("taskset", ["-c", subjectCpus, "true"], { stdio: "ignore" });
  } catch {
    return unpinned("taskset is refused here");
  }
  return { subjectCpus, loadCpus, pinning: `subject on core ${subjectCpus}, load on core ${loadCpus}` };
}

/** The command line that runs `command` on `cpus`, or as it is when not pinned. */
export function pinned(cpus: string | undefined, command: readonly string[]): [string, string[]] {
  const [file = "", ...args] = cpus === undefined ? command : ["taskset", "-c", cpus, ...command];
  return [file, args];
}
