import type { CancelContext } from "../context/context.ts";
import { background, withCancel, withValue } from "../context/with.ts";
import { type Client, contract, type Implementation } from "../contract/contract.ts";
import { bidiStream, clientStream, serverStream, unary } from "../contract/method.ts";
import type { Schema } from "../contract/schema.ts";
import type { Middleware } from "../endpoint/endpoint.ts";
import { errorReporterKey } from "../endpoint/report.ts";
import type { Connection, Connector, Listener, Listening } from "../endpoint/transport.ts";
import { ServiceError } from "../errors/service-error.ts";
import { implement } from "../service/implement.ts";
import { stub } from "../service/stub.ts";
import type { ContractTest } from "./balancer-contract.ts";

/** A transport under test. */
export interface TransportUnderTest {
  /** A listener on an address of its own (port 0). */
  listener(): Listener;
  /** What reaches such listeners. */
  connector(): Connector;
  /** Whether streams may go both ways at once. Default true; HTTP/1.1 cannot. */
  readonly bidi?: boolean;
  /**
   * Whether the server hears of its callers: that they have given up, or gone; and of its own end. Default true. A platform that invokes functions tells them
   * of neither.
   */
  readonly hears?: boolean;
  /** Whether it carries streams at all. Default true; without them, calling a method that streams must fail as `unimplemented`. */
  readonly streams?: boolean;
  /** The largest message that either end takes, as serialised, bytes, 64 KiB or more: one that is larger must fail its call as `resource_exhausted`. Default 4 MiB. */
  readonly maxMessageBytes?: number;
  /** Whether a connection of TCP leads to the listener's address (or that of its broker), for the suite to stand in between and cut it. Default true. */
  readonly tcp?: boolean;
}

/** A message of the suite's own contract. */
export interface Note {
  readonly n: number;
  readonly text: string;
}

const note: Schema<Note> = {
  "~standard": {
    version: 1,
    vendor: "flotilla",
    validate(value) {
      const { n, text } = (value ?? {}) as Partial<Note>;
      const issues = [
        ...(typeof n === "number" ? [] : [{ message: "expected a number", path: ["n"] }]),
        ...(typeof text === "string" ? [] : [{ message: "expected a string", path: ["text"] }]),
      ];
      return issues.length > 0 ? { issues } : { value: { n: n!, text: text! } };
    },
  },
};

/** The contract that the suite serves and calls. */
export const Notes = contract("flotilla.testing.v1.Notes", {
  one: unary({ input: note, output: note }),
  many: serverStream({ input: note, output: note }),
  collect: clientStream({ input: note, output: note }),
  chat: bidiStream({ input: note, output: note }),
});

const unimplemented = (): never => {
  throw new ServiceError("unimplemented", "the test does not call this");
};

/** A server and a client of the transport under test, joined. */
export interface TransportBed {
  readonly client: Client<typeof Notes>;
  readonly listening: Listening;
  readonly connection: Connection;
  /** Root of the client's contexts. */
  readonly ctx: CancelContext;
  /** What the server kept from its callers. */
  readonly reported: ServiceError[];
}

/** A test that serves the given methods and closes everything afterwards. */
export function transportTest(
  name: string,
  under: TransportUnderTest,
  methods: () => Partial<Implementation<typeof Notes>>,
  body: (bed: TransportBed) => Promise<void>,
  use: readonly Middleware[] = [],
): ContractTest {
  return {
    name,
    async run() {
      const reported: ServiceError[] = [];
      const root = withCancel(withValue(background(), errorReporterKey, (error) => reported.push(error)));
      const ctx = withCancel(background());
      const implementation: Implementation<typeof Notes> = {
        one: unimplemented,
        many: unimplemented,
        collect: unimplemented,
        chat: unimplemented,
        ...methods(),
      };
      const listening = await under.listener().listen([implement(Notes, implementation, { use })], root);
      const connection = under.connector().connect(listening.address);
      // Deadlines keep no process alive, and a transport without sockets has nothing else that would.
      const alive = ctx.clock.schedule(60_000, () => {});
      try {
        await body({
          client: stub(Notes, (method) => connection.endpoint(method)),
          listening,
          connection,
          ctx,
          reported,
        });
      } finally {
        alive.cancel();
        ctx.cancel();
        await connection.close();
        await listening.close();
        root.cancel();
      }
    },
  };
}

/** As {@link transportTest}, of what only transports with streams can do; no tests for others. */
export function streamTest(...[name, under, ...rest]: Parameters<typeof transportTest>): ContractTest[] {
  return under.streams === false ? [] : [transportTest(name, under, ...rest)];
}

/** As {@link transportTest}, of what only servers can do that hear of their callers and of their own end; no tests for others. */
export function hearingTest(...[name, under, ...rest]: Parameters<typeof transportTest>): ContractTest[] {
  return under.hears === false ? [] : [transportTest(name, under, ...rest)];
}

/** A value that one side sets and the other waits for. */
export class Handover<T> {
  readonly value: Promise<T>;
  set!: (value: T) => void;

  constructor() {
    this.value = new Promise((resolve) => {
      this.set = resolve;
    });
  }
}

/** Messages numbered from 1. */
export function notes(count: number, text = ""): Note[] {
  return Array.from({ length: count }, (_, i) => ({ n: i + 1, text }));
}

/** A stream of the items given. */
export async function* streamOf<T>(items: Iterable<T>): AsyncGenerator<T> {
  yield* items;
}

/** All items of a stream. */
export async function readAll<T>(stream: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = [];
  for await (const item of stream) items.push(item);
  return items;
}

/** The ServiceError that a promise rejects with. @throws Error when it does not, or with something else. */
export async function failureOf(work: Promise<unknown>): Promise<ServiceError> {
  try {
    await work;
  } catch (error) {
    if (error instanceof ServiceError) return error;
    throw new Error(`failed with what is no ServiceError: ${String(error)}`, { cause: error });
  }
  throw new Error("did not fail");
}
