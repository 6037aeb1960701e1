import { type HttpClientOptions, type HttpClientSettings, settleClient } from "../client-options.ts";

/** Options of {@link grpcWebClient}: how messages are written, and those of the connections of `httpClient`. */
export interface GrpcWebClientOptions extends Omit<HttpClientOptions, "get" | "compress" | "maxBodyBytes"> {
  /** Send messages of at least 1 KiB as gzip, and accept compressed ones. Default false. */
  readonly compress?: boolean;
}

/** What an answer may have beside its one message: the frames' prefixes, and trailers. */
const MAX_TRAILER_BYTES = 64 * 1024;

/** @throws TypeError naming the option that is not legal. */
export function settleGrpcWebClient({ compress = false, ...options }: GrpcWebClientOptions): HttpClientSettings {
  const settings = settleClient(options, "grpcWebClient");
  return {
    ...settings,
    maxBodyBytes: settings.maxMessageBytes + MAX_TRAILER_BYTES,
    ...(compress && { compress: "gzip" }),
  };
}
