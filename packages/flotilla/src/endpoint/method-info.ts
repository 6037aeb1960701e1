import type { MessageType } from "./message-type.ts";

/** Which sides stream. */
export type MethodKind = "unary" | "server_stream" | "client_stream" | "bidi_stream";

/** A REST route of a method, parsed. See `RestOptions` in flotilla/contract for how it is declared. */
export interface RestRoute {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  /** The path as declared: `/cargos/{id}`. */
  readonly path: string;
  /** Literal segments as strings, parameters as `{ name }`. */
  readonly segments: readonly (string | { readonly name: string })[];
  /** Status of a success with a body. Default 200. */
  readonly status: number;
}

/** Everything that is known of a method before any call: what a middleware is told when it is applied. */
export interface MethodInfo {
  /** Fully qualified name of the service: `calc.v1.Calculator`. */
  readonly service: string;
  /** Name of the method as it stands on the wire: `sum`. */
  readonly name: string;
  /** Service and method: `calc.v1.Calculator/sum`. The path of Connect and gRPC is this with a slash in front. */
  readonly procedure: string;
  /** The key under which contract, implementation and client know the method; equals `name` but for protobuf contracts. */
  readonly key: string;
  readonly kind: MethodKind;
  /**
   * Whether a stream of answers begins as soon as the one called is able to: then the time it takes to begin tells how fast that is.
   * Default false: a stream may have nothing to say for hours.
   */
  readonly beginsAtOnce?: boolean;
  /** Whether calling twice is the same as calling once: what makes retries and hedges lawful. Default false. */
  readonly idempotent: boolean;
  /** Whether the method changes nothing: what makes HTTP GET lawful. Never without `idempotent`. */
  readonly safe: boolean;
  /** What a call may take when the caller sets no earlier deadline, milliseconds; undefined: the transport's default. */
  readonly timeoutMs: number | undefined;
  readonly input: MessageType;
  readonly output: MessageType;
  readonly rest: RestRoute | undefined;
  /** What the method does, in Markdown. */
  readonly doc: string | undefined;
  /**
   * The label of a business failure carried by a response (`"out_of_stock"`), undefined for a success: what metrics and
   * logs may count without taking it for a technical failure. Undefined when the method declares none.
   */
  readonly failed: ((response: unknown) => string | undefined) | undefined;
}
