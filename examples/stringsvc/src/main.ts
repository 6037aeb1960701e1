import { embedded } from "flotilla/discovery";
import { http } from "flotilla/http";
import { host, implement } from "flotilla/service";
import { Strings } from "./contract.ts";

const strings = implement(Strings, {
  uppercase: async (_ctx, { s }) => ({ v: s.toUpperCase() }),
  count: async (_ctx, { s }) => ({ v: Array.from(s).length }),
});

await host({
  name: "strings",
  serve: [strings],
  listen: [http({ port: Number(process.env["PORT"] ?? 8080) })],
  register: embedded(),
}).run();
