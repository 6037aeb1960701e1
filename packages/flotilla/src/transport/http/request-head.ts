/**
 * The request headers that every call needs, found in one pass over the raw list: cheaper than having Node build its header
 * object, which most calls never need.
 */
export class RequestHead {
  hosts = 0;
  #traceparents = 0;
  contentType: string | undefined = undefined;
  contentLength: string | undefined = undefined;
  contentEncoding: string | undefined = undefined;
  acceptEncoding: string | undefined = undefined;
  transferEncoding: string | undefined = undefined;
  expect: string | undefined = undefined;
  upgrade: string | undefined = undefined;
  timeout: string | undefined = undefined;
  protocolVersion: string | undefined = undefined;
  streamEncoding: string | undefined = undefined;
  streamAcceptEncoding: string | undefined = undefined;
  origin: string | undefined = undefined;
  ifNoneMatch: string | undefined = undefined;
  /** Undefined when there are several: which one counts is anybody's guess (W3C Trace Context level 2, section 3.2). */
  traceparent: string | undefined = undefined;
  tracestate: string | undefined = undefined;

  constructor(raw: readonly string[]) {
    for (let i = 0; i < raw.length; i += 2) {
      const name = raw[i]!;
      // Most names differ in length from all of ours: the switch spares them the comparison.
      switch (name.length) {
        case 4:
          if (is(name, "host")) this.hosts++;
          break;
        case 6:
          if (is(name, "origin")) this.origin = raw[i + 1];
          else if (is(name, "expect")) this.expect = raw[i + 1];
          break;
        case 7:
          if (is(name, "upgrade")) this.upgrade = raw[i + 1];
          break;
        case 10:
          if (is(name, "tracestate")) this.tracestate = joined(this.tracestate, raw[i + 1]!);
          break;
        case 11:
          if (is(name, "traceparent")) {
            this.traceparent = ++this.#traceparents === 1 ? raw[i + 1] : undefined;
          }
          break;
        case 12:
          if (is(name, "content-type")) this.contentType = raw[i + 1];
          break;
        case 13:
          if (is(name, "if-none-match")) this.ifNoneMatch = raw[i + 1];
          break;
        case 14:
          if (is(name, "content-length")) this.contentLength = raw[i + 1];
          break;
        case 15:
          if (is(name, "accept-encoding")) this.acceptEncoding = raw[i + 1];
          break;
        case 16:
          if (is(name, "content-encoding")) this.contentEncoding = raw[i + 1];
          break;
        case 17:
          if (is(name, "transfer-encoding")) this.transferEncoding = raw[i + 1];
          break;
        case 18:
          if (is(name, "connect-timeout-ms")) this.timeout = raw[i + 1];
          break;
        case 23:
          if (is(name, "connect-accept-encoding")) this.streamAcceptEncoding = raw[i + 1];
          break;
        case 24:
          if (is(name, "connect-protocol-version")) this.protocolVersion = raw[i + 1];
          else if (is(name, "connect-content-encoding")) this.streamEncoding = raw[i + 1];
          break;
      }
    }
  }
}

/** Several headers of one name are one list (RFC 9110, section 5.3). */
function joined(before: string | undefined, value: string): string {
  return before === undefined ? value : `${before},${value}`;
}

function is(name: string, expected: string): boolean {
  return name === expected || name.toLowerCase() === expected;
}
