// SPDX-License-Identifier: GPL-2.0-only
/** What a source file declares, imports and exports: as much as modpost, the series check and `klab ports` ask for. */
import ts from "typescript";

export type Kind = "function" | "class" | "value" | "type";

export interface Declared {
  readonly kind: Kind;
  /** For functions: the text without comments and white space. */
  readonly text: string;
  /** Kernel-doc tag `@inline`: a `static inline` or a macro of the C header, which needs no export. */
  readonly inline: boolean;
}

/** A name that comes from another file. `imported` is "*" for all of it. */
export interface Imported {
  readonly from: string;
  readonly imported: string;
}

export interface Summary {
  readonly declared: ReadonlyMap<string, Declared>;
  /** Imports for run time, by local name; those of types alone are not here. */
  readonly imports: ReadonlyMap<string, Imported>;
  /** Of `import * as x`: the members of x that are used. */
  readonly members: ReadonlyMap<string, ReadonlySet<string>>;
  /** Names handed on (`export { a } from "…"`), by the name they get here. */
  readonly reexports: ReadonlyMap<string, Imported>;
  /** `export * from "…"` */
  readonly reexportsAll: readonly string[];
  /** Names exported under the name they have here. */
  readonly exported: ReadonlyMap<string, string>;
  /** EXPORT_SYMBOL and EXPORT_SYMBOL_GPL */
  readonly symbols: readonly string[];
  /** `name.member` of struct(), bytestruct(), byteunion() and of file-scope statics. */
  readonly structMembers: readonly string[];
}

/** The text of a node as its tokens, so that comments, line breaks and indentation make no difference. */
function tokens(node: ts.Node, source: ts.SourceFile): string {
  const words: string[] = [];
  const visit = (n: ts.Node): void => {
    if (ts.isJSDoc(n)) return;
    const children = n.getChildren(source);
    if (children.length === 0) {
      const text = n.getText(source);
      if (text !== "") words.push(text);
      return;
    }
    children.forEach(visit);
  };
  visit(node);
  // A formatter adds and drops these as lines get longer and shorter.
  return words.filter((w, i) => !(w === "," && /^[)\]}>]$/.test(words[i + 1] ?? ""))).join(" ");
}

const STRUCTS = new Set(["struct", "bytestruct", "byteunion", "union"]);

function keysOf(object: ts.Node | undefined): string[] {
  let literal = object;
  while (literal && (ts.isParenthesizedExpression(literal) || ts.isAsExpression(literal))) literal = literal.expression;
  if (!literal || !ts.isObjectLiteralExpression(literal)) return [];
  return literal.properties.flatMap((p) =>
    p.name && (ts.isIdentifier(p.name) || ts.isStringLiteral(p.name)) ? [p.name.text] : [],
  );
}

/** Members of a call of struct("name", { … }) and its like, or of per_boot(() => ({ … })). */
function structOf(call: ts.Node | undefined, holder: string): string[] {
  if (!call || !ts.isCallExpression(call) || !ts.isIdentifier(call.expression)) return [];
  const [first, second] = call.arguments;
  if (STRUCTS.has(call.expression.text) && first && ts.isStringLiteral(first)) {
    return keysOf(second).map((key) => `${first.text}.${key}`);
  }
  if (call.expression.text !== "per_boot" || !first || !ts.isArrowFunction(first)) return [];
  return keysOf(first.body).map((key) => `${holder}.${key}`);
}

function isInline(node: ts.Node): boolean {
  return ts.getJSDocTags(node).some((tag) => tag.tagName.text === "inline");
}

/** @text: a TypeScript file's */
export function summarise(text: string): Summary {
  const source = ts.createSourceFile("x.ts", text, ts.ScriptTarget.ES2023, true, ts.ScriptKind.TS);
  const declared = new Map<string, Declared>();
  const imports = new Map<string, Imported>();
  const reexports = new Map<string, Imported>();
  const exported = new Map<string, string>();
  const reexportsAll: string[] = [];
  const symbols: string[] = [];
  const structMembers: string[] = [];
  const spaces = new Map<string, Set<string>>();

  const declare = (node: ts.Node, name: string, kind: Kind, isExported: boolean): void => {
    // Overload signatures come before the body, which is what counts.
    declared.set(name, { kind, text: kind === "function" ? tokens(node, source) : "", inline: isInline(node) });
    if (isExported) exported.set(name, name);
  };

  for (const node of source.statements) {
    const isExported =
      ts.canHaveModifiers(node) && (ts.getModifiers(node) ?? []).some((m) => m.kind === ts.SyntaxKind.ExportKeyword);
    if (ts.isImportDeclaration(node) && ts.isStringLiteral(node.moduleSpecifier)) {
      const from = node.moduleSpecifier.text;
      const clause = node.importClause;
      if (!clause || clause.isTypeOnly) continue;
      if (clause.name) imports.set(clause.name.text, { from, imported: "default" });
      const bindings = clause.namedBindings;
      if (bindings && ts.isNamespaceImport(bindings)) {
        imports.set(bindings.name.text, { from, imported: "*" });
        spaces.set(bindings.name.text, new Set());
      } else if (bindings) {
        for (const e of bindings.elements) {
          if (!e.isTypeOnly) imports.set(e.name.text, { from, imported: (e.propertyName ?? e.name).text });
        }
      }
    } else if (ts.isExportDeclaration(node)) {
      if (node.isTypeOnly) continue;
      const from = node.moduleSpecifier && ts.isStringLiteral(node.moduleSpecifier) ? node.moduleSpecifier.text : null;
      if (!node.exportClause) {
        if (from !== null) reexportsAll.push(from);
      } else if (ts.isNamedExports(node.exportClause)) {
        for (const e of node.exportClause.elements) {
          if (e.isTypeOnly) continue;
          const original = (e.propertyName ?? e.name).text;
          if (from === null) exported.set(e.name.text, original);
          else reexports.set(e.name.text, { from, imported: original });
        }
      }
    } else if (ts.isFunctionDeclaration(node) && node.name) {
      declare(node, node.name.text, "function", isExported);
    } else if (ts.isClassDeclaration(node) && node.name) {
      declare(node, node.name.text, "class", isExported);
      structMembers.push(...structOf(node.heritageClauses?.[0]?.types[0]?.expression, node.name.text));
    } else if (ts.isInterfaceDeclaration(node) || ts.isTypeAliasDeclaration(node)) {
      // A value of the same name is what an import means at run time.
      if (!declared.has(node.name.text)) declare(node, node.name.text, "type", isExported);
      // A table of functions is a struct too.
      if (ts.isInterfaceDeclaration(node)) {
        for (const m of node.members)
          if (m.name && ts.isIdentifier(m.name)) structMembers.push(`${node.name.text}.${m.name.text}`);
      }
    } else if (ts.isVariableStatement(node)) {
      for (const d of node.declarationList.declarations) {
        if (!ts.isIdentifier(d.name)) continue;
        const isFunction =
          d.initializer !== undefined && (ts.isArrowFunction(d.initializer) || ts.isFunctionExpression(d.initializer));
        declare(node, d.name.text, isFunction ? "function" : "value", isExported);
        structMembers.push(...structOf(d.initializer, d.name.text));
      }
    } else if (ts.isExpressionStatement(node) && ts.isCallExpression(node.expression)) {
      const { expression, arguments: args } = node.expression;
      const [first] = args;
      if (ts.isIdentifier(expression) && /^EXPORT_SYMBOL/.test(expression.text) && first && ts.isIdentifier(first))
        symbols.push(first.text);
    }
  }

  if (spaces.size > 0) {
    const visit = (node: ts.Node): void => {
      if (ts.isPropertyAccessExpression(node) && ts.isIdentifier(node.expression))
        spaces.get(node.expression.text)?.add(node.name.text);
      ts.forEachChild(node, visit);
    };
    visit(source);
  }
  return { declared, imports, members: spaces, reexports, reexportsAll, exported, symbols, structMembers };
}

const known = new Map<string, Summary>();

/** The same, remembered: the states of a series have nearly all of their files in common. */
export function summaryOf(text: string): Summary {
  let summary = known.get(text);
  if (!summary) known.set(text, (summary = summarise(text)));
  return summary;
}
