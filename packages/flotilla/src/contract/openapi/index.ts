export type {
  OpenApiContent,
  OpenApiDocument,
  OpenApiOperation,
  OpenApiParameter,
  OpenApiPath,
  OpenApiResponse,
  OpenApiServer,
} from "./document.ts";
export { type OpenApiOptions, openapi } from "./openapi.ts";
