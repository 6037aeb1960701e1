/** W3C Trace Context as it goes over the wire. */
export interface TraceHeaders {
  /** `00-<32 hex>-<16 hex>-<2 hex>`, valid by the specification. */
  readonly traceparent: string;
  /** Vendor list, passed on as it came; undefined when absent. */
  readonly tracestate: string | undefined;
}
