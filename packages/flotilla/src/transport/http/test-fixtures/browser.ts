// A page for a real browser, with Connect's client for the web in it. Node's ESM files go to the browser as they are, found
// through an import map, so that no bundler is needed.
import { readFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { stripTypeScriptTypes } from "node:module";
import type { AddressInfo } from "node:net";
import type { Client, Code, ConnectError } from "@connectrpc/connect";
import type { ConnectTransportOptions } from "@connectrpc/connect-web";
import { type Browser, chromium, type Page } from "playwright-core";
import { serverPath } from "../../../../../../scripts/servers.ts";
import type { ErrorInfoSchema } from "../../../../test/gen/google/rpc/error_details_pb.ts";
import type { Echo } from "../../../../test/gen/test/v1/echo_pb.ts";

/** What a function run in the page finds under the global name `kit`. */
export interface Kit {
  /** A client of Echo through connect-web. */
  echo(options: ConnectTransportOptions): Client<typeof Echo>;
  readonly ConnectError: typeof ConnectError;
  readonly Code: typeof Code;
  readonly ErrorInfoSchema: typeof ErrorInfoSchema;
}

declare global {
  var kit: Kit;
}

/** Packages whose files are served, by the names they are imported under. */
const packages = ["@bufbuild/protobuf", "@connectrpc/connect", "@connectrpc/connect-web"];
const imports = [
  ...packages,
  "@bufbuild/protobuf/codegenv2",
  "@bufbuild/protobuf/reflect",
  "@bufbuild/protobuf/wire",
  "@bufbuild/protobuf/wkt",
  "@connectrpc/connect/protocol",
  "@connectrpc/connect/protocol-connect",
  "@connectrpc/connect/protocol-grpc-web",
];
const generated = new Map(
  ["test/v1/echo_pb.ts", "google/rpc/error_details_pb.ts"].map((path) => [
    `/gen/${path}`,
    new URL(`../../../../test/gen/${path}`, import.meta.url),
  ]),
);
const roots = new Map(packages.map((name) => [`/modules/${name}/`, new URL(".", import.meta.resolve(name))]));

/** Where the page finds a module. */
function addressOf(specifier: string): string {
  const file = import.meta.resolve(specifier);
  for (const [path, root] of roots) if (file.startsWith(root.href)) return path + file.slice(root.href.length);
  throw new Error(`${specifier} is outside of the packages that are served`);
}

const PAGE = `<!doctype html><title>Test</title>
<script type="importmap">${JSON.stringify({ imports: Object.fromEntries(imports.map((name) => [name, addressOf(name)])) })}</script>
<script type="module">
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-web";
import { Echo } from "/gen/test/v1/echo_pb.ts";
import { ErrorInfoSchema } from "/gen/google/rpc/error_details_pb.ts";
globalThis.kit = { echo: (options) => createClient(Echo, createConnectTransport(options)), Code, ConnectError, ErrorInfoSchema };
</script>
<iframe src="/frame" sandbox="allow-scripts" name="sandboxed"></iframe>`;

async function answer(req: IncomingMessage, res: ServerResponse): Promise<void> {
  const path = req.url!;
  if (path === "/" || path === "/frame") {
    res.writeHead(200, { "content-type": "text/html; charset=utf-8", "set-cookie": "crumb=42; Path=/" });
    return void res.end(path === "/" ? PAGE : "<!doctype html><title>Frame</title>");
  }
  res.setHeader("content-type", "text/javascript");
  const types = generated.get(path);
  if (types !== undefined) return void res.end(stripTypeScriptTypes(await readFile(types, "utf8")));
  for (const [prefix, root] of roots) {
    if (path.startsWith(prefix)) return void res.end(await readFile(new URL(path.slice(prefix.length), root)));
  }
  res.writeHead(404).end();
}

/** A browser, and a server for the pages it shows. */
export interface Surfer extends AsyncDisposable {
  /** The origin of the page. */
  readonly origin: string;
  readonly page: Page;
}

/** Starts Chromium with one page, which is loaded. With `beside`: a page of another origin in the same browser. */
export async function surf(beside?: Surfer): Promise<Surfer> {
  const server = createServer((req, res) => {
    answer(req, res).catch((error: unknown) => res.writeHead(500).end(String(error)));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  let browser: Browser | undefined;
  let page: Page | undefined;
  const close = async (): Promise<void> => {
    if (page !== undefined) await page.close();
    await browser?.close();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  };
  try {
    let context = beside?.page.context();
    if (context === undefined) {
      browser = await chromium.launch({ executablePath: await serverPath("chromium"), args: ["--no-sandbox"] });
      context = await browser.newContext({ ignoreHTTPSErrors: true });
    }
    page = await context.newPage();
    await page.goto(origin);
    await page.waitForFunction(() => "kit" in globalThis);
    return { origin, page, [Symbol.asyncDispose]: close };
  } catch (error) {
    await close();
    throw error;
  }
}
