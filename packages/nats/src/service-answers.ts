import type { Msg, NatsConnection } from "@nats-io/nats-core";
import { nuid } from "@nats-io/transport-node";
import type { Clock } from "flotilla/clock";
import type { MethodCount } from "./method-count.ts";
import { dashed } from "./subjects.ts";

const TYPE = "io.nats.micro.v1";
const NANOS = 1e6;

/** What a service says of itself to the tools of NATS. */
export interface ServiceWords {
  readonly version: string;
  readonly description: string;
  readonly metadata: Readonly<Record<string, string>>;
}

/**
 * Answers `$SRV.PING`, `$SRV.INFO` and `$SRV.STATS`, each also for one name and for one instance (NATS Service API,
 * nats-architecture-and-design ADR-32). The client library's own framework would bring its own subscriptions and statistics for each method.
 */
export class ServiceAnswers {
  /** Unique: this instance of the service. */
  readonly id = nuid.next();
  /** Dots may not stand in the name of a service: `calc-v1-Calculator`. */
  readonly name: string;
  readonly #service: string;
  readonly #words: ServiceWords;
  readonly #queue: string;
  readonly #methods: readonly MethodCount[];
  readonly #started: string;

  constructor(service: string, queue: string, words: ServiceWords, methods: readonly MethodCount[], clock: Clock) {
    this.name = dashed(service);
    this.#service = service;
    this.#queue = queue;
    this.#words = words;
    this.#methods = methods;
    this.#started = new Date(clock.epoch()).toISOString();
  }

  /** @param tell - answers a question. */
  subscribe(connection: NatsConnection, tell: (question: Msg, answer: object) => void): void {
    const verbs = { PING: () => this.#ping(), INFO: () => this.#info(), STATS: () => this.#stats() };
    for (const [verb, answer] of Object.entries(verbs)) {
      for (const subject of [`$SRV.${verb}`, `$SRV.${verb}.${this.name}`, `$SRV.${verb}.${this.name}.${this.id}`]) {
        connection.subscribe(subject, {
          callback: (error, msg) => {
            if (error === null) tell(msg, answer());
          },
        });
      }
    }
  }

  #identity(kind: string): object {
    const { version, metadata } = this.#words;
    return {
      type: `${TYPE}.${kind}_response`,
      name: this.name,
      id: this.id,
      version,
      metadata: { ...metadata, "flotilla.service": this.#service },
    };
  }

  #ping(): object {
    return this.#identity("ping");
  }

  #info(): object {
    const endpoints = this.#methods.map(({ info, subject }) => ({
      ...this.#endpoint(info.name, subject),
      metadata: { kind: info.kind, idempotent: String(info.idempotent), ...(info.doc && { doc: info.doc }) },
    }));
    return { ...this.#identity("info"), description: this.#words.description, endpoints };
  }

  #stats(): object {
    const endpoints = this.#methods.map(({ info, subject, requests, errors, lastError, processingMs }) => {
      const nanos = Math.round(processingMs * NANOS);
      return {
        ...this.#endpoint(info.name, subject),
        num_requests: requests,
        num_errors: errors,
        last_error: lastError,
        processing_time: nanos,
        average_processing_time: requests === 0 ? 0 : Math.floor(nanos / requests),
      };
    });
    return { ...this.#identity("stats"), started: this.#started, endpoints };
  }

  #endpoint(name: string, subject: string): object {
    return { name, subject, queue_group: this.#queue };
  }
}
