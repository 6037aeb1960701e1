import { leastRequest } from "flotilla/balance";
import { background } from "flotilla/context";
import { httpClient } from "flotilla/http";
import { client } from "flotilla/service";
import { Calculator } from "../lib/calculator.ts";
import { sumAnswer, sumRequest } from "../lib/sum.ts";
import { serveCalls } from "../lib/worker.ts";

const origin = process.argv[2] ?? "";
const calculator = client(Calculator, { discover: [origin], transport: httpClient(), balance: leastRequest() });
const root = background();

serveCalls(async () => {
  const answer = await calculator.sum(root, sumRequest);
  if (answer.v !== sumAnswer.v) throw new Error(`answered ${JSON.stringify(answer)}`);
});
