/**
 * What Flotilla needs of a validator: the Standard Schema interface, version 1 (https://standardschema.dev), which zod,
 * valibot, arktype and others implement. Declared here structurally, as the specification allows.
 */
export interface Schema<Input = unknown, Output = Input> {
  readonly "~standard": {
    readonly version: 1;
    readonly vendor: string;
    readonly validate: (value: unknown) => SchemaResult<Output> | Promise<SchemaResult<Output>>;
    readonly types?: { readonly input: Input; readonly output: Output } | undefined;
    /** Standard JSON Schema (version 1.1), where the validator has it. */
    readonly jsonSchema?:
      | {
          readonly input: (options: { readonly target: "draft-2020-12" }) => Record<string, unknown>;
          readonly output: (options: { readonly target: "draft-2020-12" }) => Record<string, unknown>;
        }
      | undefined;
  };
}

/** Outcome of a schema's `validate`. */
export type SchemaResult<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | { readonly issues: readonly SchemaIssue[] };

/** One thing wrong with a value. */
export interface SchemaIssue {
  readonly message: string;
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}

/** What a schema accepts. */
export type InputOf<S extends Schema> = NonNullable<S["~standard"]["types"]>["input"];

/** What a schema gives after validation. */
export type OutputOf<S extends Schema> = NonNullable<S["~standard"]["types"]>["output"];
