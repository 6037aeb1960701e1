import type { ServiceError } from "../errors/service-error.ts";
import type { CancelContext, Context } from "./context.ts";
import { type ContextKey, contextKey } from "./key.ts";
import { afterFunc, background, withCancel, withoutCancel, withTimeout, withValue } from "./with.ts";

/** Compiles only where the two types are the very same, so `any` cannot pass for anything else. */
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
function same<A, B>(_: Same<A, B>): void {}

const ctx = background();
same<typeof ctx, Context>(true);

// Without a default a value may be undefined; with one it never is.
const user = contextKey<{ name: string }>("user");
const retries = contextKey<number>("retries", 3);
const inferred = contextKey("inferred", "text");
same<typeof user, ContextKey<{ name: string } | undefined>>(true);
same<typeof retries, ContextKey<number>>(true);
const found = ctx.value(user);
same<typeof found, { name: string } | undefined>(true);
const count = ctx.value(retries);
same<typeof count, number>(true);
const text = ctx.value(inferred);
same<typeof text, string>(true);

// @ts-expect-error: may be undefined.
ctx.value(user).name;
// @ts-expect-error: the default must be of the key's type.
contextKey<number>("n", "three");
// @ts-expect-error: the value must be of the key's type.
withValue(ctx, retries, "three");
// @ts-expect-error: a key is made by contextKey, not a string.
ctx.value("user");
withValue(ctx, user, { name: "Ada" });
withValue(ctx, user, undefined);

// Who makes a context may end it; who is handed it may not.
const made = withTimeout(ctx, 5);
same<typeof made, CancelContext>(true);
const canceled = withCancel(ctx);
same<typeof canceled, CancelContext>(true);
// @ts-expect-error: a value's context has no cancel of its own.
withValue(made, retries, 1).cancel();
// @ts-expect-error: nor one that was let go.
withoutCancel(made).cancel();
// @ts-expect-error: contexts are read-only.
made.deadline = 5;

same<Context["err"], ServiceError | undefined>(true);
same<Context["cause"], unknown>(true);
same<Context["deadline"], number | undefined>(true);
const stop = afterFunc(ctx, () => {});
same<ReturnType<typeof stop>, boolean>(true);
