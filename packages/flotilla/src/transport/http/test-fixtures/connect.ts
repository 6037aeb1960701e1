// What the tests against Connect's own client and server share.
import assert from "node:assert/strict";
import { Code as ConnectCode, ConnectError } from "@connectrpc/connect";

export async function* numbers(...all: number[]): AsyncGenerator<{ number: number }> {
  for (const number of all) yield { number };
}

export async function* sentences(...all: string[]): AsyncGenerator<{ sentence: string }> {
  for (const sentence of all) yield { sentence };
}

export async function collect<T>(stream: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const one of stream) all.push(one);
  return all;
}

/** What a call to Connect's client failed with. */
export async function rejection(work: Promise<unknown>): Promise<ConnectError> {
  const error = await work.then(
    () => assert.fail("the call did not fail"),
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof ConnectError, String(error));
  return error;
}

/** `not_found` for 5. */
export function nameOf(code: ConnectCode): string {
  return ConnectCode[code].replace(/(?<!^)[A-Z]/g, (letter) => `_${letter}`).toLowerCase();
}

/** 5 for `not_found`. */
export function codeOf(name: string): ConnectCode {
  const key = name.replace(/(?:^|_)([a-z])/g, (_, letter: string) => letter.toUpperCase());
  return ConnectCode[key as keyof typeof ConnectCode];
}
