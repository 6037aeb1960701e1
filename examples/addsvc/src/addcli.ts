import { background, withTimeout } from "flotilla/context";
import { ServiceError } from "flotilla/errors";
import { readPlaces } from "./places.ts";
import { transports } from "./transports.ts";

const usage = `usage: addcli [--transport ${Object.keys(transports).join("|")}] [--port PORT] [--nats URL] [--amqp URL] METHOD ARGS

  sum A B          adds two numbers
  concat A B       puts two texts together
  totals N...      adds numbers one after the other
`;

function fail(message: string, status: number): never {
  process.stderr.write(`${message}\n`);
  process.exit(status);
}

function numbers(words: readonly string[]): number[] {
  return words.map((word) => (/^-?\d+$/.test(word) ? Number(word) : fail(`${word} is no whole number\n\n${usage}`, 2)));
}

function places(): ReturnType<typeof readPlaces> {
  try {
    return readPlaces(process.argv.slice(2));
  } catch (error) {
    return fail(`${(error as Error).message}\n\n${usage}`, 2);
  }
}

const { transport, words, ...where } = places();
const [method, ...args] = words;
const way = Object.hasOwn(transports, transport)
  ? transports[transport]!
  : fail(`there is no transport ${transport}\n\n${usage}`, 2);
const ctx = withTimeout(background(), 5000);

try {
  const adder = await way.open(where);
  try {
    if (method === "sum" && args.length === 2) {
      const [a, b] = numbers(args);
      console.log((await adder.sum(ctx, { a: a!, b: b! })).v);
    } else if (method === "concat" && args.length === 2) {
      console.log((await adder.concat(ctx, { a: args[0]!, b: args[1]! })).v);
    } else if (method === "totals") {
      for await (const { v } of adder.totals(ctx, { numbers: numbers(args) })) console.log(v);
    } else fail(usage, 2);
  } finally {
    await adder[Symbol.asyncDispose]();
  }
} catch (error) {
  fail(error instanceof ServiceError ? `${error.code}: ${error.message}` : String(error), 1);
} finally {
  ctx.cancel();
}
