// SPDX-License-Identifier: GPL-2.0-only
/** Loading states: each is a module graph of its own, and any number of them live side by side in one process. */
import { readFileSync } from "node:fs";
import { register } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { InputError } from "../errors.ts";
import type * as lab from "../../../kernel/lab.ts";
import type { LinkTable } from "./link.ts";

/** What kernel/lab.ts of a state exports; the base's types stand for all of them. */
export type Kernel = typeof lab;

interface Linkable {
  // eslint-disable-next-line @typescript-eslint/naming-convention -- the kernel's name
  set_link_table?(table: LinkTable): void;
}

export interface LoadedState {
  readonly kernel: Kernel;
  /** Files of test/modules/ that do not compile against this state, with the reason: part of what there is to find out. */
  readonly broken: ReadonlyMap<string, string>;
}

const loaded = new Map<string, Promise<LoadedState>>();
let hooked = false;

async function load(dir: string): Promise<LoadedState> {
  if (!hooked) register("./hooks.mjs", import.meta.url);
  hooked = true;
  const root = pathToFileURL(`${dir}/`).href;
  const kernel = (await import(`${root}.klab/entry.ts`)) as Kernel;
  const broken = new Map<string, string>();
  for (const file of JSON.parse(readFileSync(join(dir, "test-modules.json"), "utf8")) as string[]) {
    try {
      await import(root + file);
    } catch (error) {
      broken.set(file, error instanceof Error ? error.message : String(error));
    }
  }
  const link = JSON.parse(readFileSync(join(dir, "link.json"), "utf8")) as LinkTable;
  (kernel as Linkable).set_link_table?.(link);
  return { kernel, broken };
}

/**
 * Loads a state, once for each process. @dir: its folder, as state() gives it
 * @throws what the state's own code throws while it is evaluated
 */
export function loadKernel(dir: string): Promise<LoadedState> {
  let done = loaded.get(dir);
  if (!done) loaded.set(dir, (done = load(dir)));
  return done;
}

/** The kernel of a state. @throws InputError if it cannot be loaded */
export async function loadState(state: { readonly name: string; readonly dir: string }): Promise<Kernel> {
  try {
    return (await loadKernel(state.dir)).kernel;
  } catch (error) {
    throw new InputError(`${state.name} cannot be loaded: ${error instanceof Error ? error.message : String(error)}`);
  }
}
