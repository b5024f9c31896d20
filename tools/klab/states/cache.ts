// SPDX-License-Identifier: GPL-2.0-only
/**
 * States on disk: one folder for each content, made beside its place and renamed into it, so that it is there whole or not
 * at all, whoever else is at it and whenever somebody is killed.
 */
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync, utimesSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { InputError } from "../errors.ts";

const HOUR = 3600_000;
/** States that nobody asked for in this time are removed, and the oldest above this number. */
export const KEEP = { ms: 14 * 24 * HOUR, count: 64 };

const HOST =
  hostname()
    .replace(/[^A-Za-z0-9]/g, "")
    .slice(0, 20) || "host";
const UNFINISHED = /^\.tmp-([A-Za-z0-9]+)-(\d+)-[0-9a-f]+$/;

/** What this process is making right now. */
const unfinished = new Set<string>();

function interrupted(signal: NodeJS.Signals): void {
  for (const folder of unfinished) rmSync(folder, { recursive: true, force: true });
  process.exit(128 + (signal === "SIGINT" ? 2 : 15));
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

function ageOf(path: string): number {
  return Date.now() - (statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? Date.now());
}

/** Removes what killed processes left behind. A living process's work is not touched for an hour. */
function removeLeftovers(root: string): void {
  for (const name of readdirSync(root)) {
    const found = UNFINISHED.exec(name);
    if (!found || unfinished.has(join(root, name))) continue;
    const dead = found[1] === HOST && !isAlive(Number(found[2]));
    if (dead || ageOf(join(root, name)) > HOUR) rmSync(join(root, name), { recursive: true, force: true });
  }
}

function temporary(root: string): string {
  return join(root, `.tmp-${HOST}-${process.pid}-${randomBytes(6).toString("hex")}`);
}

/** Removes states that have long not been used; what was used within the hour stays in any case. */
function prune(root: string): void {
  const states = readdirSync(root)
    .filter((name) => /^[0-9a-f]{32}$/.test(name))
    .map((name) => ({ name, age: ageOf(join(root, name)) }))
    .sort((a, b) => a.age - b.age);
  for (const [i, { name, age }] of states.entries()) {
    if (age < HOUR || (age < KEEP.ms && i < KEEP.count)) continue;
    const doomed = temporary(root);
    try {
      // Away in one step, so that nobody finds half of it.
      renameSync(join(root, name), doomed);
      rmSync(doomed, { recursive: true, force: true });
    } catch {
      // Somebody else was quicker.
    }
  }
}

/** A full disk and a folder of somebody else's are for the user to mend. */
function cannotWrite(root: string, error: unknown): unknown {
  const { code } = error as NodeJS.ErrnoException;
  const theirs =
    code !== undefined && ["EACCES", "EPERM", "EROFS", "ENOSPC", "EDQUOT", "ENOTDIR", "EEXIST"].includes(code);
  return theirs
    ? new InputError(`states cannot be written to ${root} (${code}); make it writable, or make room`)
    : error;
}

/**
 * The folder of the content called `hash`; made by `fill` if it is not there.
 * @root: folder of all states
 */
export async function materialise(
  root: string,
  hash: string,
  fill: (folder: string) => Promise<void>,
): Promise<string> {
  const folder = join(root, hash);
  if (existsSync(folder)) {
    const now = new Date();
    try {
      utimesSync(folder, now, now);
    } catch {
      // A cache that is read-only can be read.
    }
    return folder;
  }
  try {
    mkdirSync(root, { recursive: true });
    removeLeftovers(root);
    prune(root);
  } catch (error) {
    throw cannotWrite(root, error);
  }
  const making = temporary(root);
  if (unfinished.size === 0) for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, interrupted);
  unfinished.add(making);
  try {
    mkdirSync(making);
    await fill(making);
    try {
      renameSync(making, folder);
    } catch (error) {
      // Another process has put the same content there in the meantime.
      if (!existsSync(folder)) throw error;
      rmSync(making, { recursive: true, force: true });
    }
  } catch (error) {
    rmSync(making, { recursive: true, force: true });
    throw cannotWrite(root, error);
  } finally {
    unfinished.delete(making);
    if (unfinished.size === 0) for (const signal of ["SIGINT", "SIGTERM"] as const) process.off(signal, interrupted);
  }
  return folder;
}
