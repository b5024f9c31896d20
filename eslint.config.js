// SPDX-License-Identifier: GPL-2.0-only
/** What is checked where. Our own rules, and the long lists, are in tools/lint/. */
import tseslint from "typescript-eslint";
import { register } from "tsx/esm/api";

// The rules are TypeScript like everything else.
const unregister = register();
const { plugin } = await import("./tools/lint/index.ts");
const { KERNEL_NAMES, TEST_NAMES, TOOL_NAMES } = await import("./tools/lint/names.ts");
const { RESTRICTED_GLOBALS, RESTRICTED_PROPERTIES, RESTRICTED_SYNTAX } = await import("./tools/lint/kernel-folders.ts");
await unregister();

const KERNEL = ["include", "kernel", "drivers", "samples"].map((room) => `${room}/**/*.ts`);

/** For every file, JavaScript included. There is no rule on labels but this one: goto becomes a labelled block. */
const everywhere = {
  "klab/layers": "error",
  "no-unused-labels": "error",
  "prefer-const": "error",
  "no-var": "error",
  // 0n == 0 and null == undefined are both true, and in C neither question exists.
  eqeqeq: "error",
  // As the kernel's own `fallthrough;`: falling into the next case is written down.
  "no-fallthrough": "error",
  "no-unsafe-finally": "error",
  "no-self-assign": "error",
  "no-dupe-else-if": "error",
  // `for (;;)` and `while (true)` are how C waits; a constant `if` is a left-over.
  "no-constant-condition": ["error", { checkLoops: "allExceptWhileTrue" }],
};

const typescript = {
  "klab/yield-star": "error",
  "klab/colour": "error",
  // Parameters are exempt: a function pointer's type decides about them. So is the `_entry` of a loop that only counts.
  "@typescript-eslint/no-unused-vars": ["error", { args: "none", varsIgnorePattern: "^_", ignoreRestSiblings: true }],
  "@typescript-eslint/no-unused-expressions": "error",
  // One line per module, with `type` where it is meant: what is imported for real is seen at a glance.
  "@typescript-eslint/consistent-type-imports": ["error", { fixStyle: "inline-type-imports" }],
  // An import of types alone loads nothing: a run loads the subsystems it uses, and cycles stay harmless.
  "@typescript-eslint/no-import-type-side-effects": "error",
  "@typescript-eslint/no-explicit-any": "error",
  // @ts-expect-error says why; @ts-ignore is never needed.
  "@typescript-eslint/ban-ts-comment": "error",
};

const kernel = {
  "@typescript-eslint/naming-convention": ["error", ...KERNEL_NAMES],
  "no-restricted-globals": ["error", { globals: RESTRICTED_GLOBALS }],
  "no-restricted-properties": ["error", ...RESTRICTED_PROPERTIES],
  "no-restricted-syntax": ["error", ...RESTRICTED_SYNTAX],
  // `any` also comes in from the standard library, where nobody writes it.
  "@typescript-eslint/no-unsafe-argument": "error",
  "@typescript-eslint/no-unsafe-assignment": "error",
  "@typescript-eslint/no-unsafe-call": "error",
  "@typescript-eslint/no-unsafe-member-access": "error",
  "@typescript-eslint/no-unsafe-return": "error",
  // Source text made at run time is invisible to every check; the accessors of structs are the one place.
  "@typescript-eslint/no-implied-eval": "error",
  // `!` stands exactly where C dereferences without asking.
  "@typescript-eslint/no-unnecessary-type-assertion": "error",
};

/** Here promises are allowed, and forgetting one is what forgetting `yield*` is over there. */
const tools = {
  "@typescript-eslint/naming-convention": ["error", ...TOOL_NAMES],
  "@typescript-eslint/no-floating-promises": "error",
  "@typescript-eslint/no-misused-promises": "error",
  "@typescript-eslint/await-thenable": "error",
};

export default [
  { ignores: [".klab/", "coverage/", "patches/"] },
  {
    // Every exemption is needed, and says why (test/tidy.test.ts).
    linterOptions: { reportUnusedDisableDirectives: "error" },
    plugins: { klab: plugin },
    rules: everywhere,
  },
  {
    files: ["**/*.ts"],
    languageOptions: {
      parser: tseslint.parser,
      parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname },
    },
    plugins: { "@typescript-eslint": tseslint.plugin },
    rules: typescript,
  },
  { files: KERNEL, rules: kernel },
  { files: ["tools/**/*.ts", "test/**/*.ts"], rules: tools },
  { files: ["test/**/*.ts"], rules: { "@typescript-eslint/naming-convention": ["error", ...TEST_NAMES] } },
  // Out-of-tree modules for the loader: kernel code, but for where it lies.
  { files: ["test/modules/**/*.ts"], rules: kernel },
];
