/** Something to be closed when the host has stopped: a client, a channel, a database. */
export type Closable =
  | { close(): unknown }
  | { [Symbol.asyncDispose](): PromiseLike<void> }
  | { [Symbol.dispose](): void };

/** Closes it the way it prefers: a client may well have a *method* that is called `close`. */
export async function closeOne(closable: Closable): Promise<void> {
  if (Symbol.asyncDispose in closable) await closable[Symbol.asyncDispose]();
  else if ("close" in closable) await closable.close();
  else closable[Symbol.dispose]();
}
