import type { MessageType } from "../endpoint/message-type.ts";
import type { MethodKind } from "../endpoint/method-info.ts";
import type { RestOptions } from "./rest-route.ts";
import type { InputOf, OutputOf, Schema } from "./schema.ts";
import { SchemaType } from "./schema-type.ts";

/** What every kind of method can say of itself. */
export interface MethodOptions<Res> {
  /**
   * Whether calling twice is the same as calling once. Makes retries and hedges lawful. Default: true for a method that is `safe` or whose REST route is GET, PUT or DELETE, else false.
   */
  readonly idempotent?: boolean;
  /**
   * Whether the method changes nothing: a query. Its answers may be kept (`responseCache`), and it may be
   * called with HTTP GET, by caches, crawlers, and any link or image on any page. Default: true for a REST route that is GET, else false.
   */
  readonly safe?: boolean;
  /** What a call may take when its caller sets no earlier deadline, milliseconds, above 0. Default: the server's. */
  readonly timeoutMs?: number;
  /** What the method does, in Markdown; shown in OpenAPI and the catalogue. */
  readonly doc?: string;
  /**
   * Names the business failure a response carries (`"out_of_stock"`), undefined for a success. Metrics and logs count
   * it by that name, and nobody retries it or opens a breaker for it.
   */
  readonly failed?: (response: Res) => string | undefined;
}

/** Options of {@link unary}. */
export interface UnaryOptions<I extends Schema, O extends Schema> extends MethodOptions<InputOf<O>> {
  readonly input: I;
  /** Its type before transformation is what the handler returns and the client gets: keep to what JSON can say. */
  readonly output: O;
  /** A REST route beside the Connect path: `"GET /cargos/{id}"`, or that with a success status. */
  readonly rest?: RestOptions;
}

/** Options of {@link serverStream}, {@link clientStream} and {@link bidiStream}. */
export interface StreamOptions<I extends Schema, O extends Schema> extends Omit<MethodOptions<InputOf<O>>, "failed"> {
  readonly input: I;
  /** As in {@link UnaryOptions}, for each message. */
  readonly output: O;
}

/**
 * A method of a contract, before it has a name.
 *
 * The type parameters: `Send` is what a client passes, `Req` what the handler gets (after validation), `Reply` what the
 * handler returns, and `Res` what the client gets.
 */
export interface MethodSpec<
  Kind extends MethodKind = MethodKind,
  Send = unknown,
  Req = unknown,
  Res = unknown,
  Reply = Res,
> {
  readonly kind: Kind;
  readonly input: MessageType;
  readonly output: MessageType;
  /** Name on the wire, when it differs from the key in the contract. */
  readonly wireName?: string;
  readonly options: MethodOptions<never> & { readonly rest?: RestOptions };
  /** Only types, never a value. */
  readonly "~types"?: { readonly send: Send; readonly req: Req; readonly reply: Reply; readonly res: Res };
}

/** One request, one response. */
export function unary<I extends Schema, O extends Schema>(
  options: UnaryOptions<I, O>,
): MethodSpec<"unary", InputOf<I>, OutputOf<I>, InputOf<O>> {
  return spec("unary", options);
}

/** One request, a stream of responses. */
export function serverStream<I extends Schema, O extends Schema>(
  options: StreamOptions<I, O>,
): MethodSpec<"server_stream", InputOf<I>, OutputOf<I>, InputOf<O>> {
  return spec("server_stream", options);
}

/** A stream of requests, one response. */
export function clientStream<I extends Schema, O extends Schema>(
  options: StreamOptions<I, O>,
): MethodSpec<"client_stream", InputOf<I>, OutputOf<I>, InputOf<O>> {
  return spec("client_stream", options);
}

/** A stream of requests, a stream of responses, independent of each other. Over HTTP it needs HTTP/2. */
export function bidiStream<I extends Schema, O extends Schema>(
  options: StreamOptions<I, O>,
): MethodSpec<"bidi_stream", InputOf<I>, OutputOf<I>, InputOf<O>> {
  return spec("bidi_stream", options);
}

function spec<Kind extends MethodKind>(
  kind: Kind,
  options: { readonly input: Schema; readonly output: Schema } & MethodOptions<never> & { readonly rest?: RestOptions },
): MethodSpec<Kind, never, never, never> {
  return { kind, input: new SchemaType(options.input), output: new SchemaType(options.output), options };
}
