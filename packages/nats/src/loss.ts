import type { Context } from "flotilla/context";
import { reportError } from "flotilla/endpoint";
import { ServiceError } from "flotilla/errors";

/** Tells whoever hears of the errors of a listener that its broker is gone, and that it will come back by itself. */
export function reportLoss(root: Context, who: string, address: string): void {
  reportError(root, new ServiceError("unavailable", `${who}: lost the broker at ${address}, trying again`));
}

/** That it has not come back yet, and why. */
export function reportFailure(root: Context, who: string, address: string, cause: Error): void {
  const message = `${who}: cannot be connected to the broker at ${address} again, trying on: ${cause.message}`;
  reportError(root, new ServiceError("unavailable", message, { cause }));
}

/** That the client library has given it up. */
export function reportEnd(root: Context, who: string, address: string, cause: Error | undefined): void {
  const why = cause === undefined ? "" : `: ${cause.message}`;
  const message = `${who}: the connection to the broker at ${address} was given up${why}`;
  reportError(root, new ServiceError("unavailable", message, { cause }));
}
