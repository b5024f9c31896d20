// SPDX-License-Identifier: GPL-2.0-only
/**
 * klab/colour: a function that may wait is not stored where plain functions are called from.
 *
 * To TypeScript every function is a `() => void`, so a table of plain function pointers accepts a generator, and a call
 * through the table would then do nothing. klab/yield-star cannot see that: there the call has type void.
 */
import type { Rule } from "eslint";
import ts from "typescript";
import { typesOf } from "./may-block.ts";

/** The type that the place of `node` asks for. */
function wantedType(node: ts.Node, checker: ts.TypeChecker): ts.Type | undefined {
  if (!ts.isMethodDeclaration(node)) return ts.isExpression(node) ? checker.getContextualType(node) : undefined;
  const table = ts.isObjectLiteralExpression(node.parent) ? checker.getContextualType(node.parent) : undefined;
  const member = table && checker.getPropertyOfType(table, node.name.getText());
  return member && checker.getTypeOfSymbol(member);
}

export const colour: Rule.RuleModule = {
  meta: {
    type: "problem",
    docs: { description: "a function that may wait is not used as a plain function pointer" },
    schema: [],
    messages: { plain: "{{name}} may wait, but whoever calls it from here expects a function that does not." },
  },
  create(context) {
    const { checker, mayBlock, tsNodeOf } = typesOf(context);
    /** Looks at a value that is about to get a type somebody else declared. */
    const handOver = (esNode: unknown): void => {
      if (!esNode) return;
      const node = tsNodeOf(esNode as Rule.Node);
      if (!mayBlock.returnedBy(checker.getTypeAtLocation(node))) return;
      const wanted = wantedType(node, checker)?.getNonNullableType();
      const written = ts.isFunctionLike(node);
      // Most results other than void do not compile. `unknown` is left to functions written in place: one with a name
      // is passed like that to be registered, not to be called.
      const lost = written ? ts.TypeFlags.Void | ts.TypeFlags.Any | ts.TypeFlags.Unknown : ts.TypeFlags.Void;
      if (!wanted?.getCallSignatures().some((call) => call.getReturnType().flags & lost)) return;
      const name = written ? "This function" : node.getText().replace(/\s+/g, " ");
      context.report({ node: esNode as Rule.Node, messageId: "plain", data: { name } });
    };
    return {
      "ObjectExpression > Property": (node: { value: unknown }) => handOver(node.value),
      CallExpression: (node) => node.arguments.forEach(handOver),
      NewExpression: (node) => node.arguments.forEach(handOver),
      ArrayExpression: (node) => node.elements.forEach(handOver),
      AssignmentExpression: (node) => handOver(node.right),
      VariableDeclarator: (node) => handOver(node.init),
      PropertyDefinition: (node) => handOver(node.value),
      ReturnStatement: (node) => handOver(node.argument),
      ArrowFunctionExpression: (node) => handOver(node.expression ? node.body : null),
    };
  },
};
