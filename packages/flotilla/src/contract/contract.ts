import type { Context } from "../context/context.ts";
import type { MethodInfo, RestRoute } from "../endpoint/method-info.ts";
import type { MethodSpec } from "./method.ts";
import { parseRestRoute } from "./rest-route.ts";

/** The methods of a contract by key. */
export type Methods = Readonly<Record<string, MethodSpec>>;

/** A service as a value: its name and its typed methods. From it come server, client, OpenAPI and catalogue. */
export interface Contract<M extends Methods = Methods> {
  /** Fully qualified: `calc.v1.Calculator`. */
  readonly name: string;
  readonly doc: string | undefined;
  /** The methods as declared; carries their types. */
  readonly spec: M;
  /** The methods as middlewares and transports see them, in order of declaration. */
  readonly methods: readonly MethodInfo[];
}

/**
 * What a service author writes for a contract: an object or class with a function a method.
 *
 * ```ts
 * class CalculatorService implements Implementation<typeof Calculator> {
 *   async sum(_ctx: Context, { a, b }: { a: number; b: number }) {
 *     return { v: a + b };
 *   }
 * }
 * ```
 */
export type Implementation<C extends Contract> = { [K in keyof C["spec"]]: Handler<C["spec"][K]> };

/** The function that implements a method. A stream of responses is an async generator, or any AsyncIterable. */
export type Handler<S> = S extends {
  readonly kind: infer Kind;
  readonly "~types"?: { req: infer Req; reply: infer Reply };
}
  ? Kind extends "unary"
    ? (ctx: Context, request: Req) => Promise<Reply> | Reply
    : Kind extends "server_stream"
      ? (ctx: Context, request: Req) => AsyncIterable<Reply>
      : Kind extends "client_stream"
        ? (ctx: Context, requests: AsyncIterable<Req>) => Promise<Reply>
        : (ctx: Context, requests: AsyncIterable<Req>) => AsyncIterable<Reply>
  : never;

/**
 * What the handler of a method gets, after validation: of a stream of requests, each of them. For classes, whose parameters nothing infers.
 *
 * ```ts
 * async sum(_ctx: Context, { a, b }: RequestOf<typeof Calculator, "sum">): Promise<ReplyOf<typeof Calculator, "sum">>
 * ```
 */
export type RequestOf<C extends Contract, K extends keyof C["spec"]> = C["spec"][K] extends {
  readonly "~types"?: { req: infer Req };
}
  ? Req
  : never;

/** What the handler of a method gives: of a stream of responses, each of them. */
export type ReplyOf<C extends Contract, K extends keyof C["spec"]> = C["spec"][K] extends {
  readonly "~types"?: { reply: infer Reply };
}
  ? Reply
  : never;

/** What calls a contract: a function a method. A stream of responses is read with `for await`. */
export type Client<C extends Contract> = { readonly [K in keyof C["spec"]]: Caller<C["spec"][K]> };

/** The function that calls a method. */
export type Caller<S> = S extends {
  readonly kind: infer Kind;
  readonly "~types"?: { send: infer Send; res: infer Res };
}
  ? Kind extends "unary"
    ? (ctx: Context, request: Send) => Promise<Res>
    : Kind extends "server_stream"
      ? (ctx: Context, request: Send) => AsyncIterable<Res>
      : Kind extends "client_stream"
        ? (ctx: Context, requests: AsyncIterable<Send>) => Promise<Res>
        : (ctx: Context, requests: AsyncIterable<Send>) => AsyncIterable<Res>
  : never;

const SERVICE_NAME = /^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*$/;
const METHOD_NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;
const IDEMPOTENT_VERBS: ReadonlySet<string> = new Set(["GET", "PUT", "DELETE"]);

/**
 * Declares a service.
 *
 * ```ts
 * export const Calculator = contract("calc.v1.Calculator", {
 *   sum: unary({ input: z.object({ a: z.number(), b: z.number() }), output: z.object({ v: z.number() }), safe: true }),
 * });
 * ```
 *
 * @param name - dotted identifiers; stands on the wire, so it is the service's identity for ever.
 * @throws TypeError when a name, route or option is not legal, naming it.
 */
export function contract<const M extends Methods>(
  name: string,
  methods: M,
  options: { doc?: string } = {},
): Contract<M> {
  if (!SERVICE_NAME.test(name)) {
    throw new TypeError(
      `contract: ${JSON.stringify(name)} is not a service name: use dotted identifiers like "calc.v1.Calculator"`,
    );
  }
  const infos = Object.entries(methods).map(([key, spec]) => methodInfo(name, key, spec));
  checkNames(infos);
  checkRoutes(infos);
  return Object.freeze({ name, doc: options.doc, spec: methods, methods: Object.freeze(infos) });
}

function methodInfo(service: string, key: string, spec: MethodSpec): MethodInfo {
  const name = spec.wireName ?? key;
  const procedure = `${service}/${name}`;
  if (!METHOD_NAME.test(name)) throw new TypeError(`${procedure}: a method name must be an identifier`);
  if (key === "then")
    throw new TypeError(`${procedure}: a client with a method "then" would look like a promise: rename it`);
  if (key === "constructor") {
    throw new TypeError(`${procedure}: every class has a "constructor" already: rename the method`);
  }
  const { timeoutMs, doc, failed } = spec.options;
  if (timeoutMs !== undefined && !(timeoutMs > 0 && Number.isFinite(timeoutMs))) {
    throw new TypeError(`${procedure}: timeoutMs must be a number of milliseconds above 0, got ${timeoutMs}`);
  }
  const rest = spec.options.rest === undefined ? undefined : parseRestRoute(spec.options.rest, procedure);
  if (rest !== undefined && spec.kind !== "unary") {
    throw new TypeError(`${procedure}: a REST route is for unary methods, and this one is ${spec.kind}`);
  }
  const { idempotent, safe } = repeatable(spec, rest, procedure);
  return Object.freeze({
    service,
    name,
    procedure,
    key,
    kind: spec.kind,
    idempotent,
    safe,
    timeoutMs,
    input: spec.input,
    output: spec.output,
    rest,
    doc,
    failed: failed as MethodInfo["failed"],
  });
}

function repeatable(
  spec: MethodSpec,
  rest: RestRoute | undefined,
  procedure: string,
): { idempotent: boolean; safe: boolean } {
  const verb = rest?.method;
  const idempotent =
    spec.options.idempotent ?? (spec.options.safe === true || (verb !== undefined && IDEMPOTENT_VERBS.has(verb)));
  const safe = spec.options.safe ?? verb === "GET";
  if (verb === "GET" && !(idempotent && safe)) {
    throw new TypeError(
      `${procedure}: a GET route must be idempotent and safe, for caches and browsers repeat it: use POST`,
    );
  }
  if (safe && !idempotent)
    throw new TypeError(`${procedure}: a method that is safe is idempotent too: leave out idempotent: false`);
  return { idempotent, safe };
}

function checkNames(methods: readonly MethodInfo[]): void {
  const seen = new Map<string, string>();
  for (const { procedure, name, key } of methods) {
    const other = seen.get(name);
    if (other !== undefined)
      throw new TypeError(`${procedure}: "${other}" and "${key}" have the same name on the wire`);
    seen.set(name, key);
  }
}

function checkRoutes(methods: readonly MethodInfo[]): void {
  const seen = new Map<string, string>();
  for (const { procedure, rest } of methods) {
    if (rest === undefined) continue;
    const shape = `${rest.method} /${rest.segments.map((s) => (typeof s === "string" ? s : "{}")).join("/")}`;
    const other = seen.get(shape);
    if (other !== undefined)
      throw new TypeError(`${procedure}: its REST route ${rest.method} ${rest.path} is that of ${other} already`);
    seen.set(shape, procedure);
  }
}
