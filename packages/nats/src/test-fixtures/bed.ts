import type { Client, Contract, Schema } from "flotilla/contract";
import type { Connection } from "flotilla/endpoint";
import { ServiceError } from "flotilla/errors";
import { type Channel, client } from "flotilla/service";

/** A client over one connection, with nothing around its calls. */
export function clientOf<C extends Contract>(of: C, connection: Connection): Client<C> {
  const channel: Channel = {
    endpoint: (method) => connection.endpoint(method),
    instances: () => [],
    close: () => connection.close(),
    [Symbol.asyncDispose]: () => connection.close(),
  };
  return client(of, channel);
}

/** A schema that lets everything pass. */
export function anything<T>(): Schema<T> {
  return { "~standard": { version: 1, vendor: "test", validate: (value) => ({ value: value as T }) } };
}

/** Something that one side waits for and the other sets. */
export class Gate {
  readonly open: Promise<void>;
  set!: () => void;

  constructor() {
    this.open = new Promise((resolve) => {
      this.set = resolve;
    });
  }
}

/** The ServiceError that a promise rejects with. */
export async function failureOf(work: Promise<unknown>): Promise<ServiceError> {
  try {
    await work;
  } catch (error) {
    if (error instanceof ServiceError) return error;
    throw new Error(`failed with what is no ServiceError: ${String(error)}`, { cause: error });
  }
  throw new Error("did not fail");
}
