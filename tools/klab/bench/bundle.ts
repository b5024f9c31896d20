// SPDX-License-Identifier: GPL-2.0-only
/**
 * Kernel code to be measured, as one file of its own: with nothing else of the tree, whose statics and initcalls each boot would
 * count, and without what the loader of the tools adds to every function.
 */
import { createHash } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { build } from "esbuild";
import { CACHE } from "../paths.ts";
import type * as inKernel from "./in-kernel.ts";
import type * as model from "./model.ts";

/**
 * @entry: an absolute path; no file that it needs may be a module's, for these ask for their own name.
 * @copy: each is code of its own to the host, which makes it fast for what it does, as in a process of its own. @return what it exports
 */
export async function loadBundle(entry: string, copy = 0): Promise<object> {
  const { outputFiles } = await build({
    entryPoints: [entry],
    bundle: true,
    write: false,
    format: "esm",
    platform: "node",
    target: "es2023",
  });
  const text = outputFiles[0]?.text ?? "";
  const name = createHash("sha256").update(text).digest("hex").slice(0, 32);
  const folder = join(CACHE, "bench");
  await mkdir(folder, { recursive: true });
  const file = join(folder, `${name}.mjs`);
  await writeFile(file, text);
  return (await import(`${pathToFileURL(file).href}?${copy}`)) as object;
}

/** model.ts, bundled. */
export async function loadModel(copy: number): Promise<typeof model> {
  return (await loadBundle(join(import.meta.dirname, "model.ts"), copy)) as typeof model;
}
/** in-kernel.ts, bundled. */
export async function loadInKernel(): Promise<typeof inKernel> {
  return (await loadBundle(join(import.meta.dirname, "in-kernel.ts"))) as typeof inKernel;
}
