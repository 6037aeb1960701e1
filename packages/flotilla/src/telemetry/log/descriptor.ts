import { fstatSync, write, writeSync } from "node:fs";
import { Socket } from "node:net";
import { isMainThread } from "node:worker_threads";

/** An open file that lines go to. */
export interface Descriptor {
  readonly fd: number;
  /**
   * How a write by the event loop's own thread behaves. `prompt`: it returns at once whatever the reader does, as with terminals, `/dev/null`, and
   * with pipes and sockets, which are made non-blocking. `file`: it takes as long as the disk does. `blocking`: it may never return.
   */
  readonly kind: "prompt" | "file" | "blocking";
  /** @throws the system's error: `EAGAIN` when nothing can be taken now. */
  writeSync(bytes: Uint8Array, offset: number, length: number): number;
  write(
    bytes: Uint8Array,
    offset: number,
    length: number,
    done: (error: NodeJS.ErrnoException | null, written: number) => void,
  ): void;
  /** Blocks the thread for so many milliseconds. */
  pause(ms: number): void;
}

/**
 * A descriptor of the process.
 *
 * @throws RangeError when it is not open.
 */
export function openDescriptor(fd: number): Descriptor {
  const cell = new Int32Array(new SharedArrayBuffer(4));
  return {
    fd,
    kind: kindOf(fd),
    writeSync: (bytes, offset, length) => writeSync(fd, bytes, offset, length),
    write: (bytes, offset, length, done) => write(fd, bytes, offset, length, null, done),
    pause: (ms) => void Atomics.wait(cell, 0, 0, ms),
  };
}

function kindOf(fd: number): Descriptor["kind"] {
  let stat: ReturnType<typeof fstatSync>;
  try {
    stat = fstatSync(fd);
  } catch (error) {
    throw new RangeError(`logging: the file descriptor ${fd} cannot be written to: it is not open`, { cause: error });
  }
  if (stat.isCharacterDevice()) return "prompt";
  if (!stat.isFIFO() && !stat.isSocket()) return "file";
  return makeNonBlocking(fd) ? "prompt" : "blocking";
}

/** Whether a write may succeed when it is tried again. A full disk may be cleared. */
export function mayRecover({ code }: NodeJS.ErrnoException): boolean {
  return code === "EAGAIN" || code === "EBUSY" || code === "ENOBUFS" || code === "ENOSPC" || code === "EDQUOT";
}

/** Sockets that were made only to set a flag: kept, lest the descriptor be closed with them. */
const kept = new Map<number, unknown>();

/**
 * Node has no call for `O_NONBLOCK`, but sets it on whatever it makes a stream of; on 1 and 2 it does so at the first `console.log` anyway,
 * and sets them back when the process ends.
 */
function makeNonBlocking(fd: number): boolean {
  if (kept.has(fd)) return true;
  try {
    if (isMainThread && fd === 1) kept.set(fd, process.stdout);
    else if (isMainThread && fd === 2) kept.set(fd, process.stderr);
    else kept.set(fd, new Socket({ fd, readable: false, writable: true }).unref());
    return true;
  } catch {
    return false;
  }
}
