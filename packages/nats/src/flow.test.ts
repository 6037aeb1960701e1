import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { Inflow, Outflow } from "./flow.ts";
import { MAX_WINDOW_BYTES } from "./options.ts";

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** The costs of a message beside its bytes, as flow.ts counts them. */
const MESSAGE_BYTES = 64;

describe("flow control", () => {
  test("whatever the window, the sizes and the pace of the reader: all arrives in order, and never more than a window and a message waits", async () => {
    const sizes = fc.array(fc.nat({ max: 500 }), { maxLength: 60 });
    await fc.assert(
      fc.asyncProperty(
        sizes,
        fc.integer({ min: 1, max: 2000 }),
        fc.array(fc.boolean()),
        async (sizes, window, slow) => {
          const outflow = new Outflow(window);
          const got: number[] = [];
          let waiting = 0;
          let most = 0;
          let finished = false;
          let reads = 0;
          const inflow = new Inflow(window, {
            write(wire) {
              const done = (): true => {
                got.push(Number(String(wire).slice(1)));
                waiting -= String(wire).length + MESSAGE_BYTES;
                return true;
              };
              return slow[reads++ % Math.max(1, slow.length)] === true ? turn().then(done) : done();
            },
            finish: () => {
              finished = true;
            },
            allow: (limit) => assert.ok(outflow.allow(limit)),
          });
          for (const [i, size] of sizes.entries()) {
            const wire = `x${i}`.padEnd(size, " ");
            waiting += wire.length + MESSAGE_BYTES;
            most = Math.max(most, waiting);
            assert.ok(inflow.take(wire, wire.length), "what was allowed is taken");
            assert.equal(await outflow.sent(wire.length), true);
          }
          inflow.end();
          for (let n = 0; n < 200 && !finished; n++) await turn();
          assert.equal(finished, true);
          assert.deepEqual(got, [...sizes.keys()]);
          assert.ok(most <= window + 500 + 2 * MESSAGE_BYTES, `${most} bytes waited of a window of ${window}`);
        },
      ),
      { numRuns: 100 },
    );
  });

  test("who sends more than was allowed is found out", () => {
    const never = new Promise<boolean>(() => {});
    const inflow = new Inflow(200, { write: () => never, finish: () => {}, allow: () => assert.fail("allowed") });
    assert.equal(inflow.take("a", 100), true);
    assert.equal(inflow.take("b", 100), true, "a message may go over the limit with its last bytes");
    assert.equal(inflow.take("c", 0), false);
  });

  test("allowances that are old, repeated or absurd", async () => {
    const outflow = new Outflow(0);
    const room = outflow.room();
    assert.equal(outflow.allow(100), true);
    assert.equal(await room, true);
    assert.equal(outflow.allow(50), true, "less than before counts for nothing");
    assert.equal(outflow.room(), true);
    assert.equal(outflow.allow(MAX_WINDOW_BYTES + 1), false);
    assert.notEqual(outflow.sent(100), true);
    outflow.close();
    assert.equal(outflow.room(), false);
  });

  test("a writer that waits is told when nobody reads any more", async () => {
    const outflow = new Outflow(1);
    const more = outflow.sent(10);
    outflow.close();
    assert.equal(await more, false);
  });

  test("what comes behind the end, or after nobody wants more, is let go", async () => {
    const written: unknown[] = [];
    const inflow = new Inflow(1000, {
      write(wire) {
        written.push(wire);
        return Promise.resolve(false);
      },
      finish: () => assert.fail("finished"),
      allow: () => {},
    });
    assert.equal(inflow.take("a", 1), true);
    assert.equal(inflow.take("b", 1), true);
    await turn();
    assert.equal(inflow.take("c", 1), true);
    inflow.end();
    await turn();
    assert.deepEqual(written, ["a"]);
  });
});
