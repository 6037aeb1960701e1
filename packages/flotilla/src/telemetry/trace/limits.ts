/** How much one span may hold. What is over a limit is dropped and counted on the span. */
export interface SpanLimits {
  /** Attributes of a span, those its method presets included. Default 128. */
  attributes: number;
  /** Characters of a string value; bytes of a byte array. What is longer is cut. Default 65536 (the OpenTelemetry specification has no limit here). */
  valueLength: number;
  /** Events of a span; the oldest goes when there are more. Default 128. */
  events: number;
  /** Links of a span; the oldest goes when there are more. Default 128. */
  links: number;
  /** Attributes of one event or link. Default 128. */
  attributesEach: number;
}

const defaults: SpanLimits = { attributes: 128, valueLength: 65_536, events: 128, links: 128, attributesEach: 128 };

/**
 * Fills in the defaults.
 *
 * @throws RangeError when a limit is no whole number of 0 or more.
 */
export function spanLimits(given: Partial<SpanLimits> = {}): Readonly<SpanLimits> {
  const limits = { ...defaults, ...given };
  for (const [name, value] of Object.entries(limits)) {
    if (!(value === Infinity || (Number.isInteger(value) && value >= 0)))
      throw new RangeError(`tracing: limits.${name} must be a whole number of 0 or more, got ${String(value)}`);
  }
  return limits;
}
