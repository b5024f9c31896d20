// SPDX-License-Identifier: GPL-2.0-only
/** What include/, kernel/, drivers/ and samples/ must not use, as options of ESLint's no-restricted-… rules. */

const HOST = "The same schedule has to give the same run: nothing of the host's is used here.";
const CLOCK = "Time is virtual: use jiffies, ktime_get() or a timer of the mock kernel.";
const WAIT = "Code that waits is a generator, called with `yield*`; see Documentation/HACKING.md.";
const PRINT = "Use printk() and its like.";

export const RESTRICTED_GLOBALS: readonly { readonly name: string; readonly message: string }[] = [
  ...["Date", "performance", "setTimeout", "setInterval", "setImmediate"].map((name) => ({ name, message: CLOCK })),
  ...["Promise", "queueMicrotask"].map((name) => ({ name, message: WAIT })),
  // Who is collected, and when, is the host's affair too.
  ...["process", "crypto", "globalThis", "WeakRef", "FinalizationRegistry"].map((name) => ({ name, message: HOST })),
  { name: "console", message: PRINT },
];

export const RESTRICTED_PROPERTIES: readonly {
  readonly object?: string;
  readonly property: string;
  readonly message: string;
}[] = [
  { object: "Math", property: "random", message: HOST },
  // Both depend on the host's language.
  { property: "localeCompare", message: HOST },
  { property: "toLocaleString", message: HOST },
];

export const RESTRICTED_SYNTAX: readonly { readonly selector: string; readonly message: string }[] = [
  { selector: ":function[async=true]", message: WAIT },
  { selector: "AwaitExpression, ForOfStatement[await=true]", message: WAIT },
  { selector: "TSTypeReference > Identifier[name=/^(Promise|PromiseLike|Async\\w+)$/]", message: WAIT },
  {
    selector: "TSAsExpression[expression.type='TSAsExpression'][expression.typeAnnotation.type='TSUnknownKeyword']",
    message: "A cast through `unknown` believes anything. Say what the value is, or why this place needs it.",
  },
  {
    selector: "TSAsExpression > TSNeverKeyword.typeAnnotation",
    message: "`as never` fits everywhere. Say what the value is, or why this place needs it.",
  },
  {
    // The first call of a fresh generator function costs about 85 times that of one at module level.
    selector: ":function :function[generator=true]",
    message: "A function that waits stands at module level: no generator functions made per call.",
  },
];
