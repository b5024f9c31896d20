// SPDX-License-Identifier: GPL-2.0-only
/** klab/layers: which folder may import what. A driver sees what C's #include would show it, and nothing of the mock. */
import { isBuiltin } from "node:module";
import { posix, relative, resolve } from "node:path";
import type { Rule } from "eslint";

const ROOT = resolve(import.meta.dirname, "../..");
const KERNEL_STYLE = ["include", "kernel", "drivers", "samples"];
/** `#linux/…` and its like are folders of include/; the "imports" map of package.json says the same. */
const INCLUDE_ALIAS = /^#(linux|uapi|asm)\//;
/** npm packages that kernel folders may use, and where. */
const PACKAGES: Readonly<Record<string, string>> = { eventemitter3: "kernel/trace/" };
/** Folders whose files C includes by path from another folder (`-I` in the Makefile, or `#include "../x.h"`). */
const C_INCLUDES: Readonly<Record<string, readonly string[]>> = {
  "drivers/base": ["drivers/base/power"],
  "drivers/gpu/drm/i915": ["drivers/gpu/drm/i915/gvt"],
  "drivers/gpu/drm/i915/gvt": ["drivers/gpu/drm/i915"],
  "drivers/pci": ["drivers/pci/msi"],
  "drivers/vfio/platform/reset": ["drivers/vfio/platform"],
};

const room = (file: string): string => file.split("/", 1)[0] ?? "";

/**
 * Why `file` may not import `source`, or null when it may. Paths are relative to the root, with slashes.
 * @param everything whether it is an `export * from`
 */
function layerFault(file: string, source: string, everything: boolean): string | null {
  const from = room(file);
  const inKernelStyle = KERNEL_STYLE.includes(from);
  if (!source.startsWith(".") && !source.startsWith("/")) {
    if (!inKernelStyle || INCLUDE_ALIAS.test(source)) return null;
    if (isBuiltin(source)) return `${from}/ does not use Node: the machine it runs on is the mock kernel`;
    if (source.startsWith("#")) return "only #linux/, #uapi/ and #asm/ exist";
    const where = PACKAGES[source];
    if (where !== undefined && file.startsWith(where)) return null;
    return `${from}/ uses no npm packages` + (where === undefined ? "" : ` (${source} belongs to ${where})`);
  }

  const folder = posix.dirname(file);
  const target = posix.join(folder, source);
  const to = room(target);
  if (to === "test" && from !== "test") return "nothing but test/ imports test/";
  if (to === "tools" && inKernelStyle) return "nothing but tools/ and test/ imports tools/";
  if (from === "include" && to === "drivers") {
    // A header's prototypes point at the file that defines the function, wherever that is.
    return everything ? "a header names the prototypes of drivers/ one by one" : null;
  }
  if (from === "include" || from === "kernel") {
    return to === "include" || to === "kernel" ? null : `${from}/ does not know ${to}/`;
  }
  if (from === "drivers" || from === "samples") {
    const there = posix.dirname(target);
    if (there === folder || C_INCLUDES[folder]?.includes(there)) return null;
    if (to === "include") return "write #linux/, #uapi/ or #asm/, as in C's <>";
    return `${from}/ imports #linux/, #uapi/, #asm/ and the files of its own folder`;
  }
  return null;
}

export const layers: Rule.RuleModule = {
  meta: {
    type: "problem",
    docs: { description: "imports follow the layers of the tree" },
    schema: [],
    messages: { layer: "'{{source}}': {{fault}}." },
  },
  create(context) {
    const file = relative(ROOT, context.filename).replaceAll("\\", "/");
    /** Every node that names a module has it in `source`; an export may have none, a dynamic import any expression. */
    const check = (node: Rule.Node): void => {
      const { source } = node as { source?: { value?: unknown } | null };
      if (typeof source?.value !== "string") return;
      const fault = layerFault(file, source.value, node.type === "ExportAllDeclaration");
      if (fault !== null) context.report({ node, messageId: "layer", data: { source: source.value, fault } });
    };
    return {
      ImportDeclaration: check,
      ExportNamedDeclaration: check,
      ExportAllDeclaration: check,
      ImportExpression: check,
      TSImportType: check,
    };
  },
};
