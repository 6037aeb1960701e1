import { type Attributes, type Meter, type Observable, ValueType } from "@opentelemetry/api";
import type { StateReport, TelemetryPort } from "../../endpoint/telemetry-port.ts";
import { whereOf } from "../calls/rpc-attributes.ts";

/**
 * The state of hosts and channels, asked when metrics are collected: connections on either side, calls that wait for one, instances a
 * service. What several channels have of one kind is added up; instances are those of the channel that knows most.
 */
export function stateMetrics(meter: Meter): NonNullable<TelemetryPort["watch"]> {
  const counter = (name: string, unit: string, description: string): Observable =>
    meter.createObservableUpDownCounter(name, { unit, description, valueType: ValueType.INT });
  const served = counter("flotilla.server.connections", "{connection}", "Connections of the listeners that are open.");
  const open = counter("http.client.open_connections", "{connection}", "Connections to others that are open.");
  const waiting = counter("flotilla.client.waiting_calls", "{call}", "Calls that wait for a connection.");
  const instances = counter("flotilla.client.instances", "{instance}", "Instances that calls are balanced over.");
  const probes = meter.createObservableCounter("flotilla.client.probes", {
    unit: "{probe}",
    description: "How often instances were asked how busy they are.",
    valueType: ValueType.INT,
  });
  const reports = new Set<(to: StateReport) => void>();
  meter.addBatchObservableCallback(
    (result) => {
      const moment = new Moment();
      for (const report of reports) {
        report({
          listener: (address, connections) => moment.add(served, connections, where(address)),
          pool(address, state) {
            const at = where(address);
            moment.add(open, state.idle, { ...at, "http.connection.state": "idle" });
            moment.add(open, state.open - state.idle, { ...at, "http.connection.state": "active" });
            moment.add(waiting, state.waiting, at);
          },
          instances(service, up, down) {
            moment.atLeast(instances, up, { "rpc.service": service, "flotilla.instance.state": "up" });
            moment.atLeast(instances, down, { "rpc.service": service, "flotilla.instance.state": "down" });
          },
          probes: (service, sent) => moment.add(probes, sent, { "rpc.service": service }),
        });
      }
      for (const { observable, value, attributes } of moment.values) result.observe(observable, value, attributes);
    },
    [served, open, waiting, instances, probes],
  );
  return (report) => {
    reports.add(report);
    return () => void reports.delete(report);
  };
}

interface Observed {
  readonly observable: Observable;
  readonly attributes: Attributes;
  value: number;
}

/** What all reports have said of one moment. */
class Moment {
  readonly #observed = new Map<Observable, Map<string, Observed>>();

  get values(): readonly Observed[] {
    return Array.from(this.#observed.values()).flatMap((series) => Array.from(series.values()));
  }

  add(observable: Observable, value: number, attributes: Attributes): void {
    this.#of(observable, attributes).value += value;
  }

  atLeast(observable: Observable, value: number, attributes: Attributes): void {
    const observed = this.#of(observable, attributes);
    observed.value = Math.max(observed.value, value);
  }

  #of(observable: Observable, attributes: Attributes): Observed {
    let series = this.#observed.get(observable);
    if (series === undefined) this.#observed.set(observable, (series = new Map()));
    const key = JSON.stringify(attributes);
    let observed = series.get(key);
    if (observed === undefined) series.set(key, (observed = { observable, attributes, value: 0 }));
    return observed;
  }
}

function where(address: string): Attributes {
  const { host, port } = whereOf(address);
  return { "server.address": host, ...(port > 0 && { "server.port": port }) };
}
