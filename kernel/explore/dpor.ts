// SPDX-License-Identifier: GPL-2.0-only
/**
 * The search for every schedule that makes a difference. Each execution asks for others (races.ts); those that were not had yet are made in
 * the order in which they were asked for, so that the search is the same whoever makes the executions.
 *
 * With a bound on preemptions nothing is left out that it allows; the bound is raised step by step, and what lay beyond the last one is
 * gone on with. Without a bound, tasks sleep whose next step was had before (Godefroid, "Partial-Order Methods", 1996).
 */
import { guided_schedule, type step } from "./guided.ts";
import type { touched } from "./places.ts";
import { step_order } from "./races.ts";
import { type decision, decisions_to_token } from "./replay.ts";
import type { execution, plan, search } from "./strategy.ts";

/**
 * "sleep": no bound on preemptions, the fewest executions; "bound": up to a number of preemptions; "all": the same without reduction,
 * for who wants to know what that is good for.
 */
export type reduction = "sleep" | "bound" | "all";

/** An execution to be made. */
export interface dpor_plan {
  readonly kind: "dpor";
  readonly nth: number;
  readonly reduction: reduction;
  readonly decisions: readonly decision[];
  readonly sleep: readonly touched[];
  readonly sleep_at: number;
}

/** An execution that is asked for: the same up to a question, and another answer there. */
export interface wish {
  /** Answers up to the question, those that are not 0. */
  readonly prefix: readonly decision[];
  readonly at: number;
  /** The answers that would do, one of which is to be had; with a bound there is one. */
  readonly choices: readonly number[];
  readonly preemptions: number;
  /** Without a bound: what was done there in this execution, who slept then, and who the answers are. */
  readonly node?: {
    readonly step: number;
    readonly taken: touched;
    readonly sleep: readonly touched[];
    readonly tasks: readonly number[];
  };
}

/** What came of an execution, as far as the search goes. */
export interface dpor_execution {
  readonly wishes: readonly wish[];
  /** What the step touched that the plan's last decision began. */
  readonly first: touched | null;
}

export function dpor_schedule({ decisions, sleep, sleep_at }: dpor_plan): guided_schedule {
  return new guided_schedule({ decisions, sleep, sleep_at });
}

/** @return preemptions up to the step if `from[choice]` goes on at it */
function preemptions_with(s: step, choice: number): number {
  return s.preemptions + (s.me !== 0 && s.from[choice] !== s.me ? 1 : 0);
}

/** What an execution asks for. To be called when it has ended, however it did. @decisions: all its answers that were not 0 */
export function wishes_of(p: dpor_plan, run: guided_schedule, decisions: readonly decision[]): dpor_execution {
  run.finish();
  const last = p.decisions.at(-1)?.at ?? -1;
  const wishes: wish[] = [];
  const prefix = (at: number): readonly decision[] => decisions.filter((d) => d.at < at);
  const nowhere = { sleep: [], tasks: [] };

  for (const { at, n, step } of run.others) {
    if (at <= last) continue;
    const s = run.steps[step];
    const node = { step, taken: run.touched_by(step), ...nowhere, sleep: s?.sleep ?? [] };
    for (let choice = 1; choice < n; choice++)
      wishes.push({
        prefix: prefix(at),
        at,
        choices: [choice],
        preemptions: s ? preemptions_with(s, s.choice) : 0,
        node,
      });
  }
  if (p.reduction === "all") {
    for (const s of run.steps)
      for (let choice = 1; s.question > last && choice < s.from.length; choice++)
        wishes.push({
          prefix: prefix(s.question),
          at: s.question,
          choices: [choice],
          preemptions: preemptions_with(s, choice),
        });
    return { wishes, first: null };
  }

  const had = new Set<string>();
  for (const { at, tasks } of new step_order(run, p.reduction === "bound").requests) {
    const s = run.steps[at];
    if (!s || s.question < 0) continue;
    if (p.reduction === "bound") {
      for (const task of tasks) {
        const choice = s.from.indexOf(task);
        const key = `${s.question}:${choice}`;
        // Answer 0 is what the execution was that came here first.
        if (choice <= 0 || choice === s.choice || had.has(key)) continue;
        had.add(key);
        const preemptions = preemptions_with(s, choice);
        wishes.push({ prefix: prefix(s.question), at: s.question, choices: [choice], preemptions });
      }
      continue;
    }
    const key = `${s.question}:${tasks.join()}`;
    if (tasks.includes(s.task) || had.has(key)) continue;
    had.add(key);
    const choices = tasks.map((task) => s.from.indexOf(task));
    const node = { step: at, taken: run.touched_by(at), sleep: s.sleep, tasks };
    wishes.push({ prefix: prefix(s.question), at: s.question, choices, preemptions: 0, node });
  }
  const begun = run.steps.findIndex((s) => s.question === last);
  return { wishes, first: begun >= 0 && last >= 0 ? run.touched_by(begun) : null };
}

/** A place in the tree of executions at which more than one task is to go on. */
interface branching {
  readonly sleep: readonly touched[];
  /** In the order in which they were asked for; null for what has not been had yet. */
  readonly branches: { readonly task: number; had: touched | null }[];
}
interface waiting {
  readonly decisions: readonly decision[];
  readonly preemptions: number;
  readonly sleep: readonly touched[];
  readonly sleep_at: number;
  readonly place: branching | null;
  readonly branch: number;
  /** Its share of the tree, as one who goes down from the root at random would come to it. */
  readonly share: number;
}

export interface dpor_options {
  /** null: none. */
  readonly preemptions: number | null;
  /** Default: as the bound says. */
  readonly reduction?: reduction;
  /** Only executions whose first decision falls to this part of the fleet; nothing is left out that no other part has. */
  readonly shard?: { readonly index: number; readonly of: number };
}

export class dpor_search implements search {
  readonly #reduction: reduction;
  readonly #limit: number;
  readonly #shard: { readonly index: number; readonly of: number };
  #queue: waiting[] = [];
  #head = 0;
  /** What lies beyond the bound, by its preemptions. */
  readonly #beyond = new Map<number, waiting[]>();
  readonly #asked_for = new Set<string>();
  readonly #places = new Map<string, branching>();
  readonly #under_way = new Map<number, waiting>();
  #given = 0;
  #first_level = 0;
  /** Preemptions that executions may have now, and up to which everything was had. */
  #bound: number;
  #done_to = -1;
  #covered = 0;

  constructor({ preemptions, reduction, shard }: dpor_options) {
    this.#shard = shard ?? { index: 0, of: 1 };
    // What one part asks of another would not be heard there; who sleeps would be somebody else's affair.
    const whole = this.#shard.of === 1;
    this.#reduction = reduction ?? (preemptions === null && whole ? "sleep" : "bound");
    this.#limit = preemptions ?? Infinity;
    this.#bound = this.#reduction === "sleep" ? Infinity : 0;
    const root = { decisions: [], preemptions: 0, sleep: [], sleep_at: 0, place: null, branch: 0, share: 1 };
    this.#queue.push(root);
  }

  /** Share of the tree that was had, as far as it is known: an estimate. 1 if all was. */
  get covered(): number {
    return this.exhausted ? 1 : Math.min(this.#covered, 0.999);
  }
  /** Everything up to this many preemptions was had; null if not even that without any. Infinity: everything. */
  get bound(): number | null {
    if (this.exhausted && this.#beyond.size === 0) return Infinity;
    return this.#done_to >= 0 && this.#reduction !== "sleep" ? this.#done_to : null;
  }
  /** The bound that is worked on. */
  get working_on(): number {
    return this.#bound;
  }
  get exhausted(): boolean {
    this.#raise();
    return this.#head >= this.#queue.length && this.#under_way.size === 0;
  }

  /** All within the bound was had: the next one, if there is one. */
  #raise(): void {
    while (this.#head >= this.#queue.length && this.#under_way.size === 0) {
      if (this.#reduction === "sleep" || this.#done_to >= this.#limit) return;
      this.#done_to = this.#bound;
      if (this.#beyond.size === 0 || this.#bound >= this.#limit) {
        if (this.#beyond.size === 0) this.#done_to = this.#limit;
        return;
      }
      this.#bound++;
      const more = this.#beyond.get(this.#bound) ?? [];
      this.#beyond.delete(this.#bound);
      this.#queue = more;
      this.#head = 0;
    }
  }

  next(): dpor_plan | null {
    this.#raise();
    const job = this.#queue[this.#head];
    if (!job) return null;
    const elder = job.place?.branches.slice(0, job.branch) ?? [];
    // Who is to sleep is known once those before it were had.
    if (elder.some((b) => b.had === null)) return null;
    this.#head++;
    if (this.#head > 10_000) {
      this.#queue = this.#queue.slice(this.#head);
      this.#head = 0;
    }
    const nth = this.#given++;
    this.#under_way.set(nth, job);
    const sleep = [...job.sleep, ...elder.map((b) => b.had).filter((had) => had !== null)];
    const { decisions, sleep_at } = job;
    // The parts of a fleet divide all first decisions there are among them.
    const reduction = nth === 0 && this.#shard.of > 1 ? "all" : this.#reduction;
    return { kind: "dpor", nth, reduction, decisions, sleep, sleep_at };
  }

  /** In the order of next(). */
  learn(done: plan, { dpor }: execution): void {
    const { wishes, first } = dpor ?? { wishes: [], first: null };
    const job = this.#under_way.get(done.nth);
    if (!job) throw new Error("an execution came back that was not given out");
    this.#under_way.delete(done.nth);
    const mine = job.place?.branches[job.branch];
    if (mine) mine.had = first ?? { task: mine.task, all: true, reads: [], writes: [] };
    const fresh: Omit<waiting, "share">[] = [];
    for (const w of wishes) {
      const wanted = w.node && this.#reduction === "sleep" ? this.#branch(w, w.node) : this.#once(w);
      if (wanted && this.#is_mine(wanted, done.nth)) fresh.push(wanted);
    }
    // One who goes down at random ends here or in one of these, all alike.
    const share = job.share / (fresh.length + 1);
    this.#covered += share;
    for (const f of fresh) this.#enqueue({ ...f, share });
  }
  #is_mine({ decisions }: Omit<waiting, "share">, nth: number): boolean {
    if (this.#shard.of === 1 || decisions.length > 1) return true;
    return nth === 0 && this.#first_level++ % this.#shard.of === this.#shard.index;
  }
  #enqueue(w: waiting): void {
    if (w.preemptions <= this.#bound) {
      this.#queue.push(w);
      return;
    }
    const there = this.#beyond.get(w.preemptions);
    if (there) there.push(w);
    else this.#beyond.set(w.preemptions, [w]);
  }

  #once({ prefix, at, choices, preemptions }: wish): Omit<waiting, "share"> | null {
    const decisions = [...prefix, { at, choice: choices[0] ?? 0 }];
    const key = decisions_to_token(decisions);
    if (this.#asked_for.has(key)) return null;
    this.#asked_for.add(key);
    return { decisions, preemptions, sleep: [], sleep_at: 0, place: null, branch: 0 };
  }

  #branch(w: wish, node: NonNullable<wish["node"]>): Omit<waiting, "share"> | null {
    const { prefix, at, choices } = w;
    if (node.tasks.length === 0) {
      // Something other than a switch: the step is another one then, with the same who sleep.
      const once = this.#once(w);
      return once && { ...once, sleep: node.sleep, sleep_at: node.step };
    }
    const key = `${decisions_to_token(prefix)}@${at}`;
    let place = this.#places.get(key);
    if (!place) {
      place = { sleep: node.sleep, branches: [{ task: node.taken.task, had: node.taken }] };
      this.#places.set(key, place);
    }
    const there = new Set([...place.branches, ...place.sleep].map((b) => b.task));
    if (node.tasks.some((task) => there.has(task))) return null;
    const [choice = 0] = choices;
    const [task = 0] = node.tasks;
    const branch = place.branches.push({ task, had: null }) - 1;
    const decisions = [...prefix, { at, choice }];
    return { decisions, preemptions: 0, sleep: node.sleep, sleep_at: node.step, place, branch };
  }
}
