import { leastRequest } from "flotilla/balance";
import { background } from "flotilla/context";
import { contract, type Methods } from "flotilla/contract";
import { client } from "flotilla/service";
import { Calculator } from "./calculator.ts";
import { Fleet, instant } from "./fleet.ts";
import { type sumAnswer, sumRequest } from "./sum.ts";
import type { Loop } from "./worker.ts";

/** A client of the fleet, with as many methods as asked for, that has made one call of each. */
async function openClient(methods: number): Promise<{ fleet: Fleet; calls: (() => Promise<{ v: number }>)[] }> {
  const fleet = new Fleet();
  const names = Array.from({ length: methods }, (_, i) => `sum${i}`);
  const spec: Methods = Object.fromEntries(names.map((name) => [name, Calculator.spec.sum]));
  const calculator = client(contract(Calculator.name, spec), {
    discover: fleet,
    transport: instant,
    balance: leastRequest(),
  });
  const root = background();
  const calls = names.map((name) => {
    const call = calculator[name] as (ctx: typeof root, request: typeof sumRequest) => Promise<typeof sumAnswer>;
    return () => call(root, sumRequest);
  });
  for (const call of calls) await call();
  return { fleet, calls };
}

/** Updates of the fleet, each followed by one call so that work put off until then counts as well. */
export async function updates(methods: number): Promise<Loop> {
  const { fleet, calls } = await openClient(methods);
  return async (iterations: number) => {
    let total = 0;
    for (let i = 0; i < iterations; i++) {
      fleet.replace();
      total += (await calls[i % methods]?.())?.v ?? 0;
    }
    return total;
  };
}

/** Calls of the methods in turn. */
export async function picks(methods: number): Promise<Loop> {
  const { calls } = await openClient(methods);
  return async (iterations: number) => {
    let total = 0;
    for (let i = 0; i < iterations; i++) total += (await calls[i % methods]?.())?.v ?? 0;
    return total;
  };
}
