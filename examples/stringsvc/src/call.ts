import { background, withTimeout } from "flotilla/context";
import { embedded } from "flotilla/discovery";
import { client } from "flotilla/service";
import { Strings } from "./contract.ts";

const strings = client(Strings, { discover: embedded() });
const ctx = withTimeout(background(), 500);
console.log(await strings.uppercase(ctx, { s: "hello" }));
await strings[Symbol.asyncDispose]();
