// SPDX-License-Identifier: GPL-2.0-only
/** What of each C file is in its port, by name, against the inventory of the C files. */
import { portOf } from "../paths.ts";
import type { Tree } from "../states/tree.ts";
import { FILES_LEFT_OUT, LEFT_OUT } from "./left-out.ts";
import { portName } from "./port-name.ts";
import { type Summary, summaryOf } from "./summary.ts";

/** One file of inventory.json. */
export interface CFile {
  readonly functions?: readonly string[];
  readonly members?: readonly string[];
  readonly macros?: readonly string[];
  readonly enumerators?: readonly string[];
}
/** Of one header in uapi-layout.json: what a C compiler makes of it. */
export interface HeaderLayout {
  /** By name; a member's offset in bytes. */
  readonly structs: Readonly<
    Record<string, { readonly size: number; readonly members: Readonly<Record<string, number>> }>
  >;
  /** Macros that are values, and enumerators. 64-bit ones are texts of digits. */
  readonly constants: Readonly<Record<string, number | string>>;
}

export interface LeftOut {
  readonly name: string;
  readonly why: string;
}
export interface Share {
  readonly have: number;
  readonly missing: readonly string[];
  /** Not there, and not missed. */
  readonly leftOut: readonly LeftOut[];
}
export interface Port {
  readonly c: string;
  /** null if there is no such file yet. */
  readonly ts: string | null;
  readonly functions: Share;
  readonly members: Share;
  readonly macros: Share;
  readonly enumerators: Share;
  /** Why there is no such file and will be none. */
  readonly leftOut: string | null;
}

type Reasons = Readonly<Record<string, string>>;

function share(names: readonly string[] | undefined, there: (name: string) => boolean, reasons: Reasons): Share {
  const all = names ?? [];
  const absent = all.filter((name) => !there(portName(name)));
  const missing = absent.filter((name) => reasons[name] === undefined);
  return {
    have: all.length - absent.length,
    missing,
    leftOut: absent.flatMap((name) => {
      const why = reasons[name];
      return why === undefined ? [] : [{ name, why }];
    }),
  };
}

/** Include guards, which a module needs none of. */
const GUARD = /_H_*$/;

/** A member of a struct or union without a name is one of what that is in: `s::__anon1.m` is `s.m`. */
export function withoutAnonymous(member: string): string {
  return member.replace(/(?:::__anon[0-9a-f]+)+/, "");
}

/** Names that an object literal gives: `export const vfio_state = { VFIO_X: 1 } as const`. */
function mentions(summary: Summary, text: string, name: string): boolean {
  return (
    summary.declared.has(name) || summary.reexports.has(name) || new RegExp(`(?:^|[{,\\s])${name}\\s*:`).test(text)
  );
}

export function portsOf(tree: Tree, inventory: Readonly<Record<string, CFile>>): Port[] {
  return Object.entries(inventory).map(([c, file]) => {
    const ts = portOf(c);
    const text = tree.get(ts) ?? "";
    const summary = summaryOf(text);
    const members = new Set(summary.structMembers);
    const constant = (name: string): boolean => mentions(summary, text, name);
    const reasons = LEFT_OUT[c] ?? {};
    return {
      c,
      ts: tree.has(ts) ? ts : null,
      functions: share(file.functions, (name) => summary.declared.get(name)?.kind === "function", reasons),
      members: share(file.members?.map(withoutAnonymous), (name) => members.has(name), reasons),
      macros: share(
        file.macros?.filter((name) => !GUARD.test(name)),
        constant,
        reasons,
      ),
      enumerators: share(file.enumerators, constant, reasons),
      leftOut: FILES_LEFT_OUT[c] ?? null,
    };
  });
}
