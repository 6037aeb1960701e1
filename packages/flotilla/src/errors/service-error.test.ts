import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { inspect } from "node:util";
import { runInNewContext } from "node:vm";
import fc from "fast-check";
import { codes } from "./code.ts";
import { badRequest, detailTypes, errorInfo, findDetail } from "./details.ts";
import { ServiceError } from "./service-error.ts";

/** Throws whatever is done to it. */
const hostileProxy = new Proxy(
  {},
  Object.fromEntries(
    Object.getOwnPropertyNames(Reflect).map((trap) => [
      trap,
      () => {
        throw new Error(`trap ${trap}`);
      },
    ]),
  ),
);

describe("ServiceError", () => {
  test("holds code, message, details, retry, metadata and cause", () => {
    const cause = new Error("below");
    const details = [errorInfo({ reason: "OUT_OF_STOCK", domain: "shop.example" })];
    const error = new ServiceError("unavailable", "try later", {
      cause,
      details,
      retry: { afterMs: 50 },
      metadata: { "x-shard": "7" },
    });
    assert.equal(error.name, "ServiceError");
    assert.equal(error.code, "unavailable");
    assert.equal(error.message, "try later");
    assert.equal(error.cause, cause);
    assert.equal(error.details, details);
    assert.deepEqual(error.retry, { afterMs: 50 });
    assert.deepEqual(error.metadata, { "x-shard": "7" });
    assert.ok(error instanceof Error);
    assert.match(error.stack ?? "", /^ServiceError: try later\n.*service-error\.test/);
  });

  test("has no details, cause, retry or metadata unless given, and shares none between errors", () => {
    const error = new ServiceError("aborted", "m");
    assert.deepEqual(error.details, []);
    assert.equal(Object.hasOwn(error, "cause"), false);
    assert.deepEqual([error.retry, error.metadata], [undefined, undefined]);
    assert.notEqual(error.details, new ServiceError("aborted", "m").details);
  });

  test("takes frozen options and leaves them alone", () => {
    const options = Object.freeze({ details: Object.freeze([]), retry: Object.freeze({ never: true }) });
    assert.equal(new ServiceError("aborted", "m", options).retry?.never, true);
  });

  test("refuses a code that is none, saying which", () => {
    for (const [code, said] of [
      ["cancelled", '"cancelled"'],
      ["__proto__", '"__proto__"'],
      [5n, "type bigint"],
      [Symbol("s"), "type symbol"],
      [undefined, "type undefined"],
      [hostileProxy, "type object"],
    ] as const) {
      assert.throws(() => new ServiceError(code as never, "m"), { name: "TypeError", message: new RegExp(said) });
    }
  });
});

describe("instanceof", () => {
  class OutOfStock extends ServiceError {
    constructor() {
      super("failed_precondition", "out of stock");
    }
  }

  test("holds for subclasses, and not the other way round", () => {
    const stock = new OutOfStock();
    assert.ok(stock instanceof OutOfStock && stock instanceof ServiceError && stock instanceof Error);
    assert.equal(new ServiceError("aborted", "m") instanceof OutOfStock, false);
  });

  test("holds between two copies of the package", async () => {
    // A query makes a second instance of the same module.
    const specifier: string = "./service-error.ts?copy";
    const copy = (await import(specifier)) as { ServiceError: typeof ServiceError };
    assert.notEqual(copy.ServiceError, ServiceError);
    const foreign = new copy.ServiceError("not_found", "theirs");
    assert.ok(foreign instanceof ServiceError);
    assert.ok(new ServiceError("not_found", "ours") instanceof copy.ServiceError);
    assert.equal(ServiceError.from(foreign), foreign);
    assert.equal(foreign instanceof OutOfStock, false);
  });

  test("is false for all else, and never throws", () => {
    for (const value of [
      null,
      undefined,
      1,
      "x",
      {},
      [],
      new Error("x"),
      () => {},
      Object.create(null),
      hostileProxy,
    ]) {
      assert.equal(value instanceof ServiceError, false);
      assert.equal(value instanceof OutOfStock, false);
    }
  });
});

describe("ServiceError.from", () => {
  test("gives back what is a ServiceError already, subclasses and frozen ones included", () => {
    class Own extends ServiceError {}
    for (const error of [
      new ServiceError("aborted", "m"),
      new Own("aborted", "m"),
      Object.freeze(new Own("aborted", "m")),
    ]) {
      assert.equal(ServiceError.from(error), error);
    }
  });

  test("an AbortError is canceled, a TimeoutError deadline_exceeded, both kept as the cause", () => {
    const abort = new DOMException("This operation was aborted", "AbortError");
    const timeout = new DOMException("timeout", "TimeoutError");
    const nodes = Object.assign(new Error("aborted"), { name: "AbortError" });
    for (const [thrown, code] of [
      [abort, "canceled"],
      [nodes, "canceled"],
      [AbortSignal.abort().reason, "canceled"],
      [timeout, "deadline_exceeded"],
    ] as const) {
      const error = ServiceError.from(thrown);
      assert.equal(error.code, code);
      assert.equal(error.cause, thrown);
    }
  });

  test("all else leaves as internal, with neither its message nor its stack", () => {
    const secret = "password=hunter2";
    class Custom extends Error {
      readonly code = "ENOENT";
    }
    for (const thrown of [
      new Error(secret),
      new Custom(secret),
      secret,
      { message: secret },
      [secret],
      runInNewContext("new Error()"),
    ]) {
      const error = ServiceError.from(thrown);
      assert.equal(error.code, "internal");
      assert.equal(error.message, "internal error");
      assert.equal(error.cause, thrown);
      for (const text of [JSON.stringify(error), error.toString(), error.stack ?? ""])
        assert.ok(!text.includes("hunter2"));
      // The log still shows it.
      if (thrown instanceof Error) assert.ok(inspect(error).includes("hunter2"));
    }
  });

  test("never throws, whatever was thrown", () => {
    const revoked = Proxy.revocable({}, {});
    revoked.revoke();
    const evilName = Object.defineProperty(new Error("x"), "name", {
      get() {
        throw new Error("name");
      },
    });
    const evilFunction = new Proxy(() => {}, {
      getPrototypeOf() {
        throw new Error("prototype");
      },
    });
    const forged = { [Symbol.for("flotilla.ServiceError")]: true, message: "no code" };
    const evilForged = {
      [Symbol.for("flotilla.ServiceError")]: true,
      get code(): never {
        throw new Error("code");
      },
    };
    const frozen = Object.freeze(new Error("frozen"));
    const plain = [null, undefined, 0, NaN, "", "text", 1n, Symbol("s"), true, {}, [], Object.create(null)];
    const hostile = [frozen, hostileProxy, revoked.proxy, evilName, evilFunction, forged, evilForged];
    for (const thrown of [...plain, ...hostile]) {
      const error = ServiceError.from(thrown);
      assert.equal(error.code, "internal");
      assert.equal(error.cause, thrown);
    }
  });

  test("gives one of the sixteen codes for anything at all (property)", () => {
    fc.assert(
      fc.property(fc.anything({ withNullPrototype: true, withObjectString: true, withBigInt: true }), (thrown) => {
        assert.ok(ServiceError.from(thrown).code in codes);
      }),
    );
  });
});

describe("details", () => {
  test("are found by type, the first where there are several", () => {
    const first = badRequest([{ field: "cargo.id", description: "a UN/LOCODE" }]);
    const error = new ServiceError("invalid_argument", "m", { details: [first, badRequest([])] });
    assert.equal(findDetail(error, detailTypes.badRequest), first.value);
    assert.equal(findDetail(error, detailTypes.retryInfo), undefined);
  });
});
