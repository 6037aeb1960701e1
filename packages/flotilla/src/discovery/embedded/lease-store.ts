import { randomBytes } from "node:crypto";
import { constants } from "node:fs";
import { mkdir, open, readdir, rename, stat, unlink, utimes } from "node:fs/promises";
import { join } from "node:path";
import type { Instance } from "../../endpoint/instance.ts";
import { ServiceError } from "../../errors/service-error.ts";

/** A lease larger than this is not one of ours. */
const MAX_LEASE_BYTES = 16 * 1024;

/** At most so many instances of one service are read. */
const MAX_INSTANCES = 10_000;

const MAX_NAME = 200;
const SUFFIX = ".json";

/** A lease as it lies on disk. Its modification time is its last heartbeat. */
export interface Lease {
  readonly instance: Instance;
  readonly ttlMs: number;
  /** Last heartbeat, milliseconds since the epoch. */
  readonly beatMs: number;
}

/** Leases in a folder: `<dir>/<service>/<instance id>.json`, each written whole and renamed into place. */
export class LeaseStore {
  readonly #dir: string;

  constructor(dir: string) {
    this.#dir = dir;
  }

  /** The folder of a service. @throws ServiceError `invalid_argument` for a name that cannot be one. */
  folder(service: string): string {
    return join(this.#dir, fileName("service", service));
  }

  /** The file of a lease. @throws ServiceError `invalid_argument` for a name that cannot be one. */
  file(service: string, id: string): string {
    return join(this.folder(service), fileName("instance id", id) + SUFFIX);
  }

  /** Makes the folder of a service, readable by this user alone. */
  async makeFolder(service: string): Promise<string> {
    const folder = this.folder(service);
    await mkdir(folder, { recursive: true, mode: 0o700 });
    return folder;
  }

  /** Writes a lease in one step: whoever reads sees it whole or not at all. */
  async write(service: string, instance: Instance, ttlMs: number): Promise<void> {
    const file = this.file(service, instance.id);
    const text = JSON.stringify({ version: 1, ttlMs, instance });
    if (Buffer.byteLength(text) > MAX_LEASE_BYTES) {
      throw new ServiceError(
        "invalid_argument",
        `instance ${instance.id} has more than ${MAX_LEASE_BYTES} bytes of metadata`,
      );
    }
    await this.makeFolder(service);
    const draft = `${file}.${randomBytes(6).toString("hex")}.tmp`;
    try {
      const handle = await open(draft, "wx", 0o600);
      try {
        await handle.writeFile(text);
      } finally {
        await handle.close();
      }
      await rename(draft, file);
    } catch (error) {
      // A full disk leaves a truncated draft; nobody else would remove it soon.
      await unlink(draft).catch(ignoreMissing);
      throw error;
    }
  }

  /** Renews a lease: touches its file, which needs no space on the disk. @throws ENOENT when somebody removed it. */
  async beat(service: string, id: string, epochMs: number): Promise<void> {
    await utimes(this.file(service, id), epochMs / 1000, epochMs / 1000);
  }

  /** Removes a lease; one that is gone already is fine. */
  async remove(service: string, id: string): Promise<void> {
    await unlink(this.file(service, id)).catch(ignoreMissing);
  }

  /** The names of all lease files of a service. A service that was never registered has none. */
  async list(service: string): Promise<string[]> {
    const names = await readdir(this.folder(service)).catch((error: unknown) => {
      ignoreMissing(error);
      return [];
    });
    return names.filter((name) => name.endsWith(SUFFIX)).slice(0, MAX_INSTANCES);
  }

  /** Last heartbeat of a lease file, or undefined when it is gone or no plain file. */
  async beatOf(service: string, name: string): Promise<number | undefined> {
    try {
      return (await stat(join(this.folder(service), name))).mtimeMs;
    } catch (error) {
      ignoreMissing(error);
      return undefined;
    }
  }

  /**
   * Reads a lease file; undefined when it is gone.
   *
   * @throws Error saying what is wrong with it, when it is not a lease of ours.
   */
  async read(service: string, name: string): Promise<Lease | undefined> {
    const path = join(this.folder(service), name);
    let handle: Awaited<ReturnType<typeof open>>;
    try {
      // Never through a link: the folder holds plain files only.
      handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    } catch (error) {
      ignoreMissing(error);
      return undefined;
    }
    try {
      const info = await handle.stat();
      if (!info.isFile()) throw new Error("is not a plain file");
      if (info.size > MAX_LEASE_BYTES) throw new Error(`is larger than ${MAX_LEASE_BYTES} bytes`);
      return parseLease(await handle.readFile("utf8"), name, info.mtimeMs);
    } finally {
      await handle.close();
    }
  }

  /** Removes a lease file that ran out, unless it was renewed since. */
  async sweep(service: string, name: string, beatMs: number): Promise<void> {
    if ((await this.beatOf(service, name)) !== beatMs) return;
    // Renewed in this very instant: its owner finds it missing at the next heartbeat and writes it again.
    await unlink(join(this.folder(service), name)).catch(ignoreMissing);
  }
}

function parseLease(text: string, name: string, beatMs: number): Lease {
  const { version, ttlMs, instance } = (JSON.parse(text) ?? {}) as Partial<{
    version: number;
    ttlMs: number;
    instance: Instance;
  }>;
  if (version !== 1) throw new Error("is of an unknown version");
  if (typeof ttlMs !== "number" || !(ttlMs > 0)) throw new Error("has no ttlMs");
  if (typeof instance?.id !== "string" || typeof instance.address !== "string") throw new Error("has no instance");
  if (fileName("instance id", instance.id) + SUFFIX !== name) throw new Error(`belongs to instance ${instance.id}`);
  return { instance: Object.freeze(instance), ttlMs, beatMs };
}

/** A name as a file name: no separators, no `.` and `..`, and never longer than a file system allows. */
function fileName(what: string, name: string): string {
  const safe = encodeURIComponent(name).replaceAll("*", "%2A");
  if (/^\.*$/.test(name) || safe.length > MAX_NAME) {
    throw new ServiceError(
      "invalid_argument",
      `${what} ${JSON.stringify(name.slice(0, 64))} cannot be registered: give it 1 to ${MAX_NAME} plain characters`,
    );
  }
  return safe;
}

function ignoreMissing(error: unknown): void {
  if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
}

/** What a failure of the file system means, and how to mend it. */
export function storeError(dir: string, doing: string, error: unknown): ServiceError {
  if (error instanceof ServiceError) return error;
  const { code, message } = error as NodeJS.ErrnoException;
  const why =
    code === "ENOSPC" || code === "EDQUOT"
      ? "the disk is full: free some space"
      : code === "EROFS" || code === "EACCES" || code === "EPERM"
        ? "the folder is not writable by this user: choose another with FLOTILLA_REGISTRY or the dir option"
        : message;
  return new ServiceError("unavailable", `embedded registry: cannot ${doing} in ${dir}: ${why}`, { cause: error });
}
