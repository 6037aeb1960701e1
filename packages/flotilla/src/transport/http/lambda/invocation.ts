import { parseJson } from "../../../codec/json.ts";
import { isCode } from "../../../errors/code.ts";
import { ServiceError } from "../../../errors/service-error.ts";
import { type MetadataRecord, newRecord } from "../../../metadata/metadata.ts";
import type { Accepted, Caller } from "../../../wire/served-call.ts";
import type { Invoke, InvokeInput, InvokeOutput } from "./client-options.ts";
import { notInvoked } from "./not-invoked.ts";

/** A function that is being invoked, for one call. */
export class Invocation implements Accepted {
  readonly #name: string;
  readonly #maxBytes: number;
  readonly #caller: Caller;
  readonly #abort = new AbortController();
  #over = false;

  /** @param done - told once, when the platform has answered or need not any more. */
  constructor(input: InvokeInput, invoke: Invoke, maxBytes: number, caller: Caller, done: () => void) {
    this.#name = input.FunctionName;
    this.#maxBytes = maxBytes;
    this.#caller = caller;
    void this.#run(input, invoke).finally(done);
  }

  abandoned(): void {
    this.#over = true;
    this.#abort.abort();
  }

  async #run(input: InvokeInput, invoke: Invoke): Promise<void> {
    try {
      const output = await invoke(input, { abortSignal: this.#abort.signal });
      if (!this.#over) this.#answered(output);
    } catch (error) {
      // What the platform says to whoever has gone is of no interest.
      if (!this.#over) this.#caller.abandon(notInvoked(this.#name, error));
    }
    this.#over = true;
  }

  /** @throws ServiceError when nobody can read it. */
  #answered({ Payload, FunctionError }: InvokeOutput): void {
    const bytes = Payload?.byteLength ?? 0;
    if (bytes > this.#maxBytes) {
      throw new ServiceError(
        "resource_exhausted",
        `${this.#name} answered with ${bytes} bytes, over the ${this.#maxBytes} allowed`,
      );
    }
    const answer = objectOf(Payload);
    if (FunctionError !== undefined) return this.#failed(answer);
    if (answer === undefined || !Object.hasOwn(answer, "output")) {
      throw new ServiceError(
        "internal",
        `${this.#name} answered with what is no answer to a call: is it a handler of lambda()?`,
      );
    }
    this.#caller.head(recordOf(answer["metadata"]));
    void this.#caller.message(JSON.stringify(answer["output"]));
    this.#caller.end(undefined, recordOf(answer["trailers"]));
  }

  #failed(answer: Record<string, unknown> = {}): void {
    const type = textOf(answer["errorType"]) ?? "no type";
    const message = textOf(answer["errorMessage"]) ?? "no message";
    const error = isCode(type) ? objectOf(Buffer.from(message)) : undefined;
    if (error === undefined) throw platformError(this.#name, type, message);
    const headers = recordOf(error["metadata"]);
    this.#caller.head(headers);
    // All of it is metadata of the error.
    this.#caller.end(JSON.stringify(error), { ...headers, ...recordOf(error["trailers"]) });
  }
}

/** What a function failed with that did not fail as its service says. */
function platformError(name: string, type: string, message: string): ServiceError {
  const text = `${name} failed: ${type}: ${message}`;
  if (type === "Sandbox.Timedout" || message.includes("Task timed out after ")) {
    return new ServiceError("deadline_exceeded", text);
  }
  // The process ended, or did not come up.
  if (/^(?:Runtime|Extension|Sandbox)\./.test(type)) return new ServiceError("unavailable", text);
  return new ServiceError("unknown", text);
}

function textOf(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}

/** A payload that is a JSON object; undefined for anything else, and for keys that are refused. */
function objectOf(payload: Uint8Array | undefined): Record<string, unknown> | undefined {
  if (payload === undefined) return undefined;
  let value: unknown;
  try {
    value = parseJson(Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength).toString("utf8"));
  } catch {
    // The caller says what it should have been.
    return undefined;
  }
  return typeof value === "object" && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : undefined;
}

/** Metadata as it should be; what is no text is left out. */
function recordOf(json: unknown): MetadataRecord {
  const record = newRecord();
  for (const [name, value] of Object.entries(Object(json) as object)) {
    const values = [value].flat().filter((one) => typeof one === "string");
    if (values.length > 0) record[name.toLowerCase()] = values.length === 1 ? values[0]! : values;
  }
  return record;
}
