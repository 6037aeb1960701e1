/** The part of package.json that decides what others can import. */
export interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly files: readonly string[];
  readonly exports: Readonly<Record<string, unknown>>;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly peerDependencies?: Readonly<Record<string, string>>;
}

/** What is wrong with the versions of packages that are published together: all have that of the toolkit, the first, and ask for it. */
export function versionViolations(manifests: readonly Manifest[]): string[] {
  const [toolkit, ...others] = manifests as [Manifest, ...Manifest[]];
  return others.flatMap(({ name, version, peerDependencies }) => {
    const found: string[] = [];
    if (version !== toolkit.version)
      found.push(`${name} is ${version}, and ${toolkit.name} ${toolkit.version}: one version for all`);
    const asked = peerDependencies?.[toolkit.name];
    if (asked !== toolkit.version)
      found.push(`${name} must have the peer dependency ${toolkit.name} ${toolkit.version}, not ${asked}`);
    return found;
  });
}

/**
 * What is wrong with the exports map: each public folder (one with an `index.ts`) has one subpath, and each subpath a folder.
 *
 * @param indexes - paths of every `src/**\/index.ts`, from the package's folder
 */
export function exportsViolations(manifest: Manifest, indexes: readonly string[]): string[] {
  const found: string[] = [];
  const sources = new Set<string>();
  for (const [subpath, conditions] of Object.entries(manifest.exports)) {
    if (subpath === "./package.json") continue;
    const source = (conditions as Record<string, string>)["@flotilla/source"] ?? "";
    sources.add(source);
    const stem = /^\.\/src\/(.+)\.ts$/.exec(source)?.[1];
    const expected = { "@flotilla/source": source, types: `./dist/${stem}.d.ts`, default: `./dist/${stem}.js` };
    // The text, and not the value: the order of conditions decides which one is taken.
    if (stem === undefined || JSON.stringify(conditions) !== JSON.stringify(expected)) {
      found.push(
        `exports["${subpath}"] must be ${JSON.stringify({ ...expected, "@flotilla/source": "./src/…/index.ts" })}, in this order`,
      );
    } else if (!indexes.includes(source.slice(2))) {
      found.push(`exports["${subpath}"] names ${source}, which does not exist`);
    }
  }
  for (const index of indexes) {
    if (!sources.has(`./${index}`)) found.push(`${index} is a public face without a subpath in exports`);
  }
  return found;
}

const PUBLISHED = [
  /^package\.json$/,
  /^README\.md$/,
  /^LICENSE$/,
  /^dist\/.+\.(?:js|d\.ts)(?:\.map)?$/,
  /^src\/.+\.ts$/,
];
const TEST = /(?:^|[/.])(?:test|type-test|test-fixtures)[/.]/;

/** What is wrong with the list of files of the packed tarball. */
export function packedViolations(manifest: Manifest, packed: readonly string[]): string[] {
  const files = new Set(packed);
  const found: string[] = [];
  for (const path of packed) {
    if (TEST.test(path)) found.push(`${path} is a test and would be published`);
    else if (!PUBLISHED.some((pattern) => pattern.test(path)))
      found.push(`${path} would be published, and nothing says why`);
  }
  for (const required of ["README.md", "LICENSE"]) {
    if (!files.has(required)) found.push(`${required} is missing from the package`);
  }
  for (const conditions of Object.values(manifest.exports)) {
    for (const path of Object.values(conditions as Record<string, string>)) {
      if (!files.has(path.slice(2))) found.push(`exports names ${path}, which is not in the package`);
    }
  }
  for (const entry of manifest.files) {
    if (!entry.startsWith("!") && !packed.some((path) => path === entry || path.startsWith(`${entry}/`))) {
      found.push(`files lists ${entry}, which matches nothing`);
    }
  }
  return found;
}
