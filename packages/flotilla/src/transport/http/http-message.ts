import type { IncomingMessage, ServerResponse } from "node:http";

/** A request of either HTTP version: node:http2's compatibility objects have everything used here of node:http's. */
export type Request = IncomingMessage;
/** A response of either HTTP version. */
export type Response = ServerResponse;
