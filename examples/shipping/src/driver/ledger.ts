import { createHistogram, type Histogram, quantile, record } from "../runtime/histogram.ts";

/** A request that did not go as it should have. */
export interface Failure {
  readonly request: string;
  readonly expected: string;
  readonly got: string;
}

/** What the customers experienced. */
export interface Ledger {
  customers: { started: number; finished: number; turnedAway: number; noShipInTime: number };
  requests: number;
  /** Answered with the refusal that the customer, who asked for something impossible, had to expect. */
  expectedRefusals: number;
  failed: number;
  /** The first few failures. */
  failures: Failure[];
  readonly latency: Histogram;
}

const keptFailures = 20;

export function createLedger(): Ledger {
  return {
    customers: { started: 0, finished: 0, turnedAway: 0, noShipInTime: 0 },
    requests: 0,
    expectedRefusals: 0,
    failed: 0,
    failures: [],
    latency: createHistogram(),
  };
}

/** Counts a request that went as it should have, a refusal that was due included. */
export function countAnswer(ledger: Ledger, ms: number, refusal: boolean): void {
  ledger.requests++;
  if (refusal) ledger.expectedRefusals++;
  record(ledger.latency, ms);
}

/** Counts a request that failed, or was answered wrongly. */
export function countFailure(ledger: Ledger, failure: Failure): void {
  ledger.requests++;
  ledger.failed++;
  if (ledger.failures.length < keptFailures) ledger.failures.push(failure);
}

/** The ledger as the report gives it. */
export function summary({ customers, requests, expectedRefusals, failed, failures, latency }: Ledger) {
  const rounded = (share: number) => Number((quantile(latency, share) ?? 0).toFixed(2));
  return { ...customers, requests, expectedRefusals, failed, p50Ms: rounded(0.5), p99Ms: rounded(0.99), failures };
}
