import { ServiceError } from "../../errors/service-error.ts";

const elsewhere = "or choose another folder with FLOTILLA_REGISTRY or the dir option";

const remedies: Readonly<Record<string, string>> = {
  ENOSPC: `the disk is full (or out of inodes): free some space there, ${elsewhere}`,
  EDQUOT: `this user's disk quota is used up: free some space there, ${elsewhere}`,
  EROFS: `the file system is read-only: remount it, ${elsewhere}`,
  EACCES: `this user may not: mend the folder's owner and mode, ${elsewhere}`,
  EPERM: `this user may not: mend the folder's owner and mode, ${elsewhere}`,
  ENOTDIR: `a part of the path is no folder: remove what is in the way, ${elsewhere}`,
  EEXIST: `a part of the path is no folder: remove what is in the way, ${elsewhere}`,
  ELOOP: `a part of the path is a symbolic link: remove it, ${elsewhere}`,
  ENAMETOOLONG: "the path is too long: choose a shorter dir",
  EMFILE: "this process has too many files open: raise its limit (ulimit -n)",
  ENFILE: "the system has too many files open: raise its limit (fs.file-max)",
  EIO: `the disk fails: see the system's log, ${elsewhere}`,
};

/** The code of an error of the file system, or undefined. */
export function errno(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException | undefined)?.code;
}

/**
 * A failure of the file system as the caller sees it: what was tried, where, why it failed and how to mend it.
 *
 * @param doing - what was tried: `write the lease of calc/7`.
 */
export function folderError(doing: string, path: string, error: unknown): ServiceError {
  if (error instanceof ServiceError) return error;
  const code = errno(error);
  const why =
    (code === undefined ? undefined : remedies[code]) ?? (error instanceof Error ? error.message : String(error));
  const shown = code === undefined ? "" : ` (${code})`;
  return new ServiceError("unavailable", `embedded registry: cannot ${doing} in ${path}: ${why}${shown}`, {
    cause: error,
  });
}
