import { implement } from "../../../../service/implement.ts";
import { jsonRpc } from "../../json-rpc/server.ts";
import { Freight, freight } from "../../test-fixtures/freight.ts";
import { lambda } from "../lambda.ts";

export const handler = lambda({ serve: [implement(Freight, freight())], protocols: [jsonRpc()] });
