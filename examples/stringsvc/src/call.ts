import { background, withTimeout } from "flotilla/context";
import { embedded } from "flotilla/discovery";
import { client } from "flotilla/service";
import { Strings } from "./contract.ts";

await using strings = client(Strings, { discover: embedded() });
using ctx = withTimeout(background(), 500);
console.log(await strings.uppercase(ctx, { s: "hello" }));
