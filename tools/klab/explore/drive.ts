// SPDX-License-Identifier: GPL-2.0-only
/**
 * A search at work: plans are handed to a crew, what comes back is learned from and looked at in the order in which it was given out,
 * whoever was faster; so the same search finds the same, whoever does the work.
 */
import type { dpor_execution } from "../../../kernel/explore/dpor.ts";
import type { plan } from "../../../kernel/explore/strategy.ts";
import type { decision_kind } from "../../../kernel/sched/decide.ts";
import { type Crew, type Executed, Lost, type Result, type SubjectName, type Task } from "./crew.ts";
import type { Execution } from "./execution.ts";
import { type Finding, findingOfEnd, type Found, keyOf, membersOf, roughKeyOf } from "./finding.ts";
import { type Small, sizeOf } from "./shrink.ts";

/** An execution to be made. */
export interface Job {
  readonly of: SubjectName;
  readonly plan: plan;
  /** Kinds of questions that the search wants to know of. */
  readonly listed: readonly decision_kind[];
}

/** What is tried, and what counts as new. */
export interface Searching {
  /** @return null if nothing can be given out before more has been learned, or at all */
  next(): Job | null;
  /** In the order of next(). */
  learn(job: Job, seen: Execution, learned: dpor_execution | undefined): void;
  /** Two findings of one name are one. */
  nameOf(finding: Finding): string;
  /** Runs that making a finding small may take. */
  shrinking(finding: Finding): number;
}

/** Why it ended. */
export type Why = "done" | "executions" | "time" | "stopped";

export interface DriveOptions {
  /** Executions at most, not counted those that make findings small. */
  readonly executions?: number | undefined;
  /** Seconds of the host at most, from when everything is loaded. */
  readonly seconds?: number | undefined;
  readonly stop?: AbortSignal | undefined;
  /**
   * What is found is made small before anything else is tried, and not at the end. Where time is limited it has half of it: the rest is
   * for finding more, and what is not small when the time is over stays as it is.
   */
  readonly smallFirst: boolean;
  readonly onFound?: ((found: Found) => void) | undefined;
  /** As soon as something is known to be new, and before it is made small. */
  readonly onNews?: ((finding: Finding, seconds: number) => void) | undefined;
  /** After each execution. */
  readonly onStep?: ((executions: number, found: number) => void) | undefined;
}

export interface Driven {
  readonly executions: number;
  /** With those that looked closer, and made findings small. */
  readonly runs: number;
  /** Executions that were cut at a limit. */
  readonly cut: number;
  readonly seconds: number;
  /** Seconds of these that went by until everything was loaded. */
  readonly loading: number;
  readonly why: Why;
  /** In the order in which they were found. */
  readonly findings: readonly Found[];
  /** How many of these are not as small as they could be, for want of time. */
  readonly large: number;
}

/** Seconds that what is under way is waited for when somebody wants it to end. */
const GRACE = 3;

/** Which findings are known. */
class Ledger {
  readonly #nameOf: (finding: Finding) => string;
  readonly #names = new Set<string>();
  /** Keys of what needs no failure: it is no news when something else fails as well. */
  readonly #unaided = new Set<string>();
  constructor(nameOf: (finding: Finding) => string) {
    this.#nameOf = nameOf;
  }
  /** @return whether it is new */
  enter(finding: Finding): boolean {
    const [key, name] = [keyOf(finding), this.#nameOf(finding)];
    if (this.#unaided.has(key) || this.#names.has(name)) return false;
    this.#names.add(name);
    if (finding.injected.length === 0) this.#unaided.add(key);
    return true;
  }
}

/** An execution that said something; in the order of the executions. */
interface Heard {
  readonly job: Job;
  readonly executions: number;
  readonly seconds: number;
  /** As it was seen first; reports may lack stacks. */
  readonly seen: Execution;
  /** With all stacks; null until it is there. */
  whole: Execution | null;
  asked: boolean;
}
/** Findings of one execution that are made small together: what was run for one is known for the next, and no task takes too long. */
interface Making {
  readonly heard: Heard;
  readonly findings: readonly Finding[];
  /** null until it is there. */
  small: readonly Small[] | null;
  asked: boolean;
}
const TOGETHER = 8;

class Drive {
  readonly #crew: Crew;
  readonly #search: Searching;
  readonly #options: DriveOptions;
  readonly #start = performance.now();
  readonly #back = new Map<number, { job: Job; done: Executed }>();
  readonly #heard: Heard[] = [];
  readonly #making: Making[] = [];
  readonly #timesHeard = new Map<string, number>();
  readonly #known: Ledger;
  readonly #kept: Ledger;
  readonly #findings: Found[] = [];
  #given = 0;
  #learned = 0;
  #runs = 0;
  #cut = 0;
  #underWay = 0;
  #large = 0;
  /** Seconds of the crew. */
  readonly #spent = { finding: 0, shrinking: 0 };
  #loading: number | null = null;
  #why: Why = "done";
  #failure: { error: unknown } | null = null;
  #wake = (): void => {};

  constructor(crew: Crew, search: Searching, options: DriveOptions) {
    this.#crew = crew;
    this.#search = search;
    this.#options = options;
    const nameOf = (finding: Finding): string => search.nameOf(finding);
    this.#known = new Ledger(nameOf);
    this.#kept = new Ledger(nameOf);
    void crew.loaded.then(() => (this.#loading = this.#seconds));
  }
  get #seconds(): number {
    return (performance.now() - this.#start) / 1000;
  }

  /** When the time is over, in ms of the calendar, which all threads share; null if it is not limited. */
  get #end(): number | null {
    const { seconds } = this.#options;
    return seconds === undefined || this.#loading === null
      ? null
      : Date.now() + 1000 * (seconds + this.#loading - this.#seconds);
  }

  async run(): Promise<Driven> {
    const { stop } = this.#options;
    const wake = (): void => this.#wake();
    let late: NodeJS.Timeout | undefined;
    let waited = false;
    const hurry = (): void => {
      late = setTimeout(() => {
        waited = true;
        wake();
      }, 1000 * GRACE);
      wake();
    };
    stop?.addEventListener("abort", hurry);
    if (stop?.aborted) hurry();
    try {
      for (;;) {
        const changed = new Promise<void>((woken) => (this.#wake = woken));
        this.#look();
        while (this.#underWay < this.#crew.width && this.#give());
        if (this.#failure) throw this.#failure.error;
        if (this.#underWay === 0 || waited) break;
        await changed;
      }
    } finally {
      stop?.removeEventListener("abort", hurry);
      clearTimeout(late);
    }
    this.#abandon();
    return {
      executions: this.#learned,
      runs: this.#runs,
      cut: this.#cut,
      seconds: this.#seconds,
      loading: this.#loading ?? 0,
      why: this.#why,
      findings: this.#findings,
      large: this.#large,
    };
  }

  #limit(): Why | null {
    const { stop, seconds = Infinity, executions = Infinity } = this.#options;
    if (stop?.aborted) return "stopped";
    if (this.#loading !== null && this.#seconds - this.#loading > seconds) return "time";
    return this.#given >= executions ? "executions" : null;
  }
  /** Hands out the next thing. @return whether there was one */
  #give(): boolean {
    const why = this.#limit();
    if (why !== null && this.#why !== "stopped") this.#why = why;
    if (this.#giveWhole()) return true;
    // Who wants to stop does not want to wait until everything is small.
    if (why === "stopped") return false;
    const { smallFirst, seconds } = this.#options;
    const { finding, shrinking } = this.#spent;
    if (smallFirst && why === null && (seconds === undefined || shrinking <= finding) && this.#giveShrink())
      return true;
    const job = why === null ? this.#search.next() : null;
    if (job) {
      this.#given++;
      const { of, plan, listed } = job;
      const back = (done: Executed): void => void this.#back.set(plan.nth, { job, done });
      this.#ask({ kind: "execute", of, plan, listed }, back, (lost) =>
        back({ seen: executionLost(lost), learned: undefined }),
      );
      return true;
    }
    return !(smallFirst && why === "time") && this.#giveShrink();
  }
  #giveWhole(): boolean {
    const heard = this.#heard.find((h) => h.whole === null && !h.asked);
    if (!heard) return false;
    heard.asked = true;
    const { job, seen } = heard;
    this.#runs++;
    const members = [...membersOf(seen)];
    this.#ask(
      { kind: "whole", of: job.of, decisions: seen.decisions, members },
      (whole) => (heard.whole = whole),
      // Without its stacks is better than not at all.
      () => (heard.whole = seen),
    );
    return true;
  }
  #giveShrink(): boolean {
    const making = this.#making.find((m) => m.small === null && !m.asked);
    if (!making) return false;
    making.asked = true;
    const { heard, findings } = making;
    const wanted = findings.map((finding) => ({ finding, most: this.#search.shrinking(finding) }));
    this.#ask(
      { kind: "shrink", of: heard.job.of, decisions: heard.seen.decisions, wanted, until: this.#end },
      ({ small, runs }) => {
        this.#runs += runs;
        making.small = small;
      },
      () => (making.small = asTheyAre(making)),
    );
    return true;
  }
  #ask<T extends Task>(task: T, then: (result: Result<T>) => void, lost: (lost: Lost) => void): void {
    this.#underWay++;
    const begun = this.#seconds;
    void this.#crew
      .do(task)
      .then(then, (error: unknown) => {
        if (error instanceof Lost) lost(error);
        else this.#failure ??= { error };
      })
      .finally(() => {
        this.#spent[task.kind === "shrink" ? "shrinking" : "finding"] += this.#seconds - begun;
        this.#underWay--;
        this.#wake();
      });
  }

  /** What came back, in order: learned from, looked at, kept. */
  #look(): void {
    for (let next = this.#back.get(this.#learned); next; next = this.#back.get(this.#learned)) {
      this.#back.delete(this.#learned++);
      this.#runs++;
      const { job, done } = next;
      const { seen } = done;
      if (seen.end === "endless" || seen.end === "threw" || seen.end === "lost") this.#cut++;
      this.#search.learn(job, seen, done.learned);
      const news = this.#isNews(seen);
      if (seen.reports.size > 0 && (seen.whole || news)) {
        const whole = seen.whole ? seen : null;
        this.#heard.push({ job, executions: this.#learned, seconds: this.#seconds, seen, whole, asked: false });
      }
      this.#options.onStep?.(this.#learned, this.#findings.length);
    }
    for (let [heard] = this.#heard; heard?.whole; [heard] = this.#heard) {
      this.#heard.shift();
      const findings = [...heard.whole.reports.values()].filter((finding) => this.#known.enter(finding));
      if (findings.length === 0) continue;
      for (const finding of findings) this.#options.onNews?.(finding, heard.seconds);
      for (let at = 0; at < findings.length; at += TOGETHER) {
        const some = findings.slice(at, at + TOGETHER);
        const making: Making = { heard, findings: some, small: null, asked: false };
        // What needs no decision cannot be smaller.
        const done = heard.seen.decisions.length === 0 || some.every((f) => this.#search.shrinking(f) === 0);
        if (done) making.small = asTheyAre(making);
        this.#making.push(making);
      }
    }
    for (let [making] = this.#making; making?.small; [making] = this.#making) {
      this.#making.shift();
      for (const small of making.small) this.#keep(making.heard, small);
    }
  }
  /** The first time something comes, the second, the fourth, …: the same words may come from other places. */
  #isNews({ reports }: Execution): boolean {
    let news = false;
    for (const finding of reports.values()) {
      const key = roughKeyOf(finding);
      const times = (this.#timesHeard.get(key) ?? 0) + 1;
      this.#timesHeard.set(key, times);
      if ((times & (times - 1)) === 0) news = true;
    }
    return news;
  }
  #keep({ job, executions, seconds }: Heard, { finding, decisions, done }: Small): void {
    // What it was made into may have been there before.
    if (!this.#kept.enter(finding)) return;
    if (!done) this.#large++;
    const { scenario, mode } = job.of;
    const found = { finding, scenario, mode, decisions, size: sizeOf(decisions), executions, seconds };
    this.#findings.push(found);
    this.#options.onFound?.(found);
  }
  /** Ends with what there is: reports without their stacks, findings that nobody made small. */
  #abandon(): void {
    for (const heard of this.#heard) heard.whole ??= heard.seen;
    this.#look();
    for (const making of this.#making) making.small ??= asTheyAre(making, false);
    this.#look();
  }
}

function asTheyAre({ heard, findings }: Making, done = true): Small[] {
  return findings.map((finding) => ({ finding, decisions: heard.seen.decisions, done }));
}
function executionLost({ message, decisions }: Lost): Execution {
  const finding = findingOfEnd(message);
  const reports = new Map([[keyOf(finding), finding]]);
  return { end: "lost", reports, whole: true, decisions, questions: [], asked: decisions.length, faultQuestions: 0 };
}

/** Until it is done or a limit is reached. @throws InputError if what is searched cannot be loaded */
export function drive(crew: Crew, search: Searching, options: DriveOptions): Promise<Driven> {
  return new Drive(crew, search, options).run();
}
