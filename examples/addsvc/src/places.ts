import { parseArgs } from "node:util";

/** Where the service is to be found. */
export interface Places {
  /** Port of HTTP, and of all that stands on it. */
  readonly port: number;
  /** A NATS server: `nats://127.0.0.1:4222`; undefined for none. */
  readonly nats: string | undefined;
  /** A broker of AMQP: `amqp://guest:guest@127.0.0.1:5672`; undefined for none. */
  readonly amqp: string | undefined;
}

/** What the command line says of it, else the environment, else the default; and what follows. @throws TypeError when an option is unknown, or the port is none. */
export function readPlaces(args: readonly string[], env = process.env): Places & Rest {
  // Each option has a value, and they come first: what follows may begin with a dash, too, such as a number.
  let end = 0;
  while (args[end]?.startsWith("--") === true) end += args[end]!.includes("=") ? 1 : 2;
  const { values } = parseArgs({
    args: args.slice(0, end),
    options: {
      port: { type: "string", default: env["PORT"] ?? "8080" },
      nats: { type: "string", default: env["NATS_URL"] ?? "" },
      amqp: { type: "string", default: env["AMQP_URL"] ?? "" },
      transport: { type: "string", default: "http" },
    },
  });
  const port = Number(values.port);
  if (!(Number.isInteger(port) && port >= 0 && port <= 65_535)) {
    throw new TypeError(`--port must be a whole number from 0 to 65535, got ${values.port}`);
  }
  return {
    port,
    nats: values.nats === "" ? undefined : values.nats,
    amqp: values.amqp === "" ? undefined : values.amqp,
    transport: values.transport,
    words: args.slice(end),
  };
}

interface Rest {
  readonly transport: string;
  readonly words: readonly string[];
}
