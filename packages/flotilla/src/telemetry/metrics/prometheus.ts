import type { AttributeList, Exemplar, ExponentialPoint, HistogramPoint, MetricData, Resource } from "../model.ts";
import { boundsOf, coarser } from "./exponential.ts";

/** `text`: Prometheus' own format, version 0.0.4. `openmetrics`: OpenMetrics 1.0, which has exemplars. */
export type PrometheusFormat = "text" | "openmetrics";

/** The content type of each format. */
export const CONTENT_TYPES: Readonly<Record<PrometheusFormat, string>> = {
  text: "text/plain; version=0.0.4; charset=utf-8",
  openmetrics: "application/openmetrics-text; version=1.0.0; charset=utf-8",
};

/** The format that an `Accept` header asks for: OpenMetrics when it is named with a weight above zero and none lower than the text format's. */
export function negotiate(accept: string | undefined): PrometheusFormat {
  let open = 0;
  let text = 0;
  for (const range of (accept ?? "").split(",")) {
    const [type = "", ...parameters] = range.split(";").map((part) => part.trim().toLowerCase());
    const q = parameters.find((parameter) => parameter.startsWith("q="));
    const weight = q === undefined ? 1 : Number(q.slice(2));
    if (!(weight > 0)) continue;
    const version = parameters.find((parameter) => parameter.startsWith("version="))?.slice(8);
    if (type === "application/openmetrics-text" && (version === undefined || /^(0|1)\./.test(version))) {
      open = Math.max(open, weight);
    } else if (type === "text/plain") text = Math.max(text, weight);
  }
  return open > 0 && open >= text ? "openmetrics" : "text";
}

/** Units as names of Prometheus have them. */
const UNITS: Readonly<Record<string, string>> = {
  s: "seconds",
  ms: "milliseconds",
  us: "microseconds",
  ns: "nanoseconds",
  min: "minutes",
  h: "hours",
  d: "days",
  By: "bytes",
  KiBy: "kibibytes",
  MiBy: "mebibytes",
  "%": "percent",
  "1": "ratio",
  Hz: "hertz",
  V: "volts",
  Cel: "celsius",
};

/**
 * Writes metrics as Prometheus reads them, names and labels translated as "Prometheus and OpenMetrics Compatibility" of the OpenTelemetry
 * specification has it: the unit as a suffix, `_total` for counters, dots to underscores, and the resource as `target_info`. Scopes are left
 * out where all metrics of a name come from one.
 *
 * Exponential histograms become classic ones, a bound for each of their buckets.
 */
export function prometheusText(data: readonly MetricData[], resource: Resource, format: PrometheusFormat): string {
  const writer = new Writer(format);
  writer.targetInfo(resource);
  const families = new Map<string, MetricData[]>();
  for (const metric of data) {
    const name = familyOf(metric);
    const family = families.get(name);
    if (family === undefined) families.set(name, [metric]);
    // Two of one name and different kinds cannot be told in one exposition: the first stays.
    else if (kindOf(family[0]!) === kindOf(metric)) family.push(metric);
  }
  for (const [name, family] of families) writer.family(name, family);
  return writer.end();
}

function kindOf(metric: MetricData): "counter" | "gauge" | "histogram" {
  if (metric.type === "sum") return metric.monotonic ? "counter" : "gauge";
  return metric.type === "gauge" ? "gauge" : "histogram";
}

/** Without `_total`. */
function familyOf(metric: MetricData): string {
  let name = cleanName(metric.name);
  const unit = unitOf(metric);
  if (unit !== "" && !name.split("_").includes(unit)) name += `_${unit}`;
  return kindOf(metric) === "counter" ? name.replace(/_total$/, "") : name;
}

function unitOf(metric: MetricData): string {
  const unit = metric.unit.replace(/\{[^}]*\}/g, "").trim();
  // A ratio is said of gauges alone.
  if (unit === "" || (unit === "1" && kindOf(metric) !== "gauge")) return "";
  const [of = "", per] = unit.split("/");
  const word = UNITS[of] ?? cleanName(of);
  if (per === undefined) return word;
  return `${word}_per_${(UNITS[per] ?? cleanName(per)).replace(/s$/, "")}`;
}

function cleanName(name: string): string {
  const clean = name.replace(/[^A-Za-z0-9_:]+/g, "_").replace(/^_+|_+$/g, "");
  return /^\d/.test(clean) || clean === "" ? `_${clean}` : clean;
}

/** Scale of the classic buckets that an exponential histogram is told in: two a doubling. */
const CLASSIC_SCALE = 1;

class Writer {
  readonly #open: boolean;
  readonly #lines: string[] = [];

  constructor(format: PrometheusFormat) {
    this.#open = format === "openmetrics";
  }

  targetInfo({ attributes }: Resource): void {
    const list = Object.entries(attributes).flatMap(([name, value]) => (value === undefined ? [] : [name, value]));
    const type = this.#open ? "info" : "gauge";
    const name = this.#open ? "target" : "target_info";
    this.#lines.push(`# TYPE ${name} ${type}`, `# HELP ${name} Who emits these metrics.`);
    this.#lines.push(`target_info${braces(labels(list))} 1`);
  }

  family(name: string, family: readonly MetricData[]): void {
    const [{ description, unit: ucum }] = family as [MetricData];
    const kind = kindOf(family[0]!);
    const head = kind === "counter" && !this.#open ? `${name}_total` : name;
    this.#lines.push(`# TYPE ${head} ${kind}`);
    const unit = ucum === "" ? "" : unitOf(family[0]!);
    if (this.#open && unit !== "" && name.endsWith(`_${unit}`)) this.#lines.push(`# UNIT ${name} ${unit}`);
    if (description !== "") this.#lines.push(`# HELP ${head} ${escapeHelp(description, this.#open)}`);
    const scoped = new Set(family.map(({ scope }) => scope.name)).size > 1;
    for (const metric of family) {
      const extra = scoped ? [["otel_scope_name", metric.scope.name] as const] : [];
      switch (metric.type) {
        case "sum":
        case "gauge":
          for (const { attributes, value } of metric.points) {
            this.#lines.push(
              `${name}${kind === "counter" ? "_total" : ""}${braces([...labels(attributes), ...extra])} ${number(value)}`,
            );
          }
          break;
        case "histogram":
          for (const point of metric.points) this.#histogram(name, point, point.bounds, point.counts, extra);
          break;
        case "exponential":
          for (const point of metric.points) this.#exponential(name, point, extra);
      }
    }
  }

  /** In buckets whose bounds stay the same while the histogram's own scale falls: else rates over time would compare different buckets. */
  #exponential(name: string, point: ExponentialPoint, extra: readonly Label[]): void {
    const bounds: number[] = [];
    const counts: number[] = [];
    const steps = Math.max(0, point.scale - CLASSIC_SCALE);
    const scale = point.scale - steps;
    const negative = coarser(point.negative, steps);
    const positive = coarser(point.positive, steps);
    const { zeroCount } = point;
    for (let i = negative.counts.length - 1; i >= 0; i--) {
      bounds.push(-boundsOf(negative.offset + i, scale)[0]);
      counts.push(negative.counts[i]!);
    }
    bounds.push(0);
    counts.push(zeroCount);
    for (const [i, count] of positive.counts.entries()) {
      bounds.push(boundsOf(positive.offset + i, scale)[1]);
      counts.push(count);
    }
    this.#histogram(name, point, bounds, [...counts, 0], extra);
  }

  #histogram(
    name: string,
    point: HistogramPoint | ExponentialPoint,
    bounds: readonly number[],
    counts: readonly number[],
    extra: readonly Label[],
  ): void {
    const own = [...labels(point.attributes), ...extra];
    let sum = 0;
    for (let i = 0; i <= bounds.length; i++) {
      sum += counts[i] ?? 0;
      const bound = bounds[i] ?? Infinity;
      const exemplar = this.#open ? exemplarIn(point.exemplars, bounds[i - 1] ?? -Infinity, bound) : "";
      this.#lines.push(
        `${name}_bucket${braces([...own, ["le", number(bound, this.#open)]])} ${number(sum)}${exemplar}`,
      );
    }
    this.#lines.push(
      `${name}_sum${braces(own)} ${number(point.sum)}`,
      `${name}_count${braces(own)} ${number(point.count)}`,
    );
  }

  end(): string {
    if (this.#open) this.#lines.push("# EOF");
    return `${this.#lines.join("\n")}\n`;
  }
}

type Label = readonly [name: string, value: string];

function labels(attributes: AttributeList): Label[] {
  const found = new Map<string, string>();
  for (let i = 0; i < attributes.length; i += 2) {
    const name = cleanName(attributes[i] as string).replaceAll(":", "_");
    const value = attributes[i + 1];
    const text = typeof value === "string" ? value : (JSON.stringify(value) ?? "");
    const before = found.get(name);
    // Names that fall together share a label (compatibility specification).
    found.set(name, before === undefined ? text : `${before};${text}`);
  }
  return Array.from(found);
}

function braces(list: readonly Label[]): string {
  if (list.length === 0) return "";
  return `{${list.map(([name, value]) => `${name}="${escapeLabel(value)}"`).join(",")}}`;
}

function escapeLabel(text: string): string {
  return text.replace(/[\\\n"]/g, (c) => (c === "\n" ? "\\n" : `\\${c}`)).replaceAll("\r", " ");
}

function escapeHelp(text: string, open: boolean): string {
  return open ? escapeLabel(text) : text.replace(/[\\\n]/g, (c) => (c === "\n" ? "\\n" : "\\\\")).replaceAll("\r", " ");
}

/** @param canonical - with a point, as OpenMetrics wants the bounds of buckets. */
function number(value: number, canonical = false): string {
  if (value === Infinity) return "+Inf";
  if (value === -Infinity) return "-Inf";
  const text = String(value);
  return canonical && Number.isInteger(value) && !text.includes("e") ? `${text}.0` : text;
}

function exemplarIn(exemplars: readonly Exemplar[], above: number, upTo: number): string {
  let found: Exemplar | undefined;
  for (const one of exemplars) {
    // Several of one bucket: Prometheus takes none that is older than what it has.
    if (one.value > above && one.value <= upTo && one.epochMs >= (found?.epochMs ?? 0)) found = one;
  }
  if (found === undefined) return "";
  const { traceId, spanId, value, epochMs } = found;
  const ids: Label[] = [];
  if (traceId !== undefined) ids.push(["trace_id", traceId]);
  if (spanId !== undefined) ids.push(["span_id", spanId]);
  return ` # {${ids.map(([name, id]) => `${name}="${id}"`).join(",")}} ${number(value)} ${(epochMs / 1000).toFixed(3)}`;
}
