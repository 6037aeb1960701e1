import { randomBytes } from "node:crypto";
import { constants, type Stats } from "node:fs";
import { type FileHandle, lstat, lutimes, mkdir, open, opendir, rename, unlink } from "node:fs/promises";
import { join } from "node:path";
import { errno } from "./failure.ts";
import { type Lease, leaseText, MAX_LEASE_BYTES, parseLease } from "./lease.ts";
import { draftName } from "./names.ts";

/** Through no link, and without waiting for the other end of a pipe. Windows knows neither flag. */
const READ_FLAGS = constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0);

/** What tells one state of a file or folder from another. */
export interface Stamp {
  readonly inode: number;
  readonly size: number;
  /** Modification time, milliseconds since the epoch, fractional. */
  readonly mtimeMs: number;
  /** Neither a link nor a folder, pipe or device. */
  readonly plain: boolean;
}

/**
 * The files of one service's leases. All that touches the disk is here; nothing here judges time.
 *
 *     <dir>/calc.v1.Calculator/            0700
 *       7f3a~0f1e2d3c4b5a6978.json         a lease: written once, then only touched (heartbeat = modification time)
 *       .0f1e2d3c4b5a6978.<random>.tmp     a draft about to be renamed to a lease, or a lease about to be swept
 *
 * A file becomes a lease by a rename within the folder, so whoever reads sees a whole lease or none. Nothing is synced to
 * the disk: a lease that did not survive a power failure belongs to a process that did not either. Only the owner of a token
 * writes, touches and removes its file; others sweep it once it has run out.
 */
export class LeaseFolder {
  readonly path: string;
  readonly #service: string;
  readonly #prepare: () => Promise<void>;

  /** @param prepare - makes the registry's own folder and checks it. */
  constructor(path: string, service: string, prepare: () => Promise<void>) {
    this.path = path;
    this.#service = service;
    this.#prepare = prepare;
  }

  /** Makes the folder, for this user alone, unless it is there. */
  async make(): Promise<void> {
    await this.#prepare();
    try {
      await mkdir(this.path, { mode: 0o700 });
    } catch (error) {
      if (errno(error) !== "EEXIST") throw error;
    }
    if (!(await lstat(this.path)).isDirectory()) throw Object.assign(new Error("not a folder"), { code: "ENOTDIR" });
  }

  /** The folder's own stamp; undefined when it is missing. */
  stamp(): Promise<Stamp | undefined> {
    return stampOf(lstat(this.path));
  }

  /** The names in the folder, `limit + 1` at most, so that a flood of files cannot take the memory; none when it is missing. */
  async list(limit: number): Promise<string[]> {
    const names: string[] = [];
    try {
      for await (const entry of await opendir(this.path, { bufferSize: 256 })) {
        names.push(entry.name);
        if (names.length > limit) break;
      }
    } catch (error) {
      if (errno(error) !== "ENOENT") throw error;
    }
    return names;
  }

  /** A file's stamp; undefined when it is missing. */
  look(name: string): Promise<Stamp | undefined> {
    return stampOf(lstat(join(this.path, name)));
  }

  /** The lease in a file; in words why it is none; or undefined when the file is missing. Follows no link, waits on no pipe. */
  async read(name: string): Promise<Lease | string | undefined> {
    let file: FileHandle | undefined;
    try {
      file = await open(join(this.path, name), READ_FLAGS);
      const found = await file.stat();
      if (!found.isFile()) return "it is not a plain file";
      if (found.size > MAX_LEASE_BYTES) return `it has ${found.size} bytes; a lease has at most ${MAX_LEASE_BYTES}`;
      const buffer = Buffer.alloc(MAX_LEASE_BYTES);
      const { bytesRead } = await file.read(buffer, 0, MAX_LEASE_BYTES, 0);
      return parseLease(buffer.toString("utf8", 0, bytesRead), this.#service, name);
    } catch (error) {
      switch (errno(error)) {
        case "ENOENT":
          return undefined;
        case "ELOOP":
          return "it is a symbolic link";
        case "EACCES":
        case "EPERM":
        case "ENXIO":
          return `it cannot be opened (${errno(error)})`;
        default:
          throw error;
      }
    } finally {
      await file?.close();
    }
  }

  /** Writes a lease whole, or leaves everything as it was. */
  async write(name: string, lease: Lease, epochMs: number): Promise<Stamp> {
    const draft = join(this.path, draftName(lease.token, unique()));
    try {
      const file = await open(draft, "wx", 0o600);
      try {
        await file.writeFile(leaseText(lease));
        await file.utimes(epochMs / 1000, epochMs / 1000);
      } finally {
        await file.close();
      }
      const written = await stampOf(lstat(draft));
      await rename(draft, join(this.path, name));
      if (written === undefined) throw Object.assign(new Error(`${draft} vanished`), { code: "ENOENT" });
      return written;
    } catch (error) {
      // A full disk leaves a truncated draft, which would only make it fuller.
      await unlink(draft).catch(() => {});
      throw error;
    }
  }

  /** A heartbeat. Needs no space on the disk, so a full one ends no lease. @throws ENOENT when somebody removed the file. */
  touch(name: string, epochMs: number): Promise<void> {
    return lutimes(join(this.path, name), epochMs / 1000, epochMs / 1000);
  }

  /** Removes a file; false when it was gone already. */
  async remove(name: string): Promise<boolean> {
    try {
      await unlink(join(this.path, name));
      return true;
    } catch (error) {
      if (errno(error) === "ENOENT") return false;
      throw error;
    }
  }

  /**
   * Removes the file of a lease that ran out, unless its owner has renewed it since `seen`: of many that sweep one file, the
   * rename lets one go on, which looks again once nobody else can change the file, and puts it back if it is alive after all.
   */
  async sweep(name: string, token: string, seen: Stamp): Promise<boolean> {
    const draft = draftName(token, unique());
    try {
      await rename(join(this.path, name), join(this.path, draft));
    } catch (error) {
      if (errno(error) === "ENOENT") return false;
      throw error;
    }
    const now = await this.look(draft);
    if (now !== undefined && (now.mtimeMs !== seen.mtimeMs || now.inode !== seen.inode)) {
      // Should the owner have written it anew meanwhile, this overwrites it with the very same text.
      await rename(join(this.path, draft), join(this.path, name));
      return false;
    }
    return this.remove(draft);
  }
}

async function stampOf(looking: Promise<Stats>): Promise<Stamp | undefined> {
  try {
    const found = await looking;
    return { inode: found.ino, size: found.size, mtimeMs: found.mtimeMs, plain: found.isFile() };
  } catch (error) {
    if (errno(error) === "ENOENT") return undefined;
    throw error;
  }
}

/** Sixteen hexadecimal digits that no other process has. */
export function unique(): string {
  return randomBytes(8).toString("hex");
}
