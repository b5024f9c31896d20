// SPDX-License-Identifier: GPL-2.0-only
/** How C's names are written here. */

/** Words that TypeScript keeps for itself. */
const RENAMED: Readonly<Record<string, string>> = {
  private: "priv",
  new: "new_",
  in: "in_",
  function: "func",
  default: "default_",
};

/** @name: a C name, or `struct.member` */
export function portName(name: string): string {
  return name
    .split(".")
    .map((part) => RENAMED[part] ?? part)
    .join(".");
}
