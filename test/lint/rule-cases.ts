// SPDX-License-Identifier: GPL-2.0-only
/** For each rule: files it must speak about and files it must leave alone. The path says which folder's rules hold. */

type File = readonly [path: string, code: string, says?: string];

const everyKernelFolder = (code: string): File[] =>
  ["include/linux/x.ts", "kernel/mm/x.ts", "drivers/vfio/x.ts", "samples/vfio-mdev/x.ts"].map((path) => [path, code]);
const toolsAndTests = (code: string): File[] => ["tools/klab/x.ts", "test/x.ts"].map((path) => [path, code]);
const inKernel = (...codes: readonly string[]): File[] => codes.map((code) => ["kernel/lib/x.ts", code]);

export const RULE_CASES: readonly {
  readonly rule: string;
  readonly speaks: readonly File[];
  readonly silent: readonly File[];
}[] = [
  {
    rule: "klab/layers",
    speaks: [
      ["include/linux/x.ts", `export * from "../../drivers/vfio/vfio.ts";`],
      ["include/linux/x.ts", `import "../../samples/vfio-mdev/mdpy.ts";`],
      ["include/linux/x.ts", `export * from "../../tools/klab/main.ts";`, "nothing but tools/ and test/"],
      ["include/linux/x.ts", `import "node:fs";`, "does not use Node"],
      ["kernel/lib/x.ts", `import { a } from "../../drivers/base/core.ts";`],
      ["kernel/lib/x.ts", `import "../../test/x.ts";`, "nothing but test/"],
      ["kernel/lib/x.ts", `import "fs";`, "does not use Node"],
      ["kernel/lib/x.ts", `import "eventemitter3";`, "belongs to kernel/trace/"],
      ["kernel/trace/x.ts", `import "commander";`, "uses no npm packages."],
      ["kernel/trace/x.ts", `import "../../../outside.ts";`],
      ["drivers/base/x.ts", `import { a } from "../../kernel/lib/kref.ts";`],
      ["drivers/iommu/x.ts", `import "../base/core.ts";`],
      ["drivers/vfio/x.ts", `import "../../include/linux/kref.ts";`, "write #linux/"],
      ["drivers/vfio/x.ts", `import "./mdev/mdev_core.ts";`],
      ["drivers/vfio/mdev/x.ts", `import "../vfio.ts";`, "files of its own folder"],
      ["drivers/vfio/mdev/x.ts", `export { a } from "../../s390/cio/css.ts";`],
      ["drivers/vfio/mdev/x.ts", `export const a = () => import("../../../kernel/boot.ts");`],
      ["drivers/vfio/mdev/x.ts", `export type a = import("../../../kernel/boot.ts").a;`],
      ["drivers/vfio/mdev/x.ts", `import "eventemitter3";`],
      ["drivers/vfio/mdev/x.ts", `import "#tools/x.ts";`, "only #linux/"],
      ["samples/vfio-mdev/x.ts", `import "../../kernel/boot.ts";`],
      ["samples/vfio-mdev/x.ts", `import "node:assert";`],
      ["tools/klab/x.ts", `import "../../test/x.ts";`],
    ],
    silent: [
      [
        "include/linux/x.ts",
        `export { a } from "../../kernel/lib/kref.ts"; import "./list.ts"; import "#uapi/linux/vfio.ts";`,
      ],
      [
        "include/linux/x.ts",
        `import { type g } from "../../drivers/vfio/vfio.ts"; export { f } from "../../drivers/vfio/vfio_main.ts";`,
      ],
      ["kernel/lib/x.ts", `import "#linux/list.ts"; import "../mm/slab.ts"; import "../../include/linux/list.ts";`],
      ["kernel/trace/x.ts", `import { EventEmitter } from "eventemitter3"; export { EventEmitter };`],
      ["drivers/base/x.ts", `import "#linux/kref.ts"; import "#asm/io.ts"; import "./base.ts";`],
      ["drivers/s390/cio/x.ts", `import "./css.ts";`],
      ["drivers/gpu/drm/i915/gvt/x.ts", `import "../i915_drv.ts";`],
      ["samples/vfio-mdev/x.ts", `import "#linux/mdev.ts"; import "./mdpy-defs.ts";`],
      [
        "tools/klab/x.ts",
        `import "node:fs"; import "commander"; import "../../kernel/boot.ts"; import "../../drivers/base/core.ts";`,
      ],
      ["test/x.ts", `import "ava"; import "../tools/klab/main.ts"; import "./y.ts";`],
      ["eslint.config.js", `import "./tools/lint/index.ts";`],
    ],
  },
  {
    rule: "@typescript-eslint/naming-convention",
    speaks: [
      ...everyKernelFolder(`export function mutexLock() {}`),
      ...inKernel(
        `export class Foo {}`,
        `export class FOO {}`,
        `export class foo { openCount = 0; }`,
        `export class foo { readConfig() {} }`,
        `export const theDevice = 1;`,
        `export function f(devId: number) { return devId; }`,
        `export function f(DEV: number) { return DEV; }`,
        `export type gfpT = number;`,
        `export type Delays = number;`,
        `export interface Ops { a: number }`,
        `export interface ops { openDevice: number }`,
        `export function f<t>(a: t) { return a; }`,
      ),
      ["tools/klab/x.ts", `export function mutex_lock() {}`],
      ["tools/klab/x.ts", `export class foo {}`],
      ["test/modules/x.ts", `export function mutexLock() {}`],
      ...toolsAndTests(`export const first_bad = 1;`),
      ["test/x.ts", `export const f = (dev_id: number) => dev_id;`],
    ],
    silent: [
      ...everyKernelFolder(`export function __mutex_lock() {}`),
      ...inKernel(
        `export const GFP_KERNEL = 1; export const VFIO_TYPE1v2_IOMMU = 3; export function DEFINE_MUTEX() {} export function dev_WARN() {}`,
        `export const ops = { new_: 1, in_: 2, TASK_RUNNING: 0, "0-1": 3, "Some thing": 1 };`,
        `export class foo { $bytes = 0; _priv = 1; #size = 0; get size() { return this.#size; } toString() { return ""; } }`,
        `export type gfp_t = number; export type Sleeps = number; export interface CpuPoint { a: 1 }`,
        `export const h = { getPrototypeOf() { return null; } };`,
        `import { readFile } from "x"; const { openCount } = { "open count": 1 } as never; export { readFile, openCount };`,
        `export function f<T, Args>(_: T, __: Args) {}`,
      ),
      ...toolsAndTests(
        `export function mutexLock() {} export class Foo {} export type Bar = 1; export const TYPE1v2_BAZ = 1;`,
      ),
      ["tools/klab/x.ts", `export const f = ({ lock_it }: { lock_it: number }) => ({ first_bad: lock_it });`],
      ["test/x.ts", `export function* locks_twice() { yield 1; } export class foo {}`],
      ["test/modules/x.ts", `export function* locks_twice() { yield 1; } export class foo {}`],
      ["test/x.ts", `export const ops = { open_device() {}, release: 1, "a b": 2, IRQ_nr: 1 };`],
    ],
  },
  {
    rule: "no-restricted-globals",
    speaks: [
      ...everyKernelFolder(`export const t = Date.now();`),
      ...inKernel(
        `setTimeout(() => {}, 1);`,
        `setInterval(() => {}, 1);`,
        `setImmediate(() => {});`,
        `queueMicrotask(() => {});`,
        `export const p = Promise.resolve();`,
        `export const t = performance.now();`,
        `export const t = process.argv;`,
        `console.log("");`,
        `crypto.randomUUID();`,
        `export const t = globalThis.setTimeout;`,
        `export const r = new WeakRef({});`,
      ),
    ],
    silent: [
      ...toolsAndTests(
        `console.log(Date.now()); setTimeout(() => {}, 1); export const p = Promise.resolve(process.argv);`,
      ),
      ...inKernel(`export function f(process: number) { return process; } export const t = { crypto: 1 }.crypto;`),
    ],
  },
  {
    rule: "no-restricted-properties",
    speaks: [
      ...everyKernelFolder(`export const r = Math.random();`),
      ...inKernel(`export const r = "a".localeCompare("b");`),
    ],
    silent: [...toolsAndTests(`export const r = Math.random();`), ...inKernel(`export const r = Math.max(1, 2);`)],
  },
  {
    rule: "no-restricted-syntax",
    speaks: [
      ...everyKernelFolder(`export async function f() {}`),
      ...inKernel(
        `export const f = async () => {};`,
        `export class a { async f() {} }`,
        `await f();`,
        `for await (const a of f()) a();`,
        `export let p: Promise<void>;`,
        `export const a = 1 as unknown as string;`,
        `export const a = 1 as never;`,
        `export function f() { return function* () { yield 1; }; }`,
        `export const f = () => ({ *g() { yield 1; } });`,
      ),
    ],
    silent: [
      ...toolsAndTests(
        `export async function f(): Promise<void> { await g(); } export const a = 1 as unknown as string;`,
      ),
      ...inKernel(
        `export function* f() { yield 1; } export const o = { *g() { yield 1; } }; export class c { *g() { yield 1; } }`,
        `export const a = {} as object as string[]; export const b = a as unknown; export function never(): never { throw a; }`,
        `// eslint-disable-next-line no-restricted-syntax -- a byte is a byte\nexport const a = 1 as unknown as string;`,
      ),
    ],
  },
  {
    rule: "@typescript-eslint/no-explicit-any",
    speaks: [...everyKernelFolder(`export let a: any;`), ...toolsAndTests(`export let a: any;`)],
    silent: inKernel(`export let a: unknown;`),
  },
  {
    rule: "@typescript-eslint/no-unsafe-assignment",
    speaks: inKernel(`export const a = JSON.parse("");`),
    silent: [
      ...inKernel(`export const a: unknown = JSON.parse("");`),
      ...toolsAndTests(`export const a = JSON.parse("");`),
    ],
  },
  {
    rule: "@typescript-eslint/no-unnecessary-type-assertion",
    speaks: inKernel(`export const f = (a: object) => a!;`),
    silent: inKernel(`export const f = (a: { b: number } | null) => a!.b;`),
  },
  {
    rule: "@typescript-eslint/no-floating-promises",
    speaks: toolsAndTests(`async function f() {} f();`),
    silent: toolsAndTests(`async function f() {} await f();`),
  },
  {
    rule: "no-unused-labels",
    speaks: inKernel(`out: { f(); }`, `out: for (;;) f();`),
    silent: inKernel(
      `export function f(a: number) { out_err: { out_put: { if (a) break out_err; if (!a) break out_put; return 0; } a++; } return a; }`,
      `retry: for (;;) { if (f()) continue retry; break; }`,
    ),
  },
  {
    rule: "no-fallthrough",
    speaks: inKernel(`switch (f()) { case 1: g(); case 2: h(); }`),
    silent: inKernel(`switch (f()) { case 1: g(); // fallthrough\n case 2: case 3: h(); }`),
  },
  {
    rule: "eqeqeq",
    speaks: inKernel(`export const a = (b: unknown) => b == null;`),
    silent: inKernel(`export const a = (b: unknown) => b === null;`),
  },
  {
    rule: "require-yield",
    speaks: [],
    silent: inKernel(`export function* f() { return 0; }`),
  },
  {
    rule: "@typescript-eslint/consistent-type-imports",
    speaks: inKernel(`import { a } from "./a.ts"; export let b: a;`),
    silent: inKernel(`import { type a } from "./a.ts"; export let b: a;`, `import { a } from "./a.ts"; a();`),
  },
  {
    rule: "@typescript-eslint/no-import-type-side-effects",
    speaks: inKernel(`import { type a } from "./a.ts"; export let b: a;`),
    silent: inKernel(
      `import type { a } from "./a.ts"; export let b: a;`,
      `import { type a, c } from "./a.ts"; export const b: a = c;`,
    ),
  },
  {
    rule: "@typescript-eslint/no-unused-vars",
    speaks: inKernel(`import { a } from "./a.ts";`, `const a = 1;`),
    silent: inKernel(`export function f(a: number) {}`),
  },
];
