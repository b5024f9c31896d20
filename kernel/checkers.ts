// SPDX-License-Identifier: GPL-2.0-only
/**
 * The switch of all checkers at once: what a kernel without any debugging option is like. For measuring what they cost, and for
 * who only wants to know what a run does. What a kernel says in any case stays: oopses, WARN(), refcount_t, hung tasks.
 */

/** Set at power-on, before anything else; not to be changed while the machine runs. */
export const checkers = { on: true };
