// A real browser: connect-web on a page of another origin.
import assert from "node:assert/strict";
import { after, before, describe, type TestContext, test } from "node:test";
import { skipWithout } from "../../../../../scripts/servers.ts";
import { codes } from "../../errors/code.ts";
import { implement } from "../../service/implement.ts";
import type { CorsOptions } from "./options.ts";
import { nothingEscapes, serve } from "./test-fixtures/bed.ts";
import { type Surfer, surf } from "./test-fixtures/browser.ts";
import { EchoContract, EchoService } from "./test-fixtures/echo.ts";
import { done } from "./test-fixtures/freight.ts";

nothingEscapes();

const TIMEOUT = { timeout: 10_000 };

describe("connect-web in Chromium", { skip: await skipWithout("chromium") }, () => {
  let surfer: Surfer;
  before(async () => {
    surfer = await surf();
  });
  after(() => surfer[Symbol.asyncDispose]());

  async function bed(t: TestContext, cors: Partial<CorsOptions> = {}) {
    const service = new EchoService();
    const { address } = await serve(
      t,
      { cors: { origins: [surfer.origin], ...cors } },
      implement(EchoContract, service),
    );
    return { service, address, page: surfer.page };
  }

  for (const useBinaryFormat of [true, false]) {
    const form = useBinaryFormat ? "binary" : "JSON";

    test(`unary in ${form}`, TIMEOUT, async (t) => {
      const { page, address, service } = await bed(t);
      const answer = await page.evaluate(
        async (options) => {
          const { sentence, serial, digest } = await kit.echo(options).say({ sentence: "åäö→", times: 2 });
          return { sentence, serial: String(serial), digest: [...digest] };
        },
        { baseUrl: address, useBinaryFormat },
      );
      assert.deepEqual(answer, { sentence: "åäö→åäö→", serial: "1152921504606846977", digest: [0, 255, 128] });
      const { headers } = service.call!;
      assert.equal(headers.get("content-type"), useBinaryFormat ? "application/proto" : "application/json");
      assert.equal(headers.get("origin"), surfer.origin);
      assert.equal(headers.get("cookie"), undefined, "without credentials no cookie is sent");
    });

    test(`unary by GET in ${form}`, TIMEOUT, async (t) => {
      const { page, address, service } = await bed(t);
      const sentence = await page.evaluate(
        async (options) => (await kit.echo(options).say({ sentence: "& = ? %/+ å" })).sentence,
        { baseUrl: address, useBinaryFormat, useHttpGet: true },
      );
      assert.equal(sentence, "& = ? %/+ å");
      assert.equal(service.call?.headers.get("content-type"), undefined, "it was no POST");
    });

    test(`compressed answers in ${form}`, TIMEOUT, async (t) => {
      const { page, address } = await bed(t);
      const lengths = await page.evaluate(
        async (options) => {
          let encoding: string | null = null;
          const onHeader = (headers: Headers) => void (encoding = headers.get("content-encoding"));
          const { sentence } = await kit.echo(options).say({ sentence: "flotilla ", times: 9000 }, { onHeader });
          return [sentence.length, encoding];
        },
        { baseUrl: address, useBinaryFormat },
      );
      assert.equal(lengths[0], 81_000);
      assert.match(String(lengths[1]), /^(?:br|gzip)$/);
    });

    test(`server stream in ${form}`, TIMEOUT, async (t) => {
      const { page, address } = await bed(t);
      const got = await page.evaluate(
        async (options) => {
          const numbers: number[] = [];
          for await (const { number } of kit.echo(options).count({ to: 500 })) numbers.push(number);
          return numbers;
        },
        { baseUrl: address, useBinaryFormat },
      );
      assert.deepEqual(
        got,
        Array.from({ length: 500 }, (_, index) => index + 1),
      );
    });

    test(`a server stream that fails in ${form}`, TIMEOUT, async (t) => {
      const { page, address } = await bed(t);
      const got = await page.evaluate(
        async (options) => {
          const numbers: number[] = [];
          try {
            for await (const { number } of kit.echo(options).count({ to: 9, failAfter: 2 })) numbers.push(number);
          } catch (thrown) {
            const error = kit.ConnectError.from(thrown);
            const [info] = error.findDetails(kit.ErrorInfoSchema);
            return [numbers, kit.Code[error.code], error.rawMessage, info?.reason, error.metadata.get("x-reason")];
          }
          return numbers;
        },
        { baseUrl: address, useBinaryFormat },
      );
      assert.deepEqual(got, [[1, 2], "OutOfRange", "asked for out_of_range", "ASKED", "asked"]);
    });
  }

  test("each of the sixteen codes, with message and details", TIMEOUT, async (t) => {
    const { page, address } = await bed(t);
    const seen = await page.evaluate(
      async ([baseUrl, names]) => {
        const echo = kit.echo({ baseUrl });
        const all: unknown[] = [];
        for (const failWith of names) {
          try {
            await echo.say({ failWith });
          } catch (thrown) {
            const error = kit.ConnectError.from(thrown);
            const [info] = error.findDetails(kit.ErrorInfoSchema);
            all.push([error.code, error.rawMessage, info?.metadata["code"]]);
          }
        }
        return all;
      },
      [address, Object.keys(codes)] as const,
    );
    assert.deepEqual(
      seen,
      Object.entries(codes).map(([code, { grpc }]) => [grpc, `asked for ${code}`, code]),
    );
  });

  test("headers and trailers that are exposed, and no others", TIMEOUT, async (t) => {
    const { page, address } = await bed(t, { allowHeaders: ["X-Ask"], exposeHeaders: ["X-Reply", "Trailer-X-After"] });
    const seen = await page.evaluate(async (baseUrl) => {
      const all: unknown[] = [];
      const options = {
        headers: { "x-ask": "again" },
        onHeader: (headers: Headers) => void all.push(headers.get("x-reply"), headers.get("x-many")),
        onTrailer: (trailers: Headers) => void all.push(trailers.get("x-after")),
      };
      await kit.echo({ baseUrl }).say({}, options);
      for await (const _ of kit.echo({ baseUrl }).count({ to: 1 }, options)) all.push("message");
      return all;
    }, address);
    assert.deepEqual(seen, ["again", null, "again", "again", null, "message", "again"]);
  });

  test("a deadline: the handler sees it, and the answer to it is the server's", TIMEOUT, async (t) => {
    const { page, address, service } = await bed(t);
    const seen = await page.evaluate(async (baseUrl) => {
      const echo = kit.echo({ baseUrl });
      const codeOf = (call: Promise<unknown>) =>
        call.then(String, (e: unknown) => kit.Code[kit.ConnectError.from(e).code]);
      return [
        await codeOf(echo.say({ failWith: "hang" }, { timeoutMs: 100 })),
        // connect-web has no deadline of its own here.
        await codeOf(echo.say({ failWith: "hang" }, { headers: { "connect-timeout-ms": "100" } })),
      ];
    }, address);
    assert.deepEqual(seen, ["DeadlineExceeded", "DeadlineExceeded"]);
    await done(service.ctx!);
    assert.equal(service.ctx!.err?.code, "deadline_exceeded");
  });

  test("a page that aborts: the handler's context is done", TIMEOUT, async (t) => {
    const { page, address, service } = await bed(t);
    for (const kind of ["say", "count"] as const) {
      const arrived = service.arrival();
      const code = page.evaluate(
        async ([baseUrl, method]) => {
          const controller = new AbortController();
          Object.assign(globalThis, { controller });
          const { signal } = controller;
          const echo = kit.echo({ baseUrl });
          try {
            if (method === "say") await echo.say({ failWith: "hang" }, { signal });
            else for await (const _ of echo.count({ to: 2, failAfter: -1 }, { signal }));
          } catch (error) {
            return kit.Code[kit.ConnectError.from(error).code];
          }
          return "ok";
        },
        [address, kind] as const,
      );
      await arrived;
      const ctx = service.ctx!;
      await page.evaluate(() => (globalThis as unknown as { controller: AbortController }).controller.abort());
      assert.equal(await code, "Canceled");
      await done(ctx);
      assert.equal(ctx.err?.code, "canceled");
    }
  });
});
