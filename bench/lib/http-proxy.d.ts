// As much of it as is used: it has no types of its own.
declare module "http-proxy" {
  import type { Agent, IncomingMessage, ServerResponse } from "node:http";

  const httpProxy: {
    readonly createProxyServer: (options: { target: string; agent: Agent; xfwd: boolean }) => {
      web(req: IncomingMessage, res: ServerResponse): void;
    };
  };
  export default httpProxy;
}
