import type { Clock, Timer } from "flotilla/clock";
import { ServiceError } from "flotilla/errors";
import { FRAME, FRAME_HEAD_BYTES, type Frame, type FrameKind, isNumbered, readFrame, writeFrame } from "./frames.ts";
import type { Link } from "./link.ts";
import { tooLarge } from "./too-large.ts";

/** A peer of which nothing was heard over so many heartbeats is gone. */
const SILENT_BEATS = 3;

/** One end of a stream: numbers what it sends, checks the numbers of what comes, and notices when the other end is gone. */
export class StreamEnd {
  /** Subject of the other end; undefined as long as it is not known. */
  peer: string | undefined;
  readonly #link: Link;
  #sent = 0;
  #received = 0;
  #heard = false;
  #spoke = false;
  #silent = 0;

  constructor(link: Link) {
    this.#link = link;
  }

  /** Sends a frame, once the other end is known. @throws ServiceError `resource_exhausted` when the broker would not take it. */
  send(kind: FrameKind, body: Uint8Array | undefined, reply?: string): void {
    if (this.peer === undefined) return;
    const size = FRAME_HEAD_BYTES + (body?.length ?? 0);
    if (size > this.#link.maxPayload) throw tooLarge(this.peer, size, this.#link.maxPayload);
    this.#link.send(this.peer, writeFrame(kind, this.#sent, body), reply, undefined);
    if (isNumbered(kind)) this.#sent = (this.#sent + 1) >>> 0;
    this.#spoke = true;
  }

  /** Reads a frame. @throws ServiceError `internal` when it is none, `data_loss` when one before it is missing. */
  read(bytes: Uint8Array): Frame {
    const frame = readFrame(bytes);
    this.#heard = true;
    if (frame.seq !== this.#received) {
      const missing = (frame.seq - this.#received) >>> 0;
      throw new ServiceError("data_loss", `${missing} messages of the stream were lost on the way`);
    }
    if (isNumbered(frame.kind)) this.#received = (this.#received + 1) >>> 0;
    return frame;
  }

  /**
   * Lets the other end hear from this one, and watches whether anything is heard of it.
   *
   * @param everyMs - both ends must agree on it.
   * @returns what stops that; to be called when the stream is over.
   */
  watch(clock: Clock, everyMs: number, gone: (error: ServiceError) => void): Timer {
    let timer: Timer;
    const beat = (): void => {
      this.#silent = this.#heard ? 0 : this.#silent + 1;
      if (this.#silent >= SILENT_BEATS) {
        gone(
          new ServiceError("unavailable", `the peer of the stream was not heard of for ${this.#silent * everyMs} ms`),
        );
        return;
      }
      this.#heard = false;
      if (!this.#spoke) this.send(FRAME.beat, undefined);
      this.#spoke = false;
      timer = clock.schedule(everyMs, beat);
      timer.unref();
    };
    timer = clock.schedule(everyMs, beat);
    timer.unref();
    return { cancel: () => timer.cancel(), unref: () => {} };
  }
}
