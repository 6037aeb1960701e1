import { promisify } from "node:util";
import { brotliCompress, brotliDecompress, constants, gunzip, gzip } from "node:zlib";
import type { Code } from "../errors/code.ts";
import { ServiceError } from "../errors/service-error.ts";

/** A content coding Flotilla can read and write. */
export type Encoding = "gzip" | "br";

/** What is offered to peers, best first. */
const encodings: readonly Encoding[] = ["br", "gzip"];

const gzipAsync = promisify(gzip);
const gunzipAsync = promisify(gunzip);
const brotliAsync = promisify(brotliCompress);
const unbrotliAsync = promisify(brotliDecompress);

/** Compresses in the thread pool. Brotli at quality 4, gzip at level 4: for traffic that is written once and read once. */
export function compress(encoding: Encoding, data: Uint8Array | string): Promise<Buffer> {
  return encoding === "gzip"
    ? gzipAsync(data, { level: 4 })
    : brotliAsync(data, { params: { [constants.BROTLI_PARAM_QUALITY]: 4 } });
}

/**
 * Decompresses in the thread pool, never to more than `maxBytes`.
 *
 * @param malformed - the code of what is not validly compressed: whose fault it is depends on the side.
 * @throws ServiceError `resource_exhausted` when the content is larger; `malformed`.
 */
export async function decompress(
  encoding: Encoding,
  data: Uint8Array,
  maxBytes: number,
  malformed: Code,
): Promise<Buffer> {
  try {
    return await (encoding === "gzip" ? gunzipAsync : unbrotliAsync)(data, { maxOutputLength: Math.max(1, maxBytes) });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ERR_BUFFER_TOO_LARGE") {
      throw new ServiceError("resource_exhausted", `the decompressed message is over the limit of ${maxBytes} bytes`);
    }
    throw new ServiceError(malformed, `the message is not valid ${encoding} data`, { cause: error });
  }
}

/**
 * Reads a content-encoding header: undefined for none or `identity`.
 *
 * @param unknown - the code of a coding that is not supported: `unimplemented` for a request's, `internal` for an answer's.
 * @throws ServiceError `unknown`, naming the codings that are supported.
 */
export function parseEncoding(value: string | undefined, unknown: Code): Encoding | undefined {
  if (value === undefined || value === "" || value === "identity") return undefined;
  if (value === "gzip" || value === "br") return value;
  throw new ServiceError(
    unknown,
    `unknown compression ${JSON.stringify(value.slice(0, 32))}: supported encodings are gzip, br, identity`,
  );
}

/** The best coding of an accept-encoding header, those with `q=0` left out; undefined when none is shared. */
export function chooseEncoding(accept: string | undefined): Encoding | undefined {
  if (accept === undefined) return undefined;
  let chosen: Encoding | undefined;
  let best = 0;
  for (const part of accept.split(",", 16)) {
    const [name, ...parameters] = part.split(";");
    const coding = name!.trim().toLowerCase();
    const found = coding === "*" ? "gzip" : encodings.find((encoding) => encoding === coding);
    if (found === undefined) continue;
    const q = parameters
      .map((parameter) => /^\s*q=([\d.]+)\s*$/.exec(parameter)?.[1])
      .find((value) => value !== undefined);
    const weight = q === undefined ? 1 : Number(q);
    // Equal weights: the better coding of ours.
    if (weight > best || (weight === best && weight > 0 && found === "br")) {
      chosen = found;
      best = weight;
    }
  }
  return chosen;
}
