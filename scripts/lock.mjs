import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** The file in which npm keeps what it installed; written last, so that an interrupted install leaves none. */
const INSTALLED = "node_modules/.package-lock.json";

/**
 * What sets node_modules apart from package-lock.json, in words; empty when it is as locked.
 *
 * @param {string} root - the folder of package-lock.json
 * @returns {string[]}
 */
export function lockDifferences(root) {
  if (!existsSync(join(root, INSTALLED))) return ["node_modules is missing or incomplete"];
  const wanted = packagesOf(join(root, "package-lock.json"));
  const installed = packagesOf(join(root, INSTALLED));
  const differences = [];
  for (const [path, entry] of Object.entries(wanted)) {
    if (!path.includes("node_modules/") || mayBeAbsent(entry, installed[path])) continue;
    const found = installed[path];
    if (found === undefined || !existsSync(join(root, path))) differences.push(`${path} is not installed`);
    else if (!same(entry, found)) differences.push(`${path} is ${found.version}, locked is ${entry.version}`);
  }
  for (const [path, entry] of Object.entries(installed)) {
    if (path.includes("node_modules/") && wanted[path] === undefined && !entry.optional && !entry.extraneous) {
      differences.push(`${path} is installed but not in package-lock.json`);
    }
  }
  return differences;
}

function packagesOf(file) {
  return JSON.parse(readFileSync(file, "utf8")).packages ?? {};
}

/** Optional packages are left out on the platforms they are not for. */
function mayBeAbsent(entry, found) {
  return found === undefined && (entry.optional || entry.devOptional || entry.peer);
}

function same(entry, found) {
  if (entry.link) return found.link === true && entry.resolved === found.resolved;
  return entry.version === found.version && entry.integrity === found.integrity;
}
