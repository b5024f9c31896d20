// SPDX-License-Identifier: GPL-2.0-only
/** The whole table of klab bugs: every fault in exactly its states, every canary, and nothing without an explanation. */
import test from "ava";
import { main } from "../../tools/klab/main.ts";

interface Table {
  readonly rows: readonly {
    readonly id: string;
    readonly silent: boolean;
    readonly found: Readonly<Record<string, { readonly switches: number; readonly faults: number }>>;
    readonly missed: readonly string[];
    readonly unexpected: readonly string[];
  }[];
  readonly others: readonly { readonly id: string | null; readonly title: string }[];
  readonly broken: readonly string[];
}

for (const version of ["v1", "v2", "v3", "canaries"]) {
  test.serial(`klab bugs ${version}`, async (t) => {
    t.timeout(30 * 60_000);
    let out = "";
    await main(["bugs", version, "--json"], {
      stdout: { write: (text) => (out += text) },
      stderr: { write: () => true },
    });
    const { rows, others, broken } = JSON.parse(out) as Table;
    t.deepEqual(broken, []);
    t.deepEqual(
      others.filter((o) => o.id === null).map((o) => o.title),
      [],
    );
    for (const { id, silent, found, missed, unexpected } of rows) {
      if (!silent) t.deepEqual(missed, [], id);
      t.deepEqual(unexpected, [], id);
      if (version === "canaries") continue;
      for (const { switches, faults } of Object.values(found)) t.true(switches <= 3 && faults <= 1, id);
    }
  });
}
