// SPDX-License-Identifier: GPL-2.0-only
/** Where the project keeps its things. */
import { resolve } from "node:path";

/** The checkout that this command line belongs to. */
export const ROOT = resolve(import.meta.dirname, "../..");
export const PATCHES = resolve(ROOT, "patches");
export const EXPECTED = resolve(PATCHES, "expected");
/** Everything that can be made again; ignored by git. */
export const CACHE = resolve(ROOT, ".klab");

/** The folders of the tree that a series may change. */
export const ROOMS = ["include", "kernel", "drivers", "samples", "test/modules"] as const;

/** Whether a path of the tree lies in one of them. */
export function inRooms(path: string): boolean {
  return ROOMS.some((room) => path.startsWith(`${room}/`));
}

/** Where the port of a C file is. Both `x.c` and `x.h` are in `x.ts`. */
export function portOf(cFile: string): string {
  return cFile.replace(/\.[ch]$/, ".ts");
}
