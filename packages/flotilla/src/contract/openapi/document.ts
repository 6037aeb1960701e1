import type { JsonSchema } from "../../endpoint/message-type.ts";

/** An OpenAPI 3.1 document, as far as {@link openapi} writes it: a plain object, ready for `JSON.stringify`. */
export interface OpenApiDocument {
  readonly openapi: "3.1.1";
  readonly info: { readonly title: string; readonly version: string; readonly description?: string };
  readonly servers?: readonly OpenApiServer[];
  readonly tags: readonly { readonly name: string; readonly description?: string }[];
  readonly paths: Readonly<Record<string, OpenApiPath>>;
  readonly components: {
    readonly schemas: Readonly<Record<string, JsonSchema>>;
    readonly responses: Readonly<Record<string, OpenApiResponse>>;
  };
}

/** Where the API is served. */
export interface OpenApiServer {
  /** `https://api.example.com`, or relative to the document. */
  readonly url: string;
  readonly description?: string;
}

/** What can be done at one path. */
export type OpenApiPath = { readonly [verb in "get" | "post" | "put" | "patch" | "delete"]?: OpenApiOperation };

/** One operation. */
export interface OpenApiOperation {
  readonly operationId: string;
  readonly tags: readonly string[];
  readonly description?: string;
  readonly parameters?: readonly OpenApiParameter[];
  readonly requestBody?: { readonly required: boolean; readonly content: OpenApiContent };
  readonly responses: Readonly<Record<string, OpenApiResponse | { readonly $ref: string }>>;
}

/** A part of a request outside its body: described by a schema, or as JSON by `content`. */
export interface OpenApiParameter {
  readonly name: string;
  readonly in: "path" | "query" | "header";
  readonly required?: boolean;
  readonly description?: string;
  readonly schema?: JsonSchema;
  readonly content?: OpenApiContent;
}

/** Bodies by media type. `x-message` is the schema of each message in a stream, whose frames no schema can describe. */
export type OpenApiContent = Readonly<
  Record<string, { readonly schema?: JsonSchema; readonly "x-message"?: JsonSchema }>
>;

/** One answer. */
export interface OpenApiResponse {
  readonly description: string;
  readonly headers?: Readonly<Record<string, { readonly description?: string; readonly schema: JsonSchema }>>;
  readonly content?: OpenApiContent;
}
