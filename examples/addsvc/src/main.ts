import { http } from "flotilla/http";
import { host, implement } from "flotilla/service";
import { Adder } from "./contract.ts";
import { readPlaces } from "./places.ts";
import { adder } from "./service.ts";
import { transports } from "./transports.ts";

const places = readPlaces(process.argv.slice(2));
const all = Object.values(transports);

await host({
  name: "addsvc",
  serve: [implement(Adder, adder)],
  listen: [
    http({ port: places.port, protocols: all.flatMap(({ protocol }) => protocol?.() ?? []) }),
    ...all.flatMap(({ listen }) => listen?.(places) ?? []),
  ],
}).run();
