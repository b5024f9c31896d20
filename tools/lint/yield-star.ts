// SPDX-License-Identifier: GPL-2.0-only
/**
 * klab/yield-star: a call that may wait is waited for at once.
 *
 * Such a call only makes an iterable; what it stands for happens when `yield*` consumes it. TypeScript accepts an
 * iterable that is dropped, tested or stored, so a lock would silently not be taken.
 */
import type { Rule } from "eslint";
import ts from "typescript";
import { type MayBlock, typesOf } from "./may-block.ts";

/** The outermost expression whose value is that of `node`, unchanged. */
function carrierOf(node: ts.Expression, checker: ts.TypeChecker, mayBlock: MayBlock): ts.Expression {
  for (;;) {
    const p = node.parent;
    const handsOn =
      ts.isParenthesizedExpression(p) ||
      ts.isNonNullExpression(p) ||
      ts.isSatisfiesExpression(p) ||
      (ts.isAssertionExpression(p) && mayBlock.type(checker.getTypeAtLocation(p))) ||
      (ts.isConditionalExpression(p) && p.condition !== node) ||
      (ts.isBinaryExpression(p) &&
        (p.operatorToken.kind === ts.SyntaxKind.QuestionQuestionToken ||
          (p.operatorToken.kind === ts.SyntaxKind.CommaToken && p.right === node)));
    if (!handsOn) return node;
    node = p;
  }
}

function enclosingFunction(node: ts.Node): ts.SignatureDeclaration | undefined {
  return ts.findAncestor(node.parent, ts.isFunctionLike);
}

/** Does what `fn` returns reach a caller who knows that it has to be waited for? klab/colour sees to callers of a pointer. */
function returnsMayBlock(
  fn: ts.SignatureDeclaration | undefined,
  checker: ts.TypeChecker,
  mayBlock: MayBlock,
): boolean {
  // A generator gives what it returns to `yield*`, which does not look into it.
  if (!fn || ("asteriskToken" in fn && fn.asteriskToken)) return false;
  const signature = checker.getSignatureFromDeclaration(fn);
  return signature !== undefined && mayBlock.type(signature.getReturnType());
}

/** Is `arg` passed to a parameter that is declared to take a call that may wait? */
function parameterMayBlock(
  call: ts.CallExpression | ts.NewExpression,
  arg: ts.Expression,
  checker: ts.TypeChecker,
  mayBlock: MayBlock,
): boolean {
  // The declaration, not the instantiated signature: Array.prototype.push takes anything and waits for nothing.
  const declared = checker.getResolvedSignature(call)?.getDeclaration()?.parameters ?? [];
  const parameters = declared.filter(({ name }) => name.getText() !== "this");
  // What is beyond the last parameter belongs to it: a rest parameter, or it would not compile.
  const parameter = parameters[call.arguments?.indexOf(arg) ?? 0] ?? parameters.at(-1);
  if (!parameter) return false;
  const type = checker.getTypeAtLocation(parameter);
  const element = parameter.dotDotDotToken && checker.getIndexTypeOfType(type, ts.IndexKind.Number);
  return mayBlock.type(element ?? type);
}

const CONDITIONS: ReadonlySet<ts.SyntaxKind> = new Set([
  ts.SyntaxKind.IfStatement,
  ts.SyntaxKind.WhileStatement,
  ts.SyntaxKind.DoStatement,
  ts.SyntaxKind.ConditionalExpression,
  ts.SyntaxKind.SwitchStatement,
  ts.SyntaxKind.CaseClause,
]);

/**
 * `const path = try_or_wait(); return path ? wait(path) : READY;`
 *
 * What gives an iterable only if it has to wait cannot be the operand of `yield*` before that is known. It may be kept
 * in a constant then, if something that is done with the constant waits for it.
 */
function keptUntilKnown(carrier: ts.Expression, checker: ts.TypeChecker, mayBlock: MayBlock): boolean {
  const kept = carrier.parent;
  if (!ts.isVariableDeclaration(kept) || !(kept.parent.flags & ts.NodeFlags.Const)) return false;
  const type = checker.getTypeAtLocation(carrier);
  if (!type.isUnion() || type.types.every((part) => mayBlock.type(part))) return false;
  const constant = checker.getSymbolAtLocation(kept.name);
  const isWaitedFor = (node: ts.Node): boolean =>
    (ts.isIdentifier(node) &&
      node !== kept.name &&
      checker.getSymbolAtLocation(node) === constant &&
      misuse(node, checker, mayBlock) === null) ||
    (ts.forEachChild(node, isWaitedFor) ?? false);
  return isWaitedFor(kept.parent.parent.parent);
}

/** What is wrong with the use that is made of `node`; null when it is waited for. */
function misuse(node: ts.Expression, checker: ts.TypeChecker, mayBlock: MayBlock): string | null {
  const carrier = carrierOf(node, checker, mayBlock);
  const p = carrier.parent;
  if (ts.isYieldExpression(p)) return p.asteriskToken ? null : "yielded without the star";
  if (ts.isReturnStatement(p) || ts.isArrowFunction(p)) {
    const fn = ts.isArrowFunction(p) ? p : enclosingFunction(p);
    return returnsMayBlock(fn, checker, mayBlock) ? null : "returned to a caller who does not wait";
  }
  if ((ts.isCallExpression(p) || ts.isNewExpression(p)) && p.expression !== carrier) {
    return parameterMayBlock(p, carrier, checker, mayBlock) ? null : "passed where a plain value is expected";
  }
  if (keptUntilKnown(carrier, checker, mayBlock)) return null;
  if (ts.isExpressionStatement(p) || ts.isVoidExpression(p)) return "dropped";
  if (ts.isForStatement(p)) return p.condition === carrier ? "used as a condition" : "dropped";
  if (CONDITIONS.has(p.kind)) return "used as a condition";
  if (ts.isBinaryExpression(p) && p.operatorToken.kind === ts.SyntaxKind.CommaToken) return "dropped";
  if (ts.isBinaryExpression(p) && p.operatorToken.kind !== ts.SyntaxKind.EqualsToken) return "used as an operand";
  if (ts.isPrefixUnaryExpression(p) || ts.isTypeOfExpression(p)) return "used as an operand";
  return "used as a value";
}

export const yieldStar: Rule.RuleModule = {
  meta: {
    type: "problem",
    docs: { description: "a call that may wait is the operand of yield*" },
    schema: [],
    messages: { forgotten: "{{callee}}() may wait, and its call is {{use}}: write `yield*` before it." },
  },
  create(context) {
    const { checker, mayBlock, tsNodeOf } = typesOf(context);
    return {
      CallExpression(esNode) {
        const node = tsNodeOf(esNode) as ts.CallExpression;
        if (ts.isYieldExpression(node.parent) && node.parent.asteriskToken) return; // nearly all of them, at no cost
        if (!mayBlock.type(checker.getTypeAtLocation(node))) return;
        const use = misuse(node, checker, mayBlock);
        if (use === null) return;
        const callee = node.expression.getText().replace(/\s+/g, " ");
        context.report({ node: esNode, messageId: "forgotten", data: { callee, use } });
      },
    };
  },
};
