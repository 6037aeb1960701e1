import { join } from "node:path";
import type { Machine } from "./machine.ts";
import { nothingToClose, type Stage } from "./scenario.ts";
import { openWorker } from "./worker-stage.ts";

const folder = join(import.meta.dirname, "..", "loops");

/** A stage whose rows are loops/`scenario`/`row`.ts, each in a process of its own. */
export function inProcess(scenario: string): (machine: Machine) => Promise<Stage> {
  return (machine) =>
    Promise.resolve({
      open: (row) => openWorker(row, machine.subjectCpus, join(folder, scenario, `${row}.ts`), []),
      close: nothingToClose,
    });
}
