import { describe, test } from "node:test";
import { VirtualClock } from "../../clock/virtual-clock.ts";
import { rateLimiterContract } from "../../testing/rate-limiter-contract.ts";
import { gcra } from "./gcra.ts";
import { slidingWindow } from "./sliding-window.ts";
import { tokenBucket } from "./token-bucket.ts";

for (const [name, make] of Object.entries({
  gcra,
  tokenBucket,
  slidingWindow: ({ burst: _, ...options }: Parameters<typeof gcra>[0]) => slidingWindow(options),
})) {
  describe(name, () => {
    const clock = new VirtualClock();
    const suite = rateLimiterContract({
      make: (needs) => make({ ...needs, clock }),
      pass: (ms) => clock.advance(ms),
      now: () => clock.now(),
    });
    for (const { name: title, run } of suite) test(title, run);
  });
}
