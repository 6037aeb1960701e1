import { seededRandom } from "../../../clock/random.ts";
import { VirtualClock } from "../../../clock/virtual-clock.ts";
import { createTracerProvider, type LeanTracerProvider, type TracerProviderOptions } from "../provider.ts";
import type { FinishedSpan, SpanSink } from "../sink.ts";
import type { LeanTracer } from "../tracer.ts";

/** A sink that keeps what it is given. */
export class RecordingSink implements SpanSink {
  readonly spans: FinishedSpan[] = [];
  flushes = 0;
  closes = 0;

  /** The names, in the order in which the spans ended. */
  get names(): string[] {
    return this.spans.map(({ name }) => name);
  }

  end(span: FinishedSpan): void {
    this.spans.push(span);
  }

  flush(): Promise<void> {
    this.flushes++;
    return Promise.resolve();
  }

  close(): Promise<void> {
    this.closes++;
    return Promise.resolve();
  }
}

export interface Bed {
  readonly clock: VirtualClock;
  readonly sink: RecordingSink;
  readonly provider: LeanTracerProvider;
  readonly tracer: LeanTracer;
}

/** A provider on a virtual clock, with ids from a seed. */
export function bed(options: Partial<TracerProviderOptions> = {}): Bed {
  const clock = new VirtualClock();
  const sink = new RecordingSink();
  const provider = createTracerProvider({ clock, sink, random: seededRandom(1), ...options });
  return { clock, sink, provider, tracer: provider.getTracer("test", "1.0.0") };
}

/** Attributes as an object; fails on a name that occurs twice. */
export function attributesOf(list: readonly unknown[]): Record<string, unknown> {
  const object: Record<string, unknown> = {};
  for (let i = 0; i < list.length; i += 2) {
    const name = list[i] as string;
    if (Object.hasOwn(object, name)) throw new Error(`${name} occurs twice`);
    object[name] = list[i + 1];
  }
  return object;
}
