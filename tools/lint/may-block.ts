// SPDX-License-Identifier: GPL-2.0-only
/** Recognises the types of kernel/sched/types.ts by what they are, so that aliases, inference and generics keep them. */
import type { Rule } from "eslint";
import ts from "typescript";

/** Members keyed by a symbol are named `__@<symbol>@<id>` in the checker. */
const ITERATOR = /^__@iterator@/;
/** The unique symbols that CpuPoint and SleepPoint are keyed by. */
const POINT = /^__@(cpu|sleep)@/;

export class MayBlock {
  readonly #checker: ts.TypeChecker;
  readonly #known = new Map<ts.Type, boolean>();

  constructor(checker: ts.TypeChecker) {
    this.#checker = checker;
  }

  /** Is this, or can it be, an iterable that hands points to the scheduler? */
  type(type: ts.Type): boolean {
    let known = this.#known.get(type);
    if (known === undefined) {
      this.#known.set(type, false); // a type that refers to itself ends here
      known = this.#compute(type);
      this.#known.set(type, known);
    }
    return known;
  }

  /** Do calls of a function of this type give one? */
  returnedBy(type: ts.Type): boolean {
    return this.#results(type).some((result) => this.type(result));
  }

  #compute(type: ts.Type): boolean {
    if (type.isUnionOrIntersection()) return type.types.some((part) => this.type(part));
    if (type.flags & ts.TypeFlags.Instantiable) {
      const constraint = this.#checker.getBaseConstraintOfType(type);
      return constraint !== undefined && constraint !== type && this.type(constraint);
    }
    if (!(type.flags & ts.TypeFlags.Object)) return false; // numbers and strings: most types, at no cost
    // A list of points, in the scheduler, waits for nothing.
    if (this.#checker.isArrayType(type) || this.#checker.isTupleType(type)) return false;
    const points = this.#yielded(type);
    // A generator without a single `yield` has the inferred type Generator<never, …>; it still runs only if iterated.
    if (points.length > 0 && points.every((p) => p.flags & ts.TypeFlags.Never)) return type.symbol.name === "Generator";
    return points.some((p) => this.#parts(p).some((part) => this.#member(part, POINT) !== undefined));
  }

  /** Types of the values that iterating over `type` yields. */
  #yielded(type: ts.Type): ts.Type[] {
    return this.#results(this.#member(type, ITERATOR))
      .flatMap((iterator) => this.#results(this.#property(iterator, "next")))
      .flatMap((result) => this.#parts(result))
      .filter((result) => !this.#isTrue(this.#property(result, "done")))
      .flatMap((result) => this.#property(result, "value") ?? []);
  }

  #results(type: ts.Type | undefined): ts.Type[] {
    if (type === undefined) return [];
    return this.#parts(type).flatMap((part) => part.getCallSignatures().map((s) => s.getReturnType()));
  }

  #parts(type: ts.Type): readonly ts.Type[] {
    return type.isUnion() ? type.types : [type];
  }

  #property(type: ts.Type, name: string): ts.Type | undefined {
    const symbol = this.#checker.getPropertyOfType(type, name);
    return symbol && this.#checker.getTypeOfSymbol(symbol);
  }

  #member(type: ts.Type, name: RegExp): ts.Type | undefined {
    const symbol = this.#checker.getPropertiesOfType(type).find((s) => name.test(s.escapedName as string));
    return symbol && this.#checker.getTypeOfSymbol(symbol);
  }

  #isTrue(type: ts.Type | undefined): boolean {
    return type !== undefined && this.#checker.typeToString(type) === "true";
  }
}

/** What typescript-eslint's parser gives to rules. */
interface TypeServices {
  readonly program: ts.Program;
  readonly esTreeNodeToTSNodeMap: { get(node: Rule.Node): ts.Node };
}

/** One per program: what is known of a type holds for all its files. */
const perProgram = new WeakMap<ts.Program, MayBlock>();

/** What a type-aware rule works with. */
export function typesOf(context: Rule.RuleContext): {
  readonly checker: ts.TypeChecker;
  readonly mayBlock: MayBlock;
  readonly tsNodeOf: (node: Rule.Node) => ts.Node;
} {
  const { program, esTreeNodeToTSNodeMap } = context.sourceCode.parserServices as TypeServices;
  const checker = program.getTypeChecker();
  let mayBlock = perProgram.get(program);
  if (!mayBlock) perProgram.set(program, (mayBlock = new MayBlock(checker)));
  return { checker, mayBlock, tsNodeOf: (node) => esTreeNodeToTSNodeMap.get(node) };
}
