import type { Meter } from "@opentelemetry/api";
import type { MethodInfo } from "../../endpoint/method-info.ts";
import type { Code } from "../../errors/code.ts";
import type { CallMeter, MethodMeter, Side } from "../calls/ports.ts";
import { nameOf } from "../calls/rpc-attributes.ts";
import type { ActiveSpan } from "../trace/active-span.ts";
import type { ExemplarSpan } from "./exemplars.ts";
import { type LeanMeter, SECONDS } from "./provider.ts";

/** Bounds of the sizes of messages, bytes. */
const BYTES = [64, 256, 1024, 4096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304];

interface Recorder {
  record(value: number, span?: ExemplarSpan): void;
}

interface Adder {
  add(n: number): void;
}

/**
 * Rate, errors and duration of every method, on either side, by the RPC semantic conventions: `rpc.server.call.duration` and
 * `rpc.client.call.duration` in seconds, by method and outcome; calls in flight; on the server what went over the wire in bytes.
 *
 * @param meter - the built-in one, whose series are bound once a method; or any other of the OpenTelemetry API.
 */
export function callMeter(meter: Meter | LeanMeter): CallMeter {
  const instruments = { server: instrumentsOf(meter, "server"), client: instrumentsOf(meter, "client") };
  return { method: (method, side) => new BoundMethodMeter(method, side, instruments[side]) };
}

interface Instruments {
  readonly duration: ReturnType<Meter["createHistogram"]>;
  readonly active: ReturnType<Meter["createUpDownCounter"]>;
  readonly requestSize: ReturnType<Meter["createHistogram"]>;
  readonly responseSize: ReturnType<Meter["createHistogram"]>;
}

function instrumentsOf(meter: Meter, side: Side): Instruments {
  const size = (what: string): Instruments["requestSize"] =>
    meter.createHistogram(`rpc.${side}.${what}.size`, {
      description: `Size of the ${what}, as it went over the wire.`,
      unit: "By",
      advice: { explicitBucketBoundaries: BYTES },
    });
  return {
    duration: meter.createHistogram(`rpc.${side}.call.duration`, {
      description: side === "server" ? "How long calls took to serve." : "How long calls took, all attempts together.",
      unit: "s",
      advice: { explicitBucketBoundaries: SECONDS },
    }),
    active: meter.createUpDownCounter(`rpc.${side}.active_calls`, {
      description: side === "server" ? "Calls that are being served." : "Calls that are under way.",
      unit: "{call}",
    }),
    requestSize: size("request"),
    responseSize: size("response"),
  };
}

class BoundMethodMeter implements MethodMeter {
  readonly #attributes: Readonly<Record<string, string>>;
  readonly #duration: Instruments["duration"];
  readonly #active: Adder;
  readonly #requestSize: Recorder;
  readonly #responseSize: Recorder;
  readonly #sizes: boolean;
  readonly #ok: Recorder;
  /** Outcomes that have been seen. */
  readonly #failed = new Map<Code, Recorder>();

  constructor(method: MethodInfo | undefined, side: Side, instruments: Instruments) {
    this.#attributes = { "rpc.method": nameOf(method) };
    this.#duration = instruments.duration;
    this.#sizes = side === "server";
    this.#active = bound(instruments.active, this.#attributes, "add");
    this.#requestSize = bound(instruments.requestSize, this.#attributes, "record");
    this.#responseSize = bound(instruments.responseSize, this.#attributes, "record");
    this.#ok = bound(this.#duration, { ...this.#attributes, "rpc.response.status_code": "ok" }, "record");
  }

  begin(): void {
    this.#active.add(1);
  }

  end(
    code: "ok" | Code,
    durationMs: number,
    requestBytes: number,
    responseBytes: number,
    span: ActiveSpan | undefined,
  ): void {
    this.#active.add(-1);
    (code === "ok" ? this.#ok : this.#failure(code)).record(durationMs / 1000, span);
    if (!this.#sizes) return;
    this.#requestSize.record(requestBytes);
    this.#responseSize.record(responseBytes);
  }

  #failure(code: Code): Recorder {
    let recorder = this.#failed.get(code);
    if (recorder === undefined) {
      const attributes = { ...this.#attributes, "rpc.response.status_code": code, "error.type": code };
      recorder = bound(this.#duration, attributes, "record");
      this.#failed.set(code, recorder);
    }
    return recorder;
  }
}

type Attributes = Readonly<Record<string, string>>;

/** The series of these attributes, where the instrument can tell; else the instrument with the attributes each time. */
function bound(instrument: Instruments["active"], attributes: Attributes, how: "add"): Adder;
function bound(instrument: Instruments["duration"], attributes: Attributes, how: "record"): Recorder;
function bound(
  instrument: Instruments["active"] | Instruments["duration"],
  attributes: Attributes,
  how: "add" | "record",
): Adder | Recorder {
  if ("bind" in instrument) return (instrument as { bind(a: Attributes): Adder | Recorder }).bind(attributes);
  if (how === "add") return { add: (n: number) => (instrument as Instruments["active"]).add(n, attributes) };
  return { record: (value: number) => (instrument as Instruments["duration"]).record(value, attributes) };
}
