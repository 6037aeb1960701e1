import { lambda } from "flotilla/lambda";
import { implement } from "flotilla/service";
import { Adder } from "./contract.ts";
import { adder } from "./service.ts";

/** The same service as a function of AWS Lambda: behind API Gateway, under a function URL, or invoked by itself. */
export const handler = lambda({ serve: [implement(Adder, adder)] });
