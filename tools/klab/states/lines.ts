// SPDX-License-Identifier: GPL-2.0-only
/** From places in what runs to lines of the source. */
import { readFileSync } from "node:fs";
import { findSourceMap, SourceMap } from "node:module";
import { fileURLToPath } from "node:url";
import { sourceMapOf } from "./index.ts";

/** A file of a state, as hooks.mjs loads it: translated when the state was made, without a map. */
const OF_STATE = /\/states\/[0-9a-f]{32}\/(.*\.ts)$/;
const maps = new Map<string, SourceMap | null>();

function mapOf(url: string): SourceMap | null {
  const [, path] = OF_STATE.exec(url) ?? [];
  if (path === undefined) return findSourceMap(url) ?? null;
  let map = maps.get(url);
  if (map === undefined)
    maps.set(url, (map = new SourceMap(sourceMapOf(path, readFileSync(fileURLToPath(url), "utf8")))));
  return map;
}

/**
 * @url: of the file, @line, @column: in what runs, from 1 on
 * @return the line of the source, null if nobody knows
 */
export function lineOf(url: string, line: number, column: number): number | null {
  if (!url.startsWith("file:")) return null;
  const entry = mapOf(url)?.findEntry(line - 1, column - 1);
  return entry && "originalLine" in entry ? entry.originalLine + 1 : null;
}
