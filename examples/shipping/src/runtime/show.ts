import type { Clock, Timer } from "flotilla/clock";
import { type Ledger, summary } from "../driver/ledger.ts";
import type { Collector } from "./collector.ts";
import type { Display } from "./display.ts";
import type { Fleet } from "./fleet.ts";
import { createRates } from "./rates.ts";
import { tracePicture } from "./trace-picture.ts";

/** Shows how the system fares, from its start to its end. */
export interface Show {
  /** The gateway is there, and what can be tried. */
  open(gateway: string, invitation: readonly string[]): void;
  /** From now on services go because they are told to. */
  close(): void;
  /** Shows the last state and no more. */
  end(): void;
}

const drawEveryMs = 500;

/** Starts showing. */
export function startShow(display: Display, fleet: Fleet, ledger: Ledger, clock: Clock, collector?: Collector): Show {
  const rates = createRates();
  let title = "Shipping: starting";
  let invitation: readonly string[] = [];
  let closing = false;
  let timer: Timer;

  function draw(): void {
    const { requests, failed, expectedRefusals, started, finished } = summary(ledger);
    const refused = `${expectedRefusals} refused as they had to be`;
    const rows = fleet.states().map((state) => {
      return rates.row(closing ? Object.assign(state, { wanted: state.instances }) : state, clock.now());
    });
    const customers = `customers: ${started} came, ${finished} done; ${requests} requests, ${refused}, ${failed} failed`;
    const trace = collector === undefined ? [] : ["", ...tracePicture(collector.traces(), clock.epoch(), display)];
    display.show({ title, rows, notes: [customers, "", ...invitation, ...trace] });
  }

  function again(): void {
    draw();
    timer = clock.schedule(drawEveryMs, again);
  }

  again();
  return {
    open: (gateway, lines) => {
      title = `Shipping at ${gateway}   (Ctrl-C ends it)`;
      invitation = lines;
      if (!display.live) display.say(lines.join("\n"));
    },
    close: () => {
      closing = true;
      title = "Shipping: closing";
    },
    end: () => {
      timer.cancel();
      draw();
    },
  };
}
