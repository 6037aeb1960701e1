import type { Msg } from "@nats-io/nats-core";
import type { MsgImpl } from "@nats-io/nats-core/internal";
import type { Wire } from "flotilla/wire";
import { type Head, readHead, utf8 } from "./headers.ts";

/**
 * What stands before a message; undefined when nothing does. Read from the bytes: the client library's own reader throws at what a peer may have
 * written, and takes several times as long.
 *
 * @throws ServiceError `invalid_argument` when it is malformed.
 */
export function headOf(msg: Msg): Head | undefined {
  const { _msg: arg, _rdata: raw } = msg as MsgImpl;
  return arg.hdr > -1 ? readHead(raw.subarray(0, arg.hdr)) : undefined;
}

/** A message in the form that its call has. */
export function wireOf(bytes: Uint8Array, binary: boolean): Wire {
  return binary ? bytes : utf8(bytes);
}

/** A message as bytes. */
export function bytesOf(wire: Wire): Uint8Array {
  return typeof wire === "string" ? Buffer.from(wire) : wire;
}
