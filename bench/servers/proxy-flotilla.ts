import { http } from "flotilla/http";
import { proxy, proxyClient } from "flotilla/proxy";
import { channel, host } from "flotilla/service";
import { ready } from "../lib/ready.ts";

const over = channel({ discover: [process.argv[2] ?? ""], transport: proxyClient() });
const edge = host({ name: "edge", listen: [http({ port: 0, protocols: [proxy({ over })] })], close: [over] });
const { addresses } = await edge.start();
ready(Number(new URL(addresses[0] ?? "").port));
