import { publisher } from "@flotilla/amqp";
import { background } from "flotilla/context";
import { Calculator } from "../../lib/calculator.ts";
import { serveRateOrLatency } from "../../lib/worker.ts";

const calculator = publisher(Calculator, { url: `amqp://127.0.0.1:${process.argv[2]}` });
const root = background();

// Each with a deadline of its own, the default one.
serveRateOrLatency(() => calculator.sum(root, { a: 1, b: 2 }));
