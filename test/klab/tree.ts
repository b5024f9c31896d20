// SPDX-License-Identifier: GPL-2.0-only
/** A tiny tree of the project's shape, with a series on it, in a folder of its own. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createTwoFilesPatch } from "diff";
import { ROOT } from "../../tools/klab/paths.ts";
import type { Places } from "../../tools/klab/states/index.ts";

export type Files = Readonly<Record<string, string>>;

/** Two modules, `core` and `user`, on a kernel that is only a counter. */
export const BASE: Files = {
  "kernel/Kbuild.ts": `export interface kbuild_module { readonly name: string; readonly files: readonly string[] }
export const modules: readonly kbuild_module[] = [
  { name: "core", files: ["drivers/core/core.ts", "drivers/core/not_yet.ts"] },
  { name: "user", files: ["drivers/user/user_drv.ts", "drivers/user/user.ts"] },
];
`,
  "kernel/lab.ts": `export { order, note } from "./order.ts";
import { user_probe } from "../drivers/user/user_drv.ts";
export const where: string = import.meta.url;
const machine = { reports: [] as { checker: string; title: string; text: string }[], linked: {} as object };
export function set_link_table(table: object): void { machine.linked = table; }
export function linked(): object { return machine.linked; }
export function boot(): string { machine.reports = []; return "done"; }
export function run(): string {
  if (user_probe() > 10) machine.reports.push({ checker: "warn", title: "WARNING: more than ten", text: "WARNING: more than ten" });
  return "done";
}
export function found(): readonly object[] { return machine.reports; }
export function log(): readonly object[] { return [{ level: 6, ns: 1_500_000_000, text: "up" }]; }
export function probe(): number { return user_probe(); }
`,
  "kernel/order.ts": `export const order: string[] = [];
export function note(what: string): void { order.push(what); }
`,
  "include/linux/core_inline.ts": `import { core_free } from "./core.ts";
function twice(): void { core_free(); }
/** An inline whose user needs core_free. */
export function core_free_twice(): void { twice(); twice(); }
`,
  "include/linux/core.ts": `export { core_alloc, core_free, type core_ops } from "../../drivers/core/core.ts";
`,
  "include/linux/note.ts": `export { note } from "../../kernel/order.ts";
export function inline_helper(x: number): number { return x + 1; }
`,
  "drivers/core/core.ts": `import { note } from "#linux/note.ts";
note("core");
export interface core_ops { readonly name: string }
function EXPORT_SYMBOL_GPL(_f: unknown): void {}
export const CORE_MAX = 4;
/** Allocates. */
export function core_alloc(n: number): number {
  // why
  return n + 1;
}
EXPORT_SYMBOL_GPL(core_alloc);
export function core_free(): void {}
EXPORT_SYMBOL_GPL(core_free);
`,
  "drivers/user/user.ts": `export { user_probe } from "./user_drv.ts";
export class user_struct {}
`,
  "drivers/user/user_drv.ts": `import { core_alloc, core_free, type core_ops } from "#linux/core.ts";
import { inline_helper, note } from "#linux/note.ts";
import { user_struct } from "./user.ts";
note("user");
export function user_probe(): number {
  const ops: core_ops | null = null;
  core_free();
  return inline_helper(core_alloc(1)) + (new user_struct() && ops ? 1 : 0);
}
`,
  "package.json": `{ "name": "x", "version": "1.0.0", "type": "module", "imports": { "#linux/*": "./include/linux/*" } }
`,
  "tsconfig.json": readFileSync(join(ROOT, "tsconfig.json"), "utf8"),
};

export function writeFiles(root: string, files: Files): void {
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
}

/** A change of files as a patch; `null` stands for a file that is not there. */
export function patchText(
  subject: string,
  changes: Readonly<Record<string, readonly [string | null, string | null]>>,
): string {
  const diffs = Object.entries(changes).map(([path, [before, after]]) => {
    const body = createTwoFilesPatch(
      before === null ? "/dev/null" : `a/${path}`,
      after === null ? "/dev/null" : `b/${path}`,
      before ?? "",
      after ?? "",
    );
    const mode = before === null ? "new file mode 100644\n" : after === null ? "deleted file mode 100644\n" : "";
    return `diff --git a/${path} b/${path}\n${mode}${body.slice(body.indexOf("---"))}`;
  });
  return `From 0 Mon Sep 17 00:00:00 2001\nFrom: A <a@example.org>\nSubject: [PATCH v1 1/2] ${subject}\n\nWords.\n---\n ${Object.keys(changes).length} files changed\n\n${diffs.join("")}-- \n2.39.0\n`;
}

/** The change that most tests want: probe gives 10 more. */
export const USER_DRV = BASE["drivers/user/user_drv.ts"] ?? "";
export const PATCH_1 = patchText("user: count\n from ten", {
  "drivers/user/user_drv.ts": [USER_DRV, USER_DRV.replace("return inline_helper", "return 10 + inline_helper")],
});
export const PATCH_2 = patchText("user: a new file", {
  "drivers/user/extra.ts": [null, "export function extra(): number { return 5; }\n"],
});

export interface Fixture extends Places {
  readonly dispose: () => void;
}

/** Writes base and patches to a new temporary folder. @patches: by version, in order */
export function fixture(
  base: Files = BASE,
  patches: Readonly<Record<string, readonly string[]>> = { v1: [PATCH_1, PATCH_2] },
): Fixture {
  const top = mkdtempSync(join(tmpdir(), "klab-test-"));
  writeFiles(join(top, "tree"), base);
  for (const [version, texts] of Object.entries(patches)) {
    const names = texts.map((_, i) => `000${i + 1}-x.patch`);
    writeFiles(join(top, "patches/s", version), {
      series: `# in order\n${names.join("\n")}\n`,
      ...Object.fromEntries(texts.map((text, i) => [names[i] ?? "", text])),
    });
  }
  mkdirSync(join(top, "patches"), { recursive: true });
  return {
    root: join(top, "tree"),
    patches: join(top, "patches"),
    cache: join(top, "cache"),
    dispose: () => rmSync(top, { recursive: true, force: true }),
  };
}
