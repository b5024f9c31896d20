// SPDX-License-Identifier: GPL-2.0-only
/** What is the user's to mend: one line that says what, where and how. */

/** Wrong usage or input. The message is one line; the process ends with exit code 2. */
export class InputError extends Error {
  override readonly name = "InputError";
  constructor(message: string) {
    super(message.replace(/\s*\n\s*/g, " "));
  }
}

function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const change = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(change, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}

/** The name that was probably meant, or null when nothing is near. */
export function nearest(wanted: string, names: readonly string[]): string | null {
  let best: string | null = null;
  let least = (wanted.length < 3 ? 1 : Math.max(2, Math.floor(wanted.length / 3))) + 1;
  for (const name of names) {
    const d = name.startsWith(wanted) && wanted.length > 2 ? 1 : distance(wanted.toLowerCase(), name.toLowerCase());
    if (d < least) {
      least = d;
      best = name;
    }
  }
  return best;
}

const SHOWN = 16;
/** `; did you mean X?`, or what there is to choose from. */
export function suggestion(wanted: string, names: readonly string[]): string {
  const near = nearest(wanted, names);
  if (near !== null) return `; did you mean ${near}?`;
  if (names.length === 0) return "";
  const shown = names.slice(0, SHOWN).join(", ");
  return `; there is ${shown}${names.length > SHOWN ? ", …" : ""}`;
}
