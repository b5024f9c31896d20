// SPDX-License-Identifier: GPL-2.0-only
/**
 * Numbers that are one boot's own: of IOMMU groups and of character device majors. A recorded number stands for the number
 * that has its place here, from the first record on in which both are given out, and for no other.
 */

type Role = "group" | "major";

const PLACES =
  /(?<group>\/dev\/vfio\/|iommu_groups\/|\/virtual\/vfio\/|\/class\/vfio\/|iommu group |DEVNAME=vfio\/)(?<g>\d+)|(?<major>MAJOR=|major_number:|: major )(?<m>\d+)/g;
/** Directories whose entries are called after groups. */
const OF_GROUPS = /^(\/dev\/vfio|\/sys\/kernel\/iommu_groups|\/sys\/class\/vfio)\/?$/;

interface Found {
  readonly role: Role;
  readonly number: string;
}
function numbersIn(text: string): Found[] {
  return [...text.matchAll(PLACES)].map(({ groups }) =>
    groups?.["g"] === undefined
      ? { role: "major", number: groups?.["m"] ?? "" }
      : { role: "group", number: groups["g"] },
  );
}
function rewritten(text: string, rewrite: (found: Found) => string): string {
  return text.replace(PLACES, (...match: unknown[]) => {
    const groups = match.at(-1) as Readonly<Record<string, string | undefined>>;
    const [before, role, number]: [string, Role, string] =
      groups["g"] === undefined
        ? [groups["major"] ?? "", "major", groups["m"] ?? ""]
        : [groups["group"] ?? "", "group", groups["g"]];
    return before + rewrite({ role, number });
  });
}

export class Roles {
  readonly #here = { group: new Map<string, string>(), major: new Map<string, string>() };

  #bind(role: Role, recorded: string, here: string): void {
    const known = this.#here[role];
    if (!known.has(recorded) && ![...known.values()].includes(here)) known.set(recorded, here);
  }
  #of({ role, number }: Found): string {
    const known = this.#here[role];
    // One that nobody knows yet is taken as it is, unless that is another one's number here.
    return known.get(number) ?? ([...known.values()].includes(number) ? `another ${number}` : number);
  }

  /** Lines that say the same but for such numbers tell which stands for which. */
  learn(recorded: readonly string[], here: readonly string[]): void {
    const shape = (text: string): string => rewritten(text, ({ role }) => `<${role}>`);
    for (const [i, line] of recorded.entries()) {
      const other = here[i];
      if (other === undefined || shape(line) !== shape(other)) continue;
      const numbers = numbersIn(other);
      for (const [k, { role, number }] of numbersIn(line).entries()) this.#bind(role, number, numbers[k]?.number ?? "");
    }
  }
  learnMajor(recorded: unknown, here: unknown): void {
    if (typeof recorded === "number" && typeof here === "number") this.#bind("major", String(recorded), String(here));
  }

  /** A recorded text as it is here. */
  text(recorded: string): string {
    return rewritten(recorded, (found) => this.#of(found));
  }
  major(recorded: unknown): unknown {
    return typeof recorded === "number" ? Number(this.#of({ role: "major", number: String(recorded) })) : recorded;
  }
  /** Entries of the directory @path. */
  entries(recorded: readonly string[], path: string): string[] {
    if (!OF_GROUPS.test(path)) return [...recorded];
    return recorded.map((e) => e.replace(/^\d+(?= )/, (number) => this.#of({ role: "group", number }))).sort();
  }
}
