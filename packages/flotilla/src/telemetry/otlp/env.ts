import type { Environment } from "../model.ts";
import type { Compression } from "./delivery.ts";
import type { OtlpExporterOptions, OtlpSignal } from "./exporter.ts";
import { headerProblem } from "./headers.ts";
import type { OtlpTls } from "./http-sender.ts";

/** What the environment says about one signal: options of `otlpExporter` but for the resource. */
export type OtlpSettings<S extends OtlpSignal = OtlpSignal> = Required<
  Pick<OtlpExporterOptions<S>, "signal" | "url" | "headers" | "timeoutMs" | "compression" | "tls">
> & {
  /** Whether an endpoint was named: by default `localhost` is not worth a try unless someone asked for it. */
  readonly endpointGiven: boolean;
};

/** Options of `batcher` that the environment names; what it does not name is undefined. */
export interface BatchSettings {
  readonly maxQueue?: number;
  readonly maxBatch?: number;
  readonly delayMs?: number;
  readonly exportTimeoutMs?: number;
}

/** What {@link otlpFromEnv} has read. */
export interface OtlpEnvironment {
  readonly traces: OtlpSettings<"traces">;
  readonly metrics: OtlpSettings<"metrics">;
  readonly logs: OtlpSettings<"logs">;
  /** `OTEL_BSP_*`. */
  readonly spanBatch: BatchSettings;
  /** `OTEL_BLRP_*`. */
  readonly logBatch: BatchSettings;
  /** One sentence for each variable that could not be used; its default is in its place. */
  readonly errors: readonly string[];
}

const DEFAULT_ENDPOINT = "http://localhost:4318";
const DEFAULT_TIMEOUT_MS = 10_000;

/**
 * Reads the standard variables of the OTLP exporter (OpenTelemetry specification, "OpenTelemetry Protocol Exporter") and of batch processors
 * (`OTEL_BSP_*`, `OTEL_BLRP_*`). Reads nothing else and throws nothing. An empty variable is an unset one.
 */
export function otlpFromEnv(env: Environment): OtlpEnvironment {
  const reader = new EnvReader(env);
  return {
    traces: reader.signal("traces"),
    metrics: reader.signal("metrics"),
    logs: reader.signal("logs"),
    spanBatch: reader.batch("OTEL_BSP"),
    logBatch: reader.batch("OTEL_BLRP"),
    // A general variable is read once for each signal.
    errors: [...new Set(reader.errors)],
  };
}

class EnvReader {
  readonly errors: string[] = [];
  readonly #env: Environment;

  constructor(env: Environment) {
    this.#env = env;
  }

  #text(name: string): string | undefined {
    const text = this.#env[name]?.trim();
    return text === "" ? undefined : text;
  }

  /** The variable of the signal, else the general one, with its name. */
  #either(signal: OtlpSignal, suffix: string): [name: string, text: string | undefined] {
    const own = `OTEL_EXPORTER_OTLP_${signal.toUpperCase()}_${suffix}`;
    const text = this.#text(own);
    const general = `OTEL_EXPORTER_OTLP_${suffix}`;
    return text === undefined ? [general, this.#text(general)] : [own, text];
  }

  #wrong(name: string, text: string, expected: string, instead: string): void {
    this.errors.push(`${name} is ${JSON.stringify(text)}, which is not ${expected}: ${instead}`);
  }

  signal<S extends OtlpSignal>(signal: S): OtlpSettings<S> {
    this.#protocol(signal);
    const tls: OtlpTls = {
      ...this.#file(signal, "CERTIFICATE", "caFile"),
      ...this.#file(signal, "CLIENT_CERTIFICATE", "certFile"),
      ...this.#file(signal, "CLIENT_KEY", "keyFile"),
    };
    return {
      signal,
      ...this.#endpoint(signal),
      headers: {
        ...this.#headers("OTEL_EXPORTER_OTLP_HEADERS"),
        ...this.#headers(`OTEL_EXPORTER_OTLP_${signal.toUpperCase()}_HEADERS`),
      },
      timeoutMs: this.#timeout(signal),
      compression: this.#compression(signal),
      tls,
    };
  }

  #protocol(signal: OtlpSignal): void {
    const [name, text] = this.#either(signal, "PROTOCOL");
    if (text === undefined || text === "http/protobuf") return;
    const known = text === "grpc" || text === "http/json";
    this.#wrong(
      name,
      text,
      known ? "supported" : "a protocol of OTLP",
      `http/protobuf is used${text === "grpc" ? "; point the endpoint at the collector's HTTP port, usually 4318" : ""}`,
    );
  }

  #endpoint(signal: OtlpSignal): { url: string; endpointGiven: boolean } {
    const own = `OTEL_EXPORTER_OTLP_${signal.toUpperCase()}_ENDPOINT`;
    const ownText = this.#text(own);
    const ownUrl = this.#url(own, ownText);
    // The signal's own endpoint is taken as it is.
    if (ownUrl !== undefined) return { url: ownUrl.href, endpointGiven: true };
    const general = "OTEL_EXPORTER_OTLP_ENDPOINT";
    const base = this.#url(general, this.#text(general));
    const url = base ?? new URL(DEFAULT_ENDPOINT);
    url.pathname = `${url.pathname.replace(/\/+$/, "")}/v1/${signal}`;
    return { url: url.href, endpointGiven: base !== undefined };
  }

  #url(name: string, text: string | undefined): URL | undefined {
    if (text === undefined) return undefined;
    const url = URL.canParse(text) ? new URL(text) : undefined;
    if (url !== undefined && /^https?:$/.test(url.protocol) && url.username === "" && url.password === "") return url;
    // It may hold a password, so it is not repeated.
    const hint = /^[\w.-]+:\d+(?:\/|$)/.test(text) ? "; it needs http:// or https:// before the host" : "";
    this.errors.push(`${name} is not an absolute http or https URL without credentials${hint}: it is ignored`);
    return undefined;
  }

  /** `name=value,name=value`, values percent-encoded (the form of W3C baggage). */
  #headers(variable: string): Record<string, string> {
    const headers: Record<string, string> = {};
    for (const member of this.#text(variable)?.split(",") ?? []) {
      if (member.trim() === "") continue;
      const at = member.indexOf("=");
      const name = member.slice(0, Math.max(0, at)).trim().toLowerCase();
      const value = decode(member.slice(at + 1).trim());
      const problem =
        name === "" || value === undefined
          ? `has ${name === "" ? "a member" : JSON.stringify(name.slice(0, 64))}, which is not name=value with a percent-encoded value`
          : headerProblem(name, value);
      // Never the value: it may be a key.
      if (problem !== undefined) this.errors.push(`${variable} ${problem}: it is left out`);
      else headers[name] = value!;
    }
    return headers;
  }

  #timeout(signal: OtlpSignal): number {
    const [name, text] = this.#either(signal, "TIMEOUT");
    return this.#number(name, text, 1, `${DEFAULT_TIMEOUT_MS} is used`) ?? DEFAULT_TIMEOUT_MS;
  }

  #compression(signal: OtlpSignal): Compression {
    const [name, text] = this.#either(signal, "COMPRESSION");
    if (text === "gzip") return "gzip";
    if (text !== undefined && text !== "none") this.#wrong(name, text, "gzip or none", "nothing is compressed");
    return "none";
  }

  #file(signal: OtlpSignal, suffix: string, option: keyof OtlpTls): OtlpTls {
    const [, text] = this.#either(signal, suffix);
    return text === undefined ? {} : { [option]: text };
  }

  batch(prefix: string): BatchSettings {
    const read = (suffix: string, least: number): number | undefined => {
      const name = `${prefix}_${suffix}`;
      return this.#number(name, this.#text(name), least, "the default is used");
    };
    const maxQueue = read("MAX_QUEUE_SIZE", 1);
    let maxBatch = read("MAX_EXPORT_BATCH_SIZE", 1);
    const delayMs = read("SCHEDULE_DELAY", 0);
    const exportTimeoutMs = read("EXPORT_TIMEOUT", 1);
    const room = maxQueue ?? 2048;
    if (maxBatch !== undefined && maxBatch > room) {
      this.errors.push(`${prefix}_MAX_EXPORT_BATCH_SIZE is ${maxBatch}, more than the queue holds: ${room} is used`);
      maxBatch = room;
    }
    return {
      ...(maxQueue !== undefined && { maxQueue }),
      ...(maxBatch !== undefined && { maxBatch }),
      ...(delayMs !== undefined && { delayMs }),
      ...(exportTimeoutMs !== undefined && { exportTimeoutMs }),
    };
  }

  #number(name: string, text: string | undefined, least: number, instead: string): number | undefined {
    if (text === undefined) return undefined;
    const value = /^\d{1,9}$/.test(text) ? Number(text) : -1;
    // More than 2^24 items no queue of ours takes.
    if (value >= least && (value <= 2 ** 24 || !name.endsWith("_SIZE"))) return value;
    this.#wrong(name, text, `a whole number of ${least} or more`, instead);
    return undefined;
  }
}

function decode(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}
