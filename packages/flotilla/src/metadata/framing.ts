const names: ReadonlySet<string> = new Set(
  "connection,content-length,http2-settings,keep-alive,proxy-connection,te,trailer,transfer-encoding,upgrade".split(
    ",",
  ),
);

/** Whether a header, its name in lower case, says how a message is framed: the transport's business alone (RFC 9112, section 6; RFC 9113, section 8.2.2). */
export function isFraming(name: string): boolean {
  return names.has(name);
}

/** Whether a header, its name in lower case, says how a body is to be read, its framing included: what metadata must not say of a body of the transport's. */
export function isOfBody(name: string): boolean {
  return name === "content-type" || name === "content-encoding" || isFraming(name);
}
