// SPDX-License-Identifier: GPL-2.0-only
/** State that lives as long as one boot of the machine. */

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
  into.push({
    state,
    reset: () => {
      Object.assign(state, make());
    },
  });
  return state;
}

/** Power-on: every static is as the linker laid it out. */
export function reset_statics(of: readonly statics[] = vmlinux): void {
  for (const state of of) state.reset();
}

/** The data sections, as a list of the objects that per_boot() gave out. */
export function data_sections(of: readonly statics[] = vmlinux): object[] {
  return of.map((x) => x.state);
}
