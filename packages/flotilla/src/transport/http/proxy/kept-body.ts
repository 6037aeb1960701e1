import { ServiceError } from "../../../errors/service-error.ts";

/** What is kept of one body, bytes. */
const MAX_BYTES = 64 * 1024;
/** What is kept of all bodies together, bytes. */
const MAX_BYTES_IN_ALL = 64 * 1024 * 1024;

/** What all requests of a proxy keep together. */
export interface Kept {
  bytes: number;
}

const nothing = Buffer.alloc(0);

/**
 * The body of a request, of which the beginning is kept so that another attempt can send it again. What comes is copied, for a chunk may hold on to much more
 * than itself.
 *
 *     [ kept: sent by every attempt ][ beyond ][ not read yet ]
 */
export class KeptBody {
  readonly #source: AsyncGenerator<Uint8Array>;
  readonly #all: Kept;
  #buffer: Buffer = nothing;
  #size = 0;
  /** How far the attempt has come in what is kept. */
  #at = 0;
  /** A chunk behind what is kept, where no more is. */
  #beyond: Uint8Array | undefined;
  #committed = false;
  #sent = false;
  #pending: Promise<void> | undefined;
  #ended = false;
  #failure: { readonly error: unknown } | undefined;
  #attempts = 0;

  constructor(source: AsyncGenerator<Uint8Array>, all: Kept) {
    this.#source = source;
    this.#all = all;
  }

  /** Whether it cannot be sent from its beginning any more. */
  get committed(): boolean {
    return this.#committed;
  }

  /** Whether any of it was given to an attempt. */
  get sent(): boolean {
    return this.#sent;
  }

  /** The body from its beginning, for an attempt; one that reads still fails. */
  async *read(): AsyncGenerator<Uint8Array> {
    if (this.#committed) throw new ServiceError("internal", "the body of the request cannot be sent again");
    const attempt = ++this.#attempts;
    this.#at = 0;
    for (;;) {
      const chunk = this.#take();
      if (chunk !== undefined) {
        this.#sent = true;
        yield chunk;
      } else if (this.#failure !== undefined) throw this.#failure.error;
      else if (this.#ended) return;
      else await (this.#pending ??= this.#more());
      if (attempt !== this.#attempts) throw new ServiceError("canceled", "the attempt was given up");
    }
  }

  /** What has come and was not taken by the attempt. */
  #take(): Uint8Array | undefined {
    if (this.#at < this.#size) {
      const chunk = this.#buffer.subarray(this.#at, this.#size);
      this.#at = this.#size;
      if (this.#committed) this.#forget();
      return chunk;
    }
    const chunk = this.#beyond;
    this.#beyond = undefined;
    return chunk;
  }

  /** Never rejects. */
  async #more(): Promise<void> {
    try {
      const { value, done } = await this.#source.next();
      if (done === true) this.#ended = true;
      else if (!this.#keep(value)) {
        this.#beyond = value;
        this.commit();
      }
    } catch (error) {
      this.#failure = { error };
    }
    this.#pending = undefined;
  }

  /** @returns false when that would be too much. */
  #keep(chunk: Uint8Array): boolean {
    const size = this.#size + chunk.byteLength;
    if (this.#committed || size > MAX_BYTES) return false;
    const capacity = this.#buffer.byteLength;
    if (size > capacity) {
      const wanted = Math.min(MAX_BYTES, Math.max(size, 2 * capacity));
      if (this.#all.bytes + wanted - capacity > MAX_BYTES_IN_ALL) return false;
      this.#all.bytes += wanted - capacity;
      const larger = Buffer.allocUnsafeSlow(wanted);
      larger.set(this.#buffer.subarray(0, this.#size));
      this.#buffer = larger;
    }
    this.#buffer.set(chunk, this.#size);
    this.#size = size;
    return true;
  }

  /** No other attempt will be made. */
  commit(): void {
    this.#committed = true;
    if (this.#at === this.#size) this.#forget();
  }

  /** Nobody reads any more. */
  close(): void {
    this.#attempts++;
    this.#committed = true;
    this.#forget();
    void this.#source.return(undefined);
  }

  #forget(): void {
    this.#all.bytes -= this.#buffer.byteLength;
    this.#buffer = nothing;
    this.#size = this.#at = 0;
  }
}
