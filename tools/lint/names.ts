// SPDX-License-Identifier: GPL-2.0-only
/** The two naming styles, as options of @typescript-eslint/naming-convention. */

interface Naming {
  readonly selector: string | readonly string[];
  readonly format: readonly string[] | null;
  readonly modifiers?: readonly string[];
  readonly custom?: { readonly regex: string; readonly match: boolean };
  readonly filter?: { readonly regex: string; readonly match: boolean };
  readonly leadingUnderscore?: string;
  readonly trailingUnderscore?: string;
}

/** Free, because the name is somebody else's: imported, taken out of an object, or no identifier at all. */
const NOT_OURS: readonly Naming[] = [
  { selector: "import", format: null },
  { selector: ["variable", "parameter"], modifiers: ["destructured"], format: null },
  {
    selector: [
      "classProperty",
      "classMethod",
      "objectLiteralProperty",
      "objectLiteralMethod",
      "typeProperty",
      "typeMethod",
    ],
    modifiers: ["requiresQuotes"],
    format: null,
  },
];

const named = (...alternatives: string[]): Pick<Naming, "format" | "custom"> => ({
  format: null, // the rule's own snake_case knows neither __names nor names like VFIO_TYPE1v2_IOMMU
  custom: { regex: `^(${alternatives.join("|")})$`, match: true },
});
/** A leading `$` marks a member that the C struct does not have. */
const SNAKE = "[_$]*[a-z][a-z0-9_]*";
const UPPER = "_*[A-Z]([A-Z0-9_]|v[0-9])*";
/** Words of either kind: dev_WARN, VFIO_TYPE1v2_IOMMU, PCI_D3hot; but no camelCase. */
const MIXED = "[_$]*(([a-z0-9]+|[A-Z0-9]+(v[0-9]+|hot|cold)?)(_+|$))+";
const LANGUAGE =
  "^(toString|toJSON|ownKeys|(get|set)PrototypeOf|getOwnPropertyDescriptor|(define|delete)Property|isExtensible|preventExtensions)$";
const COLOURS = "Spins|Sleeps|CpuPoint|SleepPoint";

export const KERNEL_NAMES: readonly Naming[] = [
  { selector: "default", ...named(MIXED) },
  { selector: "parameter", ...named(SNAKE, "_+") },
  { selector: "typeLike", ...named(SNAKE, COLOURS) },
  { selector: "typeParameter", ...named("[A-Z][A-Za-z]*") },
  // What the language itself calls by name, the traps of a Proxy among it.
  { selector: "memberLike", filter: { regex: LANGUAGE, match: true }, format: null },
  ...NOT_OURS,
];

const UNDERSCORES = { leadingUnderscore: "allow", trailingUnderscore: "allow" } as const;

const ORDINARY_NAMES: readonly Naming[] = [
  { selector: "default", format: ["camelCase"], ...UNDERSCORES },
  { selector: ["variable", "memberLike"], format: ["camelCase", "UPPER_CASE", "PascalCase"], ...UNDERSCORES },
  { selector: "typeLike", format: ["PascalCase"] },
  // VFIO_TYPE1v2_IOMMU is a constant, whatever UPPER_CASE says.
  { selector: ["variable", "memberLike"], filter: { regex: `^${UPPER}$`, match: true }, format: null },
  ...NOT_OURS,
];

export const TOOL_NAMES: readonly Naming[] = [
  ...ORDINARY_NAMES,
  // Kernel functions by their names, `{ mutex_lock }`, and keys of JSON.
  {
    selector: ["objectLiteralProperty", "typeProperty"],
    format: ["camelCase", "UPPER_CASE", "PascalCase", "snake_case"],
    ...UNDERSCORES,
  },
];

/** Tests fill in the members of structs and of operation tables, and bring tasks and structs of their own. */
export const TEST_NAMES: readonly Naming[] = [
  ...ORDINARY_NAMES,
  { selector: ["objectLiteralProperty", "objectLiteralMethod", "typeProperty"], format: null },
  // What a test puts into the kernel has a kernel name: it shows in traces and reports.
  { selector: "function", format: ["camelCase", "snake_case"], ...UNDERSCORES },
  { selector: "class", format: ["PascalCase", "snake_case"] },
];
