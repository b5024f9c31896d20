// SPDX-License-Identifier: GPL-2.0-only
/** Objects on the stack whose life ends with their block: `using c = on_stack(completion)`. */
import { type kobj_memory, layout_of, sizeof } from "../lib/struct.ts";
import { kmsan_poison_memory } from "./kmsan.ts";
import { bury, give_birth, type struct_ctor, take_addresses } from "./slab.ts";

/**
 * An object that is gone at the end of the block that holds it with `using`: a use after that speaks as KASAN does of the stack.
 * Nobody has written bytes of it yet.
 * @return the object
 */
export function on_stack<T extends kobj_memory>(of: struct_ctor<T>): T & Disposable {
  const size = sizeof(of);
  const type = layout_of(of)?.name ?? of.name;
  const addr = take_addresses(size, false);
  const object = give_birth(
    { kind: "stack", addr, size, usable: size, cache: null, type, usersize: size },
    () => new of(),
  );
  kmsan_poison_memory(object);
  Object.defineProperty(object, Symbol.dispose, { value: end_of_block });
  return object as T & Disposable; // the method was just defined
}
function end_of_block(this: kobj_memory): void {
  bury(this.$mem);
}
