// SPDX-License-Identifier: GPL-2.0-only
/** States: the base and the patches of a version, or a folder of the user's own, as a folder that can be loaded. */
import { readFileSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import type { SourceMapPayload } from "node:module";
import { dirname, join, resolve } from "node:path";
import { transform, type TransformOptions, transformSync, version as esbuildVersion } from "esbuild";
import { InputError } from "../errors.ts";
import { CACHE, PATCHES, ROOT } from "../paths.ts";
import { materialise } from "./cache.ts";
import { readCanary } from "./canaries.ts";
import { type Kbuild, modulesOf } from "./kbuild.ts";
import { isFolder, parseState } from "./names.ts";
import { applyTo, type Patch } from "./patch.ts";
import { readVersion, versionNames } from "./series.ts";
import { contentHash, readTree, type Tree } from "./tree.ts";

/** Where things are; the tests have their own. */
export interface Places {
  /** The base tree. */
  readonly root: string;
  readonly patches: string;
  readonly cache: string;
}
export const PLACES: Places = { root: ROOT, patches: PATCHES, cache: CACHE };

export interface State {
  /** "v1:4", "base", or the folder as it was given. */
  readonly name: string;
  /** null for the base and for a folder. */
  readonly version: string | null;
  readonly number: number;
  /** First line of the patch that makes it from the state before. */
  readonly subject: string;
  /** Files that this patch changes. */
  readonly files: readonly string[];
  /** Where it is on disk: read only. */
  readonly dir: string;
  readonly tree: Tree;
}

/** Changes whenever the same sources might be written out differently: with the code that does it. */
const LAYOUT = ["index.ts", "kbuild.ts", "link.ts", "../source/summary.ts", "../source/resolve.ts"]
  .map((name) => readFileSync(join(import.meta.dirname, name), "utf8"))
  .concat(esbuildVersion)
  .join("\0");

const translated = new Map<string, Promise<string>>();

/** TypeScript to JavaScript, file by file: types go, everything else stays. */
function translation(path: string): TransformOptions {
  return {
    loader: "ts",
    target: "es2023",
    sourcefile: path,
    tsconfigRaw: { compilerOptions: { verbatimModuleSyntax: true } },
  };
}
/** Where what translate() made of a file comes from. Not kept with the states: few runs show a line. */
export function sourceMapOf(path: string, text: string): SourceMapPayload {
  const { map } = transformSync(text, { ...translation(path), sourcemap: "external" });
  return JSON.parse(map) as SourceMapPayload;
}
function translate(path: string, text: string): Promise<string> {
  let code = translated.get(text);
  if (!code) {
    code = transform(text, translation(path)).then(
      (result) => result.code,
      (error: Error) => {
        throw new InputError(`${path} does not compile: ${error.message.split("\n")[1] ?? error.message}`);
      },
    );
    translated.set(text, code);
  }
  return code;
}

/** Writes files below `folder`. Settles only when nothing is being written any more, so that it can be removed then. */
async function writeAll(folder: string, files: ReadonlyMap<string, string>): Promise<void> {
  const folders = new Set([...files.keys()].map((path) => dirname(join(folder, path))));
  for (const path of folders) await mkdir(path, { recursive: true });
  // Read only: a state is made from the base and the patches, and never edited.
  const written = await Promise.allSettled(
    [...files].map(([path, text]) => writeFile(join(folder, path), text, { mode: 0o444 })),
  );
  for (const result of written) if (result.status === "rejected") throw result.reason;
}

/** What kernel/Kbuild.ts says. It imports nothing, so that it can be asked before there is a kernel. */
export async function kbuildOf(tree: Tree): Promise<Kbuild> {
  const code = await translate("kernel/Kbuild.ts", tree.get("kernel/Kbuild.ts") ?? "");
  const kbuild = (await import(`data:text/javascript,${encodeURIComponent(code)}`)) as Partial<Kbuild>;
  if (!Array.isArray(kbuild.modules)) throw new InputError("kernel/Kbuild.ts does not export `modules`");
  return kbuild as Kbuild;
}

/** One file that imports the rest in link order, on which the order of initcalls depends. */
function entry(tree: Tree, kbuild: Kbuild): string {
  const listed = [...(kbuild.vmlinux ?? []), ...kbuild.modules.flatMap((m) => m.files)];
  const files = [...new Set(listed)].filter((file) => tree.has(file));
  return [...files.map((file) => `import "../${file}";`), 'export * from "../kernel/lab.ts";', ""].join("\n");
}

async function fill(folder: string, tree: Tree): Promise<void> {
  const kbuild = await kbuildOf(tree);
  // The parser takes long to load, and most runs find their states made.
  const { linkTable } = await import("./link.ts");
  const testModules = [...modulesOf(tree, kbuild).values()].flat().filter((file) => file.startsWith("test/modules/"));
  const code = await Promise.all(
    [...tree]
      .filter(([path]) => path.endsWith(".ts"))
      .map(async ([path, text]) => [`.js/${path}.js`, await translate(path, text)] as const),
  );
  await writeAll(
    folder,
    new Map([
      ...tree,
      ...code,
      [".js/.klab/entry.ts.js", entry(tree, kbuild)],
      ["test-modules.json", JSON.stringify(testModules)],
      ["link.json", `${JSON.stringify(linkTable(tree, kbuild), null, 1)}\n`],
    ]),
  );
}

/** Puts a tree on disk. @made: told its folder if it was not there @return its folder */
export function materialiseTree(
  tree: Tree,
  places: Places = PLACES,
  made: (folder: string) => void = () => {},
): Promise<string> {
  const [root, hash] = [resolve(places.cache, "states"), contentHash(tree, LAYOUT)];
  return materialise(root, hash, async (folder) => {
    made(join(root, hash));
    // Whatever the checkout's own .gitignore says, none of this is to be committed.
    await writeFile(join(places.cache, ".gitignore"), "*\n");
    await fill(folder, tree);
  });
}

export interface SourceState {
  readonly name: string;
  readonly version: string | null;
  readonly number: number;
  readonly patch: Patch | null;
  readonly tree: Tree;
}

/** The states of a version from the base on, in memory; of a folder, the base and the folder. @throws InputError if a patch does not apply */
export async function sourcesOf(version: string, places: Places = PLACES): Promise<SourceState[]> {
  if (!versionNames(places.patches).includes(version) && isFolder(resolve(version))) {
    const base = { name: "base", version: null, number: 0, patch: null, tree: readTree(places.root) };
    return [base, { ...base, name: version, number: 1, tree: readTree(resolve(version)) }];
  }
  const { patches } = readVersion(version, places.patches);
  let tree = readTree(places.root);
  const states: SourceState[] = [{ name: `${version}:0`, version, number: 0, patch: null, tree }];
  for (const [i, patch] of patches.entries()) {
    tree = applyTo(tree, patch);
    states.push({ name: `${version}:${i + 1}`, version, number: i + 1, patch, tree });
  }
  return states;
}

async function sourceOf(text: string, places: Places): Promise<SourceState> {
  const name = parseState(text, places.patches);
  if (name.kind === "folder") {
    return { name: text, version: null, number: 0, patch: null, tree: readTree(name.folder) };
  }
  if (name.kind === "canary") {
    const patch = readCanary(name.canary, places.patches);
    const tree = applyTo(readTree(places.root), patch);
    return { name: text, version: null, number: 0, patch, tree };
  }
  if (name.version === null)
    return { name: "base", version: null, number: 0, patch: null, tree: readTree(places.root) };
  const found = (await sourcesOf(name.version, places))[name.number];
  if (!found) throw new InputError(`there is no state ${text}`);
  return found;
}

async function toDisk(source: SourceState, places: Places): Promise<State> {
  return {
    name: source.name,
    version: source.version,
    number: source.number,
    subject: source.patch?.subject ?? (source.number === 0 && source.version !== null ? "base" : source.name),
    files: source.patch?.changes.map((change) => change.path) ?? [],
    dir: await materialiseTree(source.tree, places),
    tree: source.tree,
  };
}

/** @text: `v1:4`, `v1`, `base`, `canary:NAME` or a folder. @throws InputError if there is no such state, or it cannot be made */
export async function state(text: string, places: Places = PLACES): Promise<State> {
  return toDisk(await sourceOf(text, places), places);
}

/** All states of a version, the base first. @made: told of each as soon as it can be used */
export async function statesOf(
  version: string,
  places: Places = PLACES,
  made: (state: State) => void = () => {},
): Promise<State[]> {
  const states: State[] = [];
  for (const source of await sourcesOf(version, places)) {
    const state = await toDisk(source, places);
    states.push(state);
    made(state);
  }
  return states;
}
