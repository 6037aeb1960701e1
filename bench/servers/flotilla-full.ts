import { serveFull } from "../lib/full-host.ts";

await serveFull(0.1);
