// SPDX-License-Identifier: GPL-2.0-only
/** Traces as files: one JSON object a line. */
import { readFileSync } from "node:fs";
import { InputError } from "../errors.ts";

/** One line of a trace: what was done, and what came of it. */
export interface GoldenRecord {
  /** Of the file, from 1 on. */
  readonly line: number;
  readonly step: string;
  readonly call: string;
  readonly args: Readonly<Record<string, unknown>>;
  /** Everything that the line says. */
  readonly said: Readonly<Record<string, unknown>>;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function parseLine(text: string, line: number, file: string): GoldenRecord {
  let said: unknown;
  try {
    said = JSON.parse(text);
  } catch {
    throw new InputError(`${file}:${line}: this line is not JSON`);
  }
  if (!isObject(said)) throw new InputError(`${file}:${line}: this line is no JSON object`);
  const { step, call, args = {} } = said;
  if (typeof step !== "string" || typeof call !== "string" || !isObject(args))
    throw new InputError(`${file}:${line}: a record has "step" and "call", both texts, and "args", an object`);
  return { line, step, call, args, said };
}

/** @return the records of a trace; at least one @throws InputError naming the line that cannot be read */
export function readTrace(file: string): GoldenRecord[] {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    throw new InputError(`${file} cannot be read (${(error as NodeJS.ErrnoException).code ?? "error"})`);
  }
  const records = text.split("\n").flatMap((line, i) => (line.trim() === "" ? [] : [parseLine(line, i + 1, file)]));
  if (records.length === 0) throw new InputError(`${file} has no record`);
  return records;
}
