import { Profiles } from "@flotilla-examples/profilesvc/contract";
import { Strings } from "@flotilla-examples/stringsvc/contract";
import { embedded } from "flotilla/discovery";
import { http } from "flotilla/http";
import { channel, client, host, implement, readConfig } from "flotilla/service";
import { z } from "zod";
import { Gateway } from "./contract.ts";
import { gateway } from "./service.ts";

const config = readConfig(z.object({ PORT: z.coerce.number().default(8082) }));
const services = channel({ discover: embedded() });

await host({
  name: "gateway",
  serve: [implement(Gateway, gateway(client(Profiles, services), client(Strings, services)))],
  listen: [http({ port: config.PORT, cors: { origins: "*" } })],
  close: [services],
}).run();
