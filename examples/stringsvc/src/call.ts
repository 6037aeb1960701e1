import { background, withTimeout } from "flotilla/context";
import { client } from "flotilla/service";
import { Strings } from "./contract.ts";

await using strings = client(Strings, { discover: [process.argv[2] ?? "http://127.0.0.1:8080"] });
using ctx = withTimeout(background(), 500);
console.log(await strings.uppercase(ctx, { s: "hello" }));
