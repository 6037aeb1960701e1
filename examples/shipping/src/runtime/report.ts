import type { summary } from "../driver/ledger.ts";
import type { ServiceState } from "./fleet.ts";
import { quantile } from "./histogram.ts";

/** What came of a run: the object that `--json` prints. */
export interface RunReport {
  /** Whether every valid request was answered, and rightly, and every process stopped well. */
  readonly ok: boolean;
  readonly seed: number;
  readonly seconds: number;
  readonly customers: ReturnType<typeof summary>;
  readonly services: Readonly<Record<string, ServiceReport>>;
  /** What went wrong beside requests: processes that could not be kept running or did not stop. */
  readonly troubles: readonly string[];
}

/** One service, all its replicas together. Latencies are those measured at the server. */
interface ServiceReport {
  readonly instances: number;
  readonly restarts: number;
  readonly requests: number;
  readonly perSecond: number;
  readonly refused: number;
  readonly errors: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** The report of a run. */
export function report(
  run: { readonly seed: number; readonly seconds: number; readonly troubles: readonly string[] },
  customers: ReturnType<typeof summary>,
  states: readonly ServiceState[],
): RunReport {
  const { seed, seconds, troubles } = run;
  const services = Object.fromEntries(states.map((state) => [state.name, serviceReport(state, seconds)]));
  const ok = customers.failed === 0 && troubles.length === 0;
  return { ok, seed, seconds: rounded(seconds), customers, services, troubles };
}

function serviceReport({ wanted, restarts, served }: ServiceState, seconds: number): ServiceReport {
  return {
    instances: wanted,
    restarts,
    requests: served.calls,
    perSecond: seconds > 0 ? rounded(served.calls / seconds) : 0,
    refused: served.refused,
    errors: served.errors,
    p50Ms: rounded(quantile(served.latency, 0.5) ?? 0),
    p99Ms: rounded(quantile(served.latency, 0.99) ?? 0),
  };
}

function rounded(number: number): number {
  return Number(number.toFixed(2));
}

/** The report in a few lines, for people. */
export function inWords({ ok, seconds, customers, services, troubles }: RunReport): string {
  const { requests, failed, expectedRefusals, p50Ms, p99Ms, finished, noShipInTime } = customers;
  const served = Object.values(services).reduce((all, service) => all + service.requests, 0);
  const lines = [
    `${requests} requests of ${finished} customers in ${seconds} s, ${served} calls served: p50 ${p50Ms} ms, p99 ${p99Ms} ms, ${failed} failed.`,
    `${expectedRefusals} requests asked for what cannot be, and were refused; ${noShipInTime} customers found no ship in time.`,
    ...customers.failures.map(({ request, expected, got }) => `  ${request}: expected ${expected}, got ${got}`),
    ...troubles,
  ];
  return `${lines.join("\n")}\n${ok ? "All went well." : "Not all went well."}\n`;
}
