import { join } from "node:path";
import { Child } from "../lib/child.ts";
import type { Scenario } from "../lib/scenario.ts";
import { loadedServers } from "./http.ts";

/** A reverse proxy in front of `bare`, which has a process of its own, on the core of the load generator. */
export const proxy: Scenario = {
  name: "proxy",
  summary: "the POST of http through a reverse proxy over 64 connections: one proxy process a row",
  reference: "http-proxy",
  unit: "req/s",
  better: "more",
  rows: {
    flotilla: "flotilla/proxy over a channel, with all its defaults",
    fastify: "@fastify/http-proxy, over undici",
    "http-proxy": "http-proxy, with a keep-alive agent",
  },
  seconds: 0.4,
  rounds: 31,
  fine: true,
  async stage(machine, fine) {
    const upstream = new Child("upstream", machine.loadCpus, join(import.meta.dirname, "..", "servers", "bare.ts"));
    try {
      const { port } = await upstream.ask<{ port: number }>(undefined);
      const open = loadedServers(machine, fine);
      return {
        open: (row) => open(`proxy-${row}`, [`http://127.0.0.1:${port}`]),
        close: () => upstream.close(),
      };
    } catch (error) {
      await upstream.close();
      throw error;
    }
  },
};
