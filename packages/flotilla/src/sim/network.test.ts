import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { constant, exponential } from "../clock/distribution.ts";
import { seededRandom } from "../clock/random.ts";
import { VirtualClock } from "../clock/virtual-clock.ts";
import { Lane, Network, type NetworkOptions, type Place } from "./network.ts";

const place = (name: string): Place => ({ name, zone: undefined });
const [a, b, c] = [place("a"), place("b"), place("c")];

function bed(options: NetworkOptions = {}) {
  const clock = new VirtualClock();
  const network = new Network(clock, seededRandom(1), { latency: constant(5), ...options }, () => ["a", "b", "c"]);
  const arrived: [what: string, atMs: number][] = [];
  const send = (what: string, { from = a, to = b, bytes = 0, lane = undefined as Lane | undefined } = {}): void =>
    network.send(from, to, bytes, () => void arrived.push([what, clock.now()]), lane);
  return { clock, network, arrived, send };
}

describe("bandwidth", () => {
  test("what a machine sends goes out one after the other, as fast as it can; what it does not send is not held up", async () => {
    const { clock, arrived, send } = bed({ bytesPerSecond: 10_000 });
    send("first", { bytes: 1000 });
    send("second", { bytes: 500, to: c });
    send("of another", { bytes: 100, from: c });
    await clock.advance(1000);
    send("later", { bytes: 1000 });
    await clock.advance(1000);
    assert.deepEqual(arrived, [
      ["of another", 15],
      ["first", 105],
      ["second", 155],
      ["later", 1105],
    ]);
  });

  test("without a bound bytes take no time", async () => {
    const { clock, arrived, send } = bed();
    send("large", { bytes: 1e9 });
    await clock.advance(5);
    assert.deepEqual(arrived, [["large", 5]]);
  });
});

describe("reordering", () => {
  const numbers = Array.from({ length: 100 }, (_, i) => `${i}`);

  test("messages of different calls overtake each other, those of one stream do not", async () => {
    const { clock, arrived, send } = bed({ latency: exponential(10) });
    for (const number of numbers) send(number);
    await clock.advance(10_000);
    const order = arrived.splice(0).map(([what]) => what);
    assert.notDeepEqual(order, numbers);
    assert.deepEqual(
      order.toSorted((x, y) => Number(x) - Number(y)),
      numbers,
    );
    const lane = new Lane();
    for (const number of numbers) send(number, { lane });
    await clock.advance(10_000);
    assert.deepEqual(
      arrived.map(([what]) => what),
      numbers,
    );
  });
});

describe("latency", () => {
  test("may be more from now on, and depend on where from and where to", async () => {
    const { clock, network, arrived, send } = bed({ latency: (from) => constant(from === a ? 5 : 50) });
    send("near");
    send("far", { from: b, to: a });
    network.extraLatencyMs = 100;
    send("slow");
    await clock.advance(1000);
    assert.deepEqual(arrived, [
      ["near", 5],
      ["far", 50],
      ["slow", 105],
    ]);
  });
});

describe("loss", () => {
  test("what is lost is repeated, later and later, until it gets through", async () => {
    const { clock, network, arrived, send } = bed({ retransmitMs: 100 });
    network.loss = 0.999_999;
    send("lost");
    await clock.advance(650);
    assert.deepEqual(network.counts, { calls: 0, carried: 1, repeated: 3, givenUp: 0 });
    network.loss = 0;
    await clock.advance(1000);
    assert.deepEqual(arrived, [["lost", 705]]);
  });
});

describe("a partition", () => {
  test("holds both ways between the two groups, and for nobody else, until it heals", async () => {
    const { clock, network, arrived, send } = bed();
    const heal = network.partition(["a"], ["b"]);
    send("a to b");
    send("b to a", { from: b, to: a });
    send("a to c", { to: c });
    send("c to b", { from: c });
    await clock.advance(100);
    assert.deepEqual(arrived, [
      ["a to c", 5],
      ["c to b", 5],
    ]);
    heal();
    await clock.advance(1000);
    assert.deepEqual(arrived.slice(2), [
      ["a to b", 205],
      ["b to a", 205],
    ]);
  });

  test("may be of one direction; of several each heals by itself", async () => {
    const { clock, network, arrived, send } = bed();
    const one = network.cut((from) => from === a);
    const other = network.cut((from, to) => from === a && to === b);
    send("a to b");
    send("b to a", { from: b, to: a });
    await clock.advance(100);
    assert.deepEqual(arrived, [["b to a", 5]]);
    one();
    await clock.advance(500);
    assert.equal(arrived.length, 1);
    other();
    await clock.advance(1000);
    assert.equal(arrived.length, 2);
  });
});

test("options that are not legal are refused, by name", () => {
  assert.throws(() => bed({ loss: 1 }), /network: loss/);
  assert.throws(() => bed({ duplication: 1.5 }), /network: duplication/);
  assert.throws(() => bed({ bytesPerSecond: 0 }), /network: bytesPerSecond/);
  assert.throws(() => bed({ retransmitMs: -1 }), /network: retransmitMs/);
});
