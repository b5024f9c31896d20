// SPDX-License-Identifier: GPL-2.0-only
/** What klab/yield-star and klab/colour say to code that compiles. */

export const PREAMBLE = `
import { type CpuPoint, type Sleeps, type Spins } from "./types.ts";
declare function atomic_context<T>(call: Sleeps<T>): Spins<T>;
declare function slow<S extends Spins<unknown> | Sleeps<unknown>>(what: string, path: S): S;
declare const m: object;
declare function lock(m: object): Sleeps;
declare function lock_killable(m: object): Sleeps<number>;
declare function spin(m: object): Spins<bigint>;
declare function plain(m: object): number;
declare function put<T>(x: T, release: (x: T) => Sleeps): Sleeps;
declare function passes<T>(x: T): T;
declare function calls<T>(f: () => T): T;
declare function notify(f: () => void): void;
declare function inspect(f: (x: object) => unknown): void;
declare function takes_all(...calls: Sleeps[]): void;
declare class task { constructor(body: Sleeps<number>); static spawn(name: string, body?: Sleeps): task }
interface device_ops { release: ((x: object) => Sleeps) | null; open?: (x: object) => Sleeps<number>; show: (x: object) => number; remove: (x: object) => void }
declare const ops: device_ops;
declare function overloaded(): number;
declare function overloaded(m?: object): Sleeps;
declare function try_or_wait(m: object): Sleeps<number> | null;
declare function called(f: () => Sleeps | void): Sleeps | void;
declare let kept: unknown;
`;

export type Case = readonly [what: string, code: string];

/** Bodies of `function* (): Sleeps<any>`, and what is said of the call in them. */
export const SPEAKS: Readonly<Record<string, readonly Case[]>> = {
  dropped: [
    ["statement", `lock(m);`],
    ["Spins as well", `spin(m);`],
    ["void", `void lock(m);`],
    ["comma", `lock(m), plain(m);`],
    ["for, first and last part", `for (lock(m); plain(m); ) break;`],
    ["after a guard", `if (plain(m)) lock(m);`],
    ["optional call", `ops.open?.(m);`],
    ["pointer member", `ops.release!(m);`],
    ["pointer in a variable", `const { release } = ops; if (release) release(m);`],
    ["method of an object", `const o = { *go(): Sleeps { yield* lock(m); } }; o.go();`],
    ["class method", `class c { *go(): Sleeps { yield* lock(m); } } new c().go();`],
    ["inferred from yield*", `lock_twice(m);`],
    ["inferred, no yield at all", `never_waits();`],
    ["through a type parameter", `passes(yield* lock(m)); put(m, lock);`],
    ["callback's result", `calls(() => lock(m));`],
    [
      "constrained type parameter",
      `function* f<S extends Sleeps>(g: () => S): Sleeps { g(); }\nyield* f(() => lock(m));`,
    ],
    ["conditional expression", `plain(m) ? lock(m) : undefined;`],
    ["ReturnType", `(kept as () => ReturnType<typeof lock>)();`],
    ["intersection", `(kept as () => Sleeps & { tag: 1 })();`],
    ["yields other things too", `(kept as () => Generator<number | CpuPoint>)();`],
    ["parentheses and assertions", `((lock(m))!);`],
  ],
  "used as a value": [
    ["initialiser", `const r = lock_killable(m); return r;`],
    ["assignment", `kept = lock_killable(m);`],
    ["member", `return { ret: lock_killable(m) };`],
    ["element", `return [lock(m)];`],
    ["interpolated", "return `${lock(m)}`;"],
    ["spread", `return [...lock(m)];`],
    ["loop over the points", `for (const p of lock(m)) kept = p;`],
    ["iterated by hand", `return lock(m)[Symbol.iterator]();`],
    ["thrown", `throw lock(m);`],
    ["cast away", `kept = lock(m) as unknown;`],
    ["plain or not", `const r = (kept as () => Sleeps<number> | number)(); return r;`],
    ["kept and only tested", `const path = try_or_wait(m);\nif (path) return 1;`],
    ["kept and given away", `const path = try_or_wait(m);\nif (path) kept = path;`],
    ["kept for another", `const path = try_or_wait(m);\n{ const path = lock; yield* path(m); }\nreturn path === null;`],
    ["kept in a variable", `let path = try_or_wait(m);\nif (path) yield* path;`],
    ["kept although known", `const path = lock(m);\nyield* path;`],
    ["default value", `const { r = lock(m) } = {} as { r?: unknown }; return r;`],
  ],
  "used as a condition": [
    ["if", `if (lock_killable(m)) return 1;`],
    ["while", `while (lock_killable(m)) break;`],
    ["do", `do { plain(m); } while (lock_killable(m));`],
    ["for", `for (; lock_killable(m); ) break;`],
    ["ternary", `return lock_killable(m) ? 1 : 2;`],
    ["switch", `switch (lock_killable(m)) { default: return 1; }`],
  ],
  "used as an operand": [
    ["negation", `if (!lock_killable(m)) return 1;`],
    ["comparison with null", `return lock(m) === null;`],
    ["comparison", `return lock_killable(m) !== kept;`],
    ["and", `return plain(m) && lock(m);`],
    ["or", `return lock(m) || 1;`],
    ["concatenation", `return "ret " + lock_killable(m);`],
    ["typeof", `return typeof lock(m);`],
    ["in", `return "next" in lock(m);`],
  ],
  "yielded without the star": [["yield", `function* f() { yield lock(m); }\nkept = f;`]],
  "returned to a caller who does not wait": [
    ["generator's own return", `return lock(m);`],
    ["plain function", `function f(): unknown { return lock(m); }\nreturn f();`],
    ["arrow", `const f = (): unknown => lock(m);\nreturn f();`],
    ["arrow with a block", `const f = (): unknown => { return lock(m); };\nreturn f();`],
    ["promise", `const f = async () => lock(m);\nreturn f;`],
    ["accessor", `return { get r(): unknown { return lock(m); } };`],
  ],
  "passed where a plain value is expected": [
    ["unknown", `String(lock(m));`],
    ["any", `JSON.stringify(lock(m));`],
    ["any iterable", `Array.from(lock(m));`],
    ["type parameter", `yield* passes(lock(m));`],
    ["push", `const all: Sleeps[] = []; all.push(lock(m));`],
    ["constructor", `return new Set(lock(m));`],
  ],
};

/** Bodies of `function* (): Sleeps<any>` with nothing wrong in them. */
export const SILENT: readonly Case[] = [
  ["yield*", `yield* lock(m);`],
  ["yield* in a condition", `if (yield* lock_killable(m)) return -4;`],
  ["yield* of the result of a choice", `yield* plain(m) ? lock(m) : lock_killable(m);`],
  ["yield* with parentheses and !", `yield* (ops.release!(m));`],
  ["yield* of an optional call with a default", `yield* ops.open?.(m) ?? lock(m);`],
  ["plain call", `plain(m);`],
  [
    "other iterables",
    `const o = new Map<number, string>(); o.keys(); for (const k of o.keys()) kept = k; "abc".matchAll(/b/g);`,
  ],
  ["list of points", `const points = [...(kept as Sleeps)]; points.slice(1);`],
  ["other generators", `function* n(): Generator<number> { yield 1; }\nkept = [...n()]; n();`],
  ["delegating function", `function f(): Sleeps { return lock(m); }\nyield* f();`],
  ["delegating, inferred", `function f(x: number) { if (x) return lock(m); return lock_killable(m); }\nyield* f(1);`],
  ["delegating method", `const o = { go(): Sleeps { return lock(m); } };\nyield* o.go();`],
  ["arrow", `const f = () => lock(m);\nyield* f();`],
  ["arrow with a type", `const f = (x: object): Sleeps => lock(x);\nyield* f(m);`],
  ["arrow as a pointer", `const o: device_ops = { ...ops, release: (x) => lock(x) };\nyield* o.release!(m);`],
  ["arrow as a callback", `yield* put(m, (x) => lock(x)); yield* calls(() => lock(m));`],
  ["yield* of a type assertion", `yield* (lock_killable(m) as Sleeps<number>);`],
  ["yield* with satisfies", `yield* (lock(m) satisfies Sleeps);`],
  ["yield* after a comma", `yield* (plain(m), lock(m));`],
  ["parameter after this", `const o = { run(this: object, call: Sleeps) { kept = call; } };\no.run(lock(m));`],
  ["kept until it is known", `const path = try_or_wait(m);\nif (path) return yield* path;`],
  [
    "kept, then delegated",
    `function f(): Sleeps<number> { const path = try_or_wait(m); return path ?? lock_killable(m); }\nyield* f();`,
  ],
  ["kept, then passed on", `const path = try_or_wait(m);\nif (path !== null) yield* atomic_context(path);`],
  [
    "a table's function that need not wait",
    `const more = called(lock_maybe);\nif (typeof more === "object") yield* more;`,
  ],
  ["atomic_context", `yield* atomic_context(lock(m));`],
  ["type parameter that may block", `yield* slow("lock", lock(m));`],
  ["declared parameter", `task.spawn("a", lock(m)); new task(lock_killable(m));`],
  ["declared parameter, choice", `task.spawn("a", plain(m) ? lock(m) : undefined);`],
  ["rest parameter", `takes_all(lock(m), lock(m));`],
  ["function as a value", `yield* put(m, lock); kept = lock; inspect(lock);`],
  [
    "plain pointers",
    `notify(() => { plain(m); }); const o: device_ops = { ...ops, show: plain, remove: plain }; kept = o;`,
  ],
];

/** As SPEAKS, for klab/colour. */
export const LOSES_COLOUR: readonly Case[] = [
  ["member of a table", `const o: device_ops = { ...ops, remove: lock }; kept = o;`],
  ["generator method", `const o: device_ops = { ...ops, *remove(x: object): Sleeps { yield* lock(x); } }; kept = o;`],
  ["assigned member", `ops.remove = lock;`],
  ["argument", `notify(never_waits);`],
  ["arrow as an argument", `notify(() => lock(m));`],
  ["arrow whose result is dropped unseen", `inspect(() => lock(m));`],
  ["generator expression", `notify(function* () { yield* lock(m); });`],
  ["one of several overloads", `notify(overloaded);`],
  ["variable", `const f: () => void = never_waits; f();`],
  ["result", `function f(): (x: object) => void { return lock; }\nf()(m);`],
  ["class member", `class c { done: () => void = never_waits; }\nkept = c;`],
  ["result of an arrow", `const f = (): (() => void) => never_waits;\nf()();`],
  ["pointer that may be null", `const o: { done: (() => void) | null } = { done: never_waits }; kept = o;`],
];

/** The functions without a type of their own that some cases use. */
export const POSTAMBLE = `
function* lock_twice(x: object) { yield* lock(x); const r = yield* lock_killable(x); return r; }
function lock_maybe(): Sleeps | void { if (kept) return lock(m); }
function* never_waits() { return 1; }
`;
