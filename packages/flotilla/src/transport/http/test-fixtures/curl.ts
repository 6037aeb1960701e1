import { execFile } from "node:child_process";

/** What curl got. */
export interface CurlAnswer {
  readonly status: number;
  /** `1.1` or `2`. */
  readonly version: string;
  /** The last value of each header, names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** Runs the curl on the path. @throws Error with curl's own words when it fails. */
export function curl(...args: string[]): Promise<CurlAnswer> {
  const write = "\n%{stderr}%{http_code} %{http_version}\n%{header_json}";
  return new Promise((resolve, reject) => {
    execFile(
      "curl",
      ["--silent", "--show-error", "--max-time", "20", "--write-out", write, ...args],
      { encoding: "buffer", maxBuffer: 64 * 1024 * 1024 },
      (error, stdout, stderr) => {
        if (error !== null && error.code !== 0)
          return reject(new Error(`curl: ${stderr.toString()}`, { cause: error }));
        const said = stderr.toString("utf8");
        const [line, ...json] = said.split("\n");
        const [status, version] = line!.split(" ");
        const raw = JSON.parse(json.join("\n")) as Record<string, string[]>;
        const headers = Object.fromEntries(
          Object.entries(raw).map(([name, values]) => [name.toLowerCase(), values.at(-1)!]),
        );
        resolve({ status: Number(status), version: version!, headers, body: stdout.toString("utf8").slice(0, -1) });
      },
    );
  });
}
