import { createSocket, type Socket } from "node:dgram";
import type { AttributeList, MetricData } from "../model.ts";
import { boundsOf } from "./exponential.ts";

/** Options of {@link statsd}. */
export interface StatsdOptions {
  /** Default `127.0.0.1`. */
  readonly host?: string;
  /** 1 to 65535. Default 8125. */
  readonly port?: number;
  /** How attributes are sent: as DogStatsD's tags, or not at all, series of one name then being added together by the server. Default `dogstatsd`. */
  readonly tags?: "dogstatsd" | "none";
  /** In front of every name. Default none. */
  readonly prefix?: string;
  /** Bytes of one datagram: what fits into an Ethernet frame. 64 to 65507. Default 1432. */
  readonly maxDatagramBytes?: number;
}

/** Sends metrics to a StatsD server. */
export interface Statsd {
  /** Sends a collection that was made into deltas. Never rejects: what cannot be sent is counted. */
  send(deltas: readonly MetricData[]): Promise<void>;
  readonly counts: { readonly sent: number; readonly failed: number };
  close(): Promise<void>;
}

/**
 * Sends over UDP: counters as `c`, gauges and sums that go both ways as `g`, histograms as one timing (`ms`) or histogram (`h`) a bucket with the
 * sample rate that its count makes, at the middle of the bucket.
 *
 * @throws RangeError when an option is not legal, naming it.
 */
export function statsd(options: StatsdOptions = {}): Statsd {
  const { host = "127.0.0.1", port = 8125, tags = "dogstatsd", prefix = "", maxDatagramBytes = 1432 } = options;
  if (!(Number.isInteger(port) && port >= 1 && port <= 65_535)) {
    throw new RangeError(`statsd: port must be a whole number from 1 to 65535, got ${port}`);
  }
  if (!(maxDatagramBytes >= 64 && maxDatagramBytes <= 65_507)) {
    throw new RangeError(`statsd: maxDatagramBytes must be from 64 to 65507, got ${maxDatagramBytes}`);
  }
  const counts = { sent: 0, failed: 0 };
  let socket: Socket | undefined;
  const transmit = (datagram: string): Promise<void> =>
    new Promise((resolve) => {
      if (socket === undefined) {
        socket = createSocket(host.includes(":") ? "udp6" : "udp4");
        // Told to the callback of each send.
        socket.on("error", () => {});
        socket.unref();
      }
      socket.send(datagram, port, host, (error) => {
        if (error === null) counts.sent++;
        else counts.failed++;
        resolve();
      });
    });
  return {
    counts,
    async send(data) {
      let datagram = "";
      for (const line of linesOf(data, prefix, tags === "dogstatsd")) {
        // One line that does not fit can be sent nowhere.
        if (Buffer.byteLength(line) > maxDatagramBytes) {
          counts.failed++;
          continue;
        }
        if (datagram !== "" && Buffer.byteLength(datagram) + 1 + Buffer.byteLength(line) > maxDatagramBytes) {
          await transmit(datagram);
          datagram = "";
        }
        datagram = datagram === "" ? line : `${datagram}\n${line}`;
      }
      if (datagram !== "") await transmit(datagram);
    },
    close: () =>
      new Promise((resolve) => {
        if (socket === undefined) resolve();
        else socket.close(() => resolve());
        socket = undefined;
      }),
  };
}

function* linesOf(data: readonly MetricData[], prefix: string, tagged: boolean): Generator<string> {
  for (const metric of data) {
    const name = prefix + metric.name.replace(/[:|@#\n]/g, "_");
    const line = (value: number, type: string, attributes: AttributeList, rate = 1): string =>
      `${name}:${value}|${type}${rate === 1 ? "" : `|@${rate}`}${tagged ? tagsOf(attributes) : ""}`;
    switch (metric.type) {
      case "sum":
      case "gauge":
        for (const { attributes, value } of metric.points) {
          const counter = metric.type === "sum" && metric.monotonic;
          if (!counter && value < 0) yield line(0, "g", attributes);
          if (!counter || value !== 0) yield line(value, counter ? "c" : "g", attributes);
        }
        break;
      case "histogram":
        for (const { attributes, bounds, counts } of metric.points) {
          for (const [i, count] of counts.entries()) {
            if (count <= 0) continue;
            const upper = bounds[i] ?? bounds.at(-1) ?? 0;
            const lower = bounds[i - 1] ?? Math.min(0, upper);
            yield line(...timing((lower + upper) / 2, metric.unit), attributes, 1 / count);
          }
        }
        break;
      case "exponential":
        for (const { attributes, positive, scale } of metric.points) {
          for (const [i, count] of positive.counts.entries()) {
            if (count <= 0) continue;
            const [lower, upper] = boundsOf(positive.offset + i, scale);
            yield line(...timing((lower + upper) / 2, metric.unit), attributes, 1 / count);
          }
        }
    }
  }
}

/** Durations are milliseconds in StatsD. */
function timing(value: number, unit: string): [value: number, type: string] {
  if (unit === "s") return [value * 1000, "ms"];
  return [value, unit === "ms" ? "ms" : "h"];
}

function tagsOf(attributes: AttributeList): string {
  const tags: string[] = [];
  for (let i = 0; i < attributes.length; i += 2) {
    const value = attributes[i + 1];
    const text = typeof value === "string" ? value : JSON.stringify(value);
    tags.push(`${clean(attributes[i] as string)}:${clean(text)}`);
  }
  return tags.length === 0 ? "" : `|#${tags.join(",")}`;
}

function clean(text: string): string {
  return text.replace(/[|,#\n\r]/g, "_");
}
