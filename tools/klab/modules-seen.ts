// SPDX-License-Identifier: GPL-2.0-only
/**
 * Which modules a run has to do with. What lies in files of other modules cannot matter to it: at file scope they only
 * declare, and nothing of them runs before somebody loads them.
 */
import { createHash } from "node:crypto";
import { kbuildOf } from "./states/index.ts";
import { modulesOf } from "./states/kbuild.ts";
import type { Tree } from "./states/tree.ts";

interface Images {
  // eslint-disable-next-line @typescript-eslint/naming-convention -- the kernel's name
  module_images?(): ReadonlyMap<string, object>;
}

const watched = new WeakMap<object, Set<string>>();

/** Notes from now on which modules a kernel is asked for by name, and whose aliases are looked at. @return their names, which grow */
export function watchModules(kernel: object): Set<string> {
  const known = watched.get(kernel);
  if (known) return known;
  const seen = new Set<string>();
  watched.set(kernel, seen);
  const images = (kernel as Images).module_images?.() as Map<string, object> | undefined;
  if (!images) return seen;
  const get = Map.prototype.get.bind(images) as (name: string) => object | undefined;
  images.get = (name) => (seen.add(name), get(name));
  for (const [name, module] of images) {
    const { aliases } = module as { aliases?: unknown };
    Object.defineProperty(module, "aliases", { configurable: true, get: () => (seen.add(name), aliases) });
  }
  return seen;
}

/**
 * Names the content of a tree without the files that belong to other modules alone. @modules: those that matter
 * @return null if one of them is out of tree: whether it can be loaded at all depends on whatever it imports
 */
export async function contentFor(tree: Tree, modules: readonly string[]): Promise<string | null> {
  if (modules.some((name) => tree.has(`test/modules/${name}.ts`))) return null;
  const owners = new Map<string, string[]>();
  for (const [name, files] of modulesOf(tree, await kbuildOf(tree)))
    for (const file of files) owners.set(file, [...(owners.get(file) ?? []), name]);
  const hash = createHash("sha256");
  for (const [path, text] of tree) {
    const of = owners.get(path);
    if (of && !of.some((name) => modules.includes(name))) continue;
    hash.update(`\0${path}\0${Buffer.byteLength(text)}\0`).update(text);
  }
  return hash.digest("hex");
}
