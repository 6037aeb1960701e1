import { embedded } from "flotilla/discovery";
import { http } from "flotilla/http";
import { host, implement, readConfig } from "flotilla/service";
import { z } from "zod";
import { Profiles } from "./contract.ts";
import { profileService } from "./service.ts";
import { ProfileStore } from "./store.ts";

const config = readConfig(
  z.object({ PORT: z.coerce.number().default(8081), DATABASE: z.string().default(":memory:") }),
);
const store = new ProfileStore(config.DATABASE);

await host({
  name: "profiles",
  serve: [implement(Profiles, profileService(store))],
  listen: [http({ port: config.PORT })],
  register: embedded(),
  close: [store],
}).run();
