import type { TestEvent } from "node:test/reporters";
import { inspect } from "node:util";

/** One finished test, as a line of JSON. */
export interface TestRecord {
  readonly name: string;
  readonly ok: boolean;
  readonly ms: number;
  /** Why it was skipped, if it was; a test that is marked as still to be written counts as skipped. */
  readonly skip?: string;
  readonly error?: string;
  readonly at?: string;
}

const COUNT = /^\w+ [\d.]+$/;

/** A reporter of node:test that writes a {@link TestRecord} for every test; suites and parents that only pass a failure on are left out. */
// oxlint-disable-next-line import/no-default-export -- node:test takes a reporter by its default export.
export default async function* eventsReporter(source: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  const path: string[] = [];
  for await (const { type, data } of source) {
    if (type === "test:start") path.splice(data.nesting, path.length, data.name);
    // Among these are errors that node:test can give to no test, such as one thrown after its test had ended.
    if (type === "test:diagnostic" && !COUNT.test(data.message)) process.stderr.write(`${data.message}\n`);
    if (type !== "test:pass" && type !== "test:fail") continue;
    const record = recordOf(type === "test:pass", data, [...path.slice(0, data.nesting), data.name].join(" › "));
    if (record !== undefined) yield `${JSON.stringify(record)}\n`;
  }
}

function recordOf(passed: boolean, data: Finished, name: string): TestRecord | undefined {
  const error: (Error & { failureType?: string }) | undefined =
    "error" in data.details ? data.details.error : undefined;
  const skip = reasonOf(data.skip, "skipped without a reason") ?? reasonOf(data.todo, "to do");
  if (data.details.type === "suite" && passed && skip === undefined) return undefined;
  if (error?.failureType === "subtestsFailed") return undefined;
  return {
    name,
    ok: passed,
    ms: data.details.duration_ms,
    ...(skip !== undefined && { skip }),
    ...(error !== undefined && { error: describe(error) }),
    ...(data.file !== undefined && { at: `${data.file}:${data.line}:${data.column}` }),
  };
}

type Finished = Extract<TestEvent, { type: "test:pass" | "test:fail" }>["data"];

function reasonOf(value: string | boolean | undefined, otherwise: string): string | undefined {
  if (value === undefined || value === false) return undefined;
  return typeof value === "string" && value !== "" ? value : otherwise;
}

/** node:test wraps what a test threw; the cause is what matters. */
function describe(error: Error): string {
  return inspect(error.cause ?? error, { depth: 5, maxArrayLength: 50, maxStringLength: 5_000 });
}
