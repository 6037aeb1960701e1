import { request } from "undici";

/** What came back over HTTP. */
export interface Posted {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
}

/** Posts a body to `/rpc` of a server, as it is. */
export async function post(
  address: string,
  body: string | Uint8Array,
  headers: Readonly<Record<string, string>> = {},
): Promise<Posted> {
  const answer = await request(`${address}/rpc`, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body,
  });
  return { status: answer.statusCode, headers: answer.headers, text: await answer.body.text() };
}

/** A response of JSON-RPC. */
export interface Response {
  readonly jsonrpc: string;
  readonly result?: unknown;
  readonly error?: { readonly code: number; readonly message: string; readonly data?: Record<string, unknown> };
  readonly id: unknown;
}

/** Posts what is to be a request, or several, as JSON. @returns the response, parsed. */
export async function ask<T = Response>(address: string, body: unknown, headers?: Record<string, string>): Promise<T> {
  return JSON.parse((await post(address, JSON.stringify(body), headers)).text) as T;
}
