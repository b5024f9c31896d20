// SPDX-License-Identifier: GPL-2.0-only
/** State that lives as long as one boot of the machine. */
import { access, build_in, object_ids, OF_THIS_KERNEL } from "./lib/struct.ts";
import { STATIC_MEMORY } from "./mm/object.ts";
import { footprint, part_of, place } from "./sched/footprint.ts";

/** Something that is put back to its first value. */
export interface statics {
  reset(): void;
  /** Whether they have been looked at since: until then they are as the linker laid them out, and hold nothing. */
  readonly made: boolean;
  /** What they are kept in: where the leak checker begins. */
  readonly state: object;
}

const vmlinux: statics[] = [];

/** Numbers of objects that one file's statics may take. */
const IDS = 0x10000;
/** The last number that was given out: a name for the places of statics, and one for each object that they are made with. */
const numbers = { last: -IDS, first_id: -2 * IDS };

/**
 * File-scope statics of one file. What `make` gives costs more than most of a short run, and a run looks at a few of all; so they are
 * made when somebody first does. Nobody can tell: whoever looks is not seen making them, and the objects are numbered on their own.
 */
class static_data<T extends object> implements statics {
  readonly state = {} as T; // whole from the first reset on, before which nothing of the kernel runs
  made = false;
  readonly #make: () => T;
  readonly #watched: boolean;
  readonly #first_id: number;
  #fill: ((state: T, fresh: T) => void) | null = null;

  constructor(make: () => T, watched: boolean) {
    this.#make = make;
    this.#watched = watched;
    this.#first_id = numbers.first_id;
    numbers.first_id -= IDS;
  }
  reset(): void {
    this.made = false;
    // Which members there are is known once they have been made.
    if (!this.#fill) this.renew();
  }
  renew(): void {
    const { armed } = access;
    const { watcher } = footprint;
    const { next } = object_ids;
    access.armed = false;
    footprint.watcher = null;
    object_ids.next = this.#first_id;
    try {
      const fresh = build_in(STATIC_MEMORY, this.#make);
      // What somebody stored before the first power-on would hide the accessors.
      if (!this.#fill) for (const member of Object.keys(this.state)) Reflect.deleteProperty(this.state, member);
      this.#fill ??= watch_members(this.state, Object.keys(fresh), this.#watched ? --numbers.last : null, this);
      this.#fill(this.state, fresh);
      this.made = true;
    } finally {
      access.armed = armed;
      footprint.watcher = watcher;
      object_ids.next = next;
    }
  }
}

/**
 * File-scope statics: one object whose members are made by `make`, after power-on and not before: while the files are still
 * being evaluated, the classes that `make` needs may not exist yet. The object itself stays the same, so that it can
 * be held in a module constant. File scope only. @make: has no effect but what it returns. @into: whose statics they are;
 * vmlinux's if not given
 */
export function per_boot<T extends object>(make: () => T, into: statics[] = vmlinux): T {
  const data = new static_data(make, true);
  into.push(data);
  return data.state;
}

/**
 * Statics of which the order of changes shows nowhere but in log lines, numbers and addresses: the books of the machine, of the
 * allocator and of the checkers. They are in nobody's footprint.
 */
export function per_boot_books<T extends object>(make: () => T): T {
  const data = new static_data(make, false);
  vmlinux.push(data);
  return data.state;
}

/** Calls `reset` at each power-on, among the statics' resets. File scope only. */
export function at_power_on(reset: () => void): void {
  vmlinux.push({ reset, made: false, state: {} });
}

/**
 * What the actors of a scenario share besides the kernel: an object with the members of `fresh`, which tells the footprint when somebody
 * looks at it. To be made once the machine is up, anew for each run.
 */
export function shared<T extends object>(fresh: T): T {
  const state = {} as T; // filled at once
  watch_members(state, Object.keys(fresh), object_ids.next++, null)(state, fresh);
  return state;
}

/** A list or a table may change without its member being assigned: to read the member is as good as to write it. */
function may_change(v: unknown): boolean {
  return typeof v === "object" && v !== null && !("$mem" in v);
}
function seen(id: number, part: number, value: unknown, write: boolean): void {
  footprint.watcher?.touch(place(id, part), write || may_change(value));
}

/**
 * Gives `state` accessors, written out as source so that each is fast, as those of structs are.
 * @id: by which they tell the footprint; null: they do not. @data: what makes the members when they are looked at; null: they are there
 * @return what stores fresh values
 */
function watch_members<T extends object>(
  state: T,
  members: readonly string[],
  id: number | null,
  data: static_data<T> | null,
): (state: T, fresh: T) => void {
  const name = (member: string): string => JSON.stringify(member);
  const slot = (member: string): string => JSON.stringify(`$_${member}`);
  const ready = data ? "if (!data.made) data.renew(); " : "";
  const tell = (part: number, value: string, write: boolean): string =>
    id === null ? "" : `if (footprint.watcher !== null) seen(${id}, ${part}, ${value}, ${write}); `;
  const accessors = members.map((m) => {
    const [part, kept] = [part_of(m), `this[${slot(m)}]`];
    return (
      `get ${name(m)}() { ${ready}${tell(part, kept, false)}return ${kept}; }, ` +
      `set ${name(m)}(v) { ${ready}${tell(part, "v", true)}${kept} = v; }`
    );
  });
  const stores = members.map((m) => `state[${slot(m)}] = fresh[${name(m)}];`);
  const source = `return [{ ${accessors.join(", ")} }, (state, fresh) => { ${stores.join(" ")} }];${OF_THIS_KERNEL}`;
  // eslint-disable-next-line @typescript-eslint/no-implied-eval -- as in struct(): the text comes from member names only
  const make = new Function("footprint", "seen", "data", source) as (
    ...args: unknown[]
  ) => [object, (state: T, fresh: T) => void];
  const [prototype, fill] = make(footprint, seen, data);
  Object.setPrototypeOf(state, prototype);
  return fill;
}

/** Power-on: every static is as the linker laid it out. */
export function reset_statics(of: readonly statics[] = vmlinux): void {
  for (const state of of) state.reset();
}

/** The data sections, as a list of the objects that per_boot() gave out and that may hold something. */
export function data_sections(of: readonly statics[] = vmlinux): object[] {
  return of.filter((x) => x.made).map((x) => x.state);
}
