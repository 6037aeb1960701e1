import { seededRandom } from "../kernel/random.ts";
import { seaPorts } from "../ports/sea-ports.ts";
import { selectPorts } from "../ports/select.ts";
import { generateLines, trunkPorts } from "./domain/generate.ts";
import type { Schedule } from "./store.ts";

/**
 * Ports that are served: the two hundred or so of the trunk lines, and as many of the others as bring every coast within
 * reach of a feeder. Beyond about this number the next port is an inland town as often as not.
 */
const servedPortCount = 300;

/** Draws up the schedule of a seed from the real sea ports. */
export function drawUpSchedule(seed: number): Schedule {
  const ports = selectPorts(seaPorts().ports, trunkPorts(), servedPortCount);
  return { ports, lines: generateLines(ports, seededRandom(seed)) };
}
