import type { Authenticator } from "@nats-io/nats-core";
import type { NatsConnectionImpl, ProtocolHandler } from "@nats-io/nats-core/internal";
import type { NatsConnection } from "@nats-io/transport-node";

type Parser = ProtocolHandler["parser"];

/**
 * Ends a connection, as if it had been cut, when what the broker sends cannot be read: the client library ends its reading, neither closes nor tells anybody, and
 * would go on so until its pings have gone unanswered. It is one connection after the other by itself: each has its own parser.
 */
export function endWhatCannotBeRead(connection: NatsConnection): void {
  const { protocol } = connection as NatsConnectionImpl;
  let parser = guarded(protocol.parser, protocol);
  Object.defineProperty(protocol, "parser", {
    get: () => parser,
    set: (next: Parser) => {
      parser = guarded(next, protocol);
      // The rest of the attempt is made ready in the same turn.
      queueMicrotask(() => failWhenClosed(protocol));
    },
  });
  // The reading may have ended before, with what came in one piece with the broker's hello. Where it goes on, it waits once what has come is read.
  setImmediate(() => {
    const { signal } = protocol.transport as { signal?: Promise<unknown> };
    const waits = Symbol("waits");
    void Promise.race([signal, Promise.resolve(waits)]).then((first) => {
      if (signal !== undefined && first !== waits) end(protocol, new Error("the broker's words cannot be read"));
    });
  });
}

/** Fails an attempt whose connection is closed in the middle of the hello, of which the client library waits for the rest until its time is up. */
function failWhenClosed(protocol: ProtocolHandler): void {
  const { transport, connectError } = protocol;
  void transport.closed().then((why) => {
    if (protocol.connectError === connectError) connectError?.(why ?? new Error("the broker closed the connection"));
  });
}

function guarded(parser: Parser, protocol: ProtocolHandler): Parser {
  let broken = false;
  const parse = parser.parse.bind(parser);
  parser.parse = (bytes) => {
    if (broken) return;
    try {
      parse(bytes);
    } catch (error) {
      broken = true;
      end(protocol, error instanceof Error ? error : new Error(String(error)));
    }
  };
  return parser;
}

/** Fails the attempt under way, or ends the connection. */
function end(protocol: ProtocolHandler, why: Error): void {
  const { transport } = protocol;
  if (protocol.connectError === undefined) return void transport.close(why);
  protocol.connectError(why);
  // It may have succeeded just now.
  setImmediate(() => {
    if (protocol.connectError === undefined && protocol.transport === transport) void transport.close(why);
  });
}

/**
 * Has what an authenticator throws fail the attempt to be connected again, where the client library would give the connection up for good. Nothing is sent to the broker: a
 * hello without credentials could make somebody else of us.
 *
 * @param connected - the connection, once there was one; before, what is thrown fails the first attempt.
 */
export function forgiving(
  authenticators: Authenticator | Authenticator[],
  connected: () => NatsConnection | undefined,
  failed: (error: Error) => void,
): Authenticator[] {
  return [authenticators].flat().map((authenticator) => (nonce) => {
    try {
      return authenticator(nonce);
    } catch (thrown) {
      const connection = connected();
      if (connection === undefined) throw thrown;
      const error = thrown instanceof Error ? thrown : new Error(String(thrown));
      failed(error);
      const { protocol } = connection as NatsConnectionImpl;
      protocol.transport.discard();
      end(protocol, error);
      return undefined;
    }
  });
}
