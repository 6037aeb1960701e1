import assert from "node:assert/strict";
import { after, type TestContext } from "node:test";
import type { CancelContext } from "../../../context/context.ts";
import { background, withCancel, withValue } from "../../../context/with.ts";
import type { Client, Implementation } from "../../../contract/contract.ts";
import type { Middleware } from "../../../endpoint/endpoint.ts";
import { errorReporterKey } from "../../../endpoint/report.ts";
import type { Service } from "../../../endpoint/service.ts";
import type { Listening } from "../../../endpoint/transport.ts";
import type { ServiceError } from "../../../errors/service-error.ts";
import { implement } from "../../../service/implement.ts";
import { stub } from "../../../service/stub.ts";
import { httpClient } from "../client.ts";
import type { HttpClientOptions } from "../client-options.ts";
import type { HttpServerOptions } from "../options.ts";
import { http } from "../server.ts";
import { Freight, freight } from "./freight.ts";

/** A listener of a test; ends with it. */
export interface Served {
  readonly listening: Listening;
  readonly address: string;
  readonly port: number;
  /** What the server kept from its callers. */
  readonly reported: ServiceError[];
  /** Parent of all calls. */
  readonly root: CancelContext;
}

/** Serves on a port of its own until the test ends. */
export async function serve(t: TestContext, options: HttpServerOptions, ...services: Service[]): Promise<Served> {
  const reported: ServiceError[] = [];
  const root = withCancel(withValue(background(), errorReporterKey, (error) => reported.push(error)));
  const listening = await http(options).listen(services, root);
  t.after(async () => {
    await listening.close();
    root.cancel();
  });
  return { listening, address: listening.address, port: Number(new URL(listening.address).port), reported, root };
}

/** Serves {@link Freight}, some of its methods replaced. */
export function serveFreight(
  t: TestContext,
  options: HttpServerOptions = {},
  methods: Partial<Implementation<typeof Freight>> = {},
  use: readonly Middleware[] = [],
): Promise<Served> {
  return serve(t, options, implement(Freight, { ...freight(), ...methods }, { use }));
}

/** A client of {@link Freight}; closed with the test. */
export function callFreight(
  t: TestContext,
  address: string,
  options: HttpClientOptions = {},
): Client<typeof Freight> & AsyncDisposable {
  const connection = httpClient(options).connect(address);
  t.after(() => connection.close());
  return stub(Freight, (method) => connection.endpoint(method));
}

/** Fails the file when anything was thrown that nobody caught, even after the test that caused it. */
export function nothingEscapes(): void {
  const escaped: unknown[] = [];
  const note = (error: unknown): void => void escaped.push(error);
  process.on("unhandledRejection", note);
  process.on("uncaughtException", note);
  after(async () => {
    await new Promise((resolve) => setImmediate(resolve));
    process.off("unhandledRejection", note);
    process.off("uncaughtException", note);
    assert.deepEqual(escaped, [], "an error escaped");
  });
}
