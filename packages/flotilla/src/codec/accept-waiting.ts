/**
 * Gives the event loop a whole turn, in which servers accept the connections that have come: those that a server has not accepted when it
 * closes are reset, with what their clients have sent.
 */
export function acceptWaiting(): Promise<void> {
  return new Promise((resolve) => void setImmediate(() => void setImmediate(resolve)));
}
