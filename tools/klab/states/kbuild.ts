// SPDX-License-Identifier: GPL-2.0-only
/** What kernel/Kbuild.ts of a tree says about modules. */
import type { Tree } from "./tree.ts";

/** What kernel/Kbuild.ts of a tree says. */
export interface Kbuild {
  readonly modules: readonly { readonly name: string; readonly files: readonly string[] }[];
  readonly vmlinux?: readonly string[];
}

const TEST_MODULE = /^test\/modules\/([^/.]+)\.ts$/;

/** Every module of the tree with those of its files that exist. */
export function modulesOf(tree: Tree, kbuild: Kbuild): Map<string, string[]> {
  const modules = new Map(kbuild.modules.map((m) => [m.name, m.files.filter((file) => tree.has(file))]));
  for (const file of tree.keys()) {
    const name = TEST_MODULE.exec(file)?.[1];
    if (name !== undefined) modules.set(name, [file]);
  }
  return modules;
}
