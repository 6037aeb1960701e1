import { lstat, mkdir } from "node:fs/promises";
import { tmpdir, userInfo } from "node:os";
import { join, resolve } from "node:path";
import { ServiceError } from "../../errors/service-error.ts";
import { errno, folderError } from "./failure.ts";

/** The folder of a registry, not touched until it is needed. */
export interface Root {
  readonly dir: string;
  /** Makes the folder, mode 0700, unless it is there; where the choice was not the user's, checks that nobody else owns it. */
  prepare(): Promise<void>;
}

/**
 * The folder that was chosen, else `FLOTILLA_REGISTRY`, else `flotilla-registry-<user>` in the system's temporary folder: a
 * local disk, emptied by a restart of the machine, and the same for all sessions of a user.
 */
export function registryRoot(dir: string | undefined, env: NodeJS.ProcessEnv = process.env): Root {
  const chosen = dir ?? (env["FLOTILLA_REGISTRY"] || undefined);
  if (chosen !== undefined) {
    const path = resolve(chosen);
    return {
      dir: path,
      async prepare() {
        await mkdir(path, { recursive: true, mode: 0o700 });
      },
    };
  }
  // Windows has no user ids; its temporary folder is each user's own.
  const user = process.getuid?.() ?? userInfo().username.replaceAll(/[^A-Za-z0-9_-]/g, "_");
  const path = join(tmpdir(), `flotilla-registry-${user}`);
  return { dir: path, prepare: () => prepareShared(path) };
}

/** In a folder that everybody may write to, another user may have been there first. */
async function prepareShared(path: string): Promise<void> {
  try {
    await mkdir(path, { mode: 0o700 });
    return;
  } catch (error) {
    if (errno(error) !== "EEXIST") throw error;
  }
  const found = await lstat(path);
  const uid = process.getuid?.();
  if (!found.isDirectory()) throw folderError("keep leases", path, Object.assign(new Error(), { code: "ENOTDIR" }));
  if (uid !== undefined && (found.uid !== uid || (found.mode & 0o022) !== 0)) {
    const why = found.uid === uid ? `others may write to it (chmod 700 ${path})` : "it belongs to another user";
    const mend = "mend that, or choose another folder with FLOTILLA_REGISTRY or the dir option";
    throw new ServiceError("unavailable", `embedded registry: cannot keep leases in ${path}: ${why}: ${mend}`);
  }
}
