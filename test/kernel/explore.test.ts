// SPDX-License-Identifier: GPL-2.0-only
/** The search with reduction reaches what full enumeration reaches, on small models; within a bound, what enumeration within it reaches. */
import test from "ava";
import { MODELS } from "./explore-models.ts";
import { search } from "./models.ts";

for (const model of MODELS) {
  test(`the reduced search misses nothing: ${model.name}`, (t) => {
    const all = search(model, "all");
    t.true(all.complete, `${all.executions} executions were not enough for all`);
    const reduced = search(model, "sleep");
    t.log(
      `${model.name}: ${all.executions} executions, ${reduced.executions} reduced (${reduced.cut} cut), ${all.outcomes.size} outcomes`,
    );
    t.true(reduced.complete);
    t.deepEqual([...reduced.outcomes].sort(), [...all.outcomes].sort());
    t.true(reduced.executions <= all.executions);
    for (const bound of [0, 1, 2]) {
      const enumerated = search(model, "all", bound);
      const bounded = search(model, "bound", bound);
      t.log(`  bound ${bound}: ${enumerated.executions}, reduced ${bounded.executions}`);
      for (const outcome of enumerated.outcomes) t.true(bounded.outcomes.has(outcome), `bound ${bound}: ${outcome}`);
      for (const outcome of bounded.outcomes) t.true(all.outcomes.has(outcome));
    }
  });
}
