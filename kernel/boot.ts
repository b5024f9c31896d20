// SPDX-License-Identifier: GPL-2.0-only
/** State that lives as long as one boot of the machine. */
import { object_ids } from "./lib/struct.ts";
import { footprint, part_of, place } from "./sched/footprint.ts";

/** Something that is put back to its first value. */
export interface statics {
  reset(): void;
  /** What they are kept in: where the leak checker begins. */
  readonly state: object;
}

const vmlinux: statics[] = [];

/**
 * File-scope statics: one object whose members are made by `make`, at power-on and not before: while the files are still
 * being evaluated, the classes that `make` needs may not exist yet. The object itself stays the same, so that it can
 * be held in a module constant. File scope only. @into: whose statics they are; vmlinux's if not given
 */
export function per_boot<T extends object>(make: () => T, into: statics[] = vmlinux): T {
  const state = {} as T; // whole from the first reset on, before which nothing of the kernel runs
  let fill: ((state: T, fresh: T) => void) | null = null;
  const reset = (): void => {
    const fresh = make();
    fill ??= watch_members(state, Object.keys(fresh), --numbers.last);
    fill(state, fresh);
  };
  into.push({ state, reset });
  return state;
}

/**
 * Statics of which the order of changes shows nowhere but in log lines, numbers and addresses: the books of the machine, of the
 * allocator and of the checkers. They are in nobody's footprint.
 */
export function per_boot_books<T extends object>(make: () => T): T {
  const state = {} as T; // as above
  const reset = (): void => {
    Object.assign(state, make());
  };
  vmlinux.push({ state, reset });
  return state;
}

/**
 * What the actors of a scenario share besides the kernel: an object with the members of `fresh`, which tells the footprint when somebody
 * looks at it. To be made once the machine is up, anew for each run.
 */
export function shared<T extends object>(fresh: T): T {
  const state = {} as T; // filled at once
  watch_members(state, Object.keys(fresh), object_ids.next++)(state, fresh);
  return state;
}

/** Number of what was given out last: a name for its places. */
const numbers = { last: 0 };

/** A list or a table may change without its member being assigned: to read the member is as good as to write it. */
function may_change(v: unknown): boolean {
  return typeof v === "object" && v !== null && !("$mem" in v);
}
function seen(id: number, part: number, value: unknown, write: boolean): void {
  footprint.watcher?.touch(place(id, part), write || may_change(value));
}

/**
 * Gives `state` accessors that tell the footprint, written out as source so that each is fast, as those of structs are.
 * @return what stores fresh values
 */
function watch_members<T extends object>(
  state: T,
  members: readonly string[],
  id: number,
): (state: T, fresh: T) => void {
  const name = (member: string): string => JSON.stringify(member);
  const slot = (member: string): string => JSON.stringify(`$_${member}`);
  const accessors = members.map((m) => {
    const [part, kept] = [part_of(m), `this[${slot(m)}]`];
    return (
      `get ${name(m)}() { if (footprint.watcher !== null) seen(${id}, ${part}, ${kept}, false); return ${kept}; }, ` +
      `set ${name(m)}(v) { if (footprint.watcher !== null) seen(${id}, ${part}, v, true); ${kept} = v; }`
    );
  });
  const stores = members.map((m) => `state[${slot(m)}] = fresh[${name(m)}];`);
  const source = `return [{ ${accessors.join(", ")} }, (state, fresh) => { ${stores.join(" ")} }];`;
  // eslint-disable-next-line @typescript-eslint/no-implied-eval -- as in struct(): the text comes from member names only
  const make = new Function("footprint", "seen", source) as (
    ...args: unknown[]
  ) => [object, (state: T, fresh: T) => void];
  const [prototype, fill] = make(footprint, seen);
  Object.setPrototypeOf(state, prototype);
  return fill;
}

/** Power-on: every static is as the linker laid it out. */
export function reset_statics(of: readonly statics[] = vmlinux): void {
  for (const state of of) state.reset();
}

/** The data sections, as a list of the objects that per_boot() gave out. */
export function data_sections(of: readonly statics[] = vmlinux): object[] {
  return of.map((x) => x.state);
}
