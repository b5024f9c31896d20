// SPDX-License-Identifier: GPL-2.0-only
/** klab bugs: every fault of a catalogue, looked for in every state with the general scenarios alone. */
import { canaryNames } from "../states/canaries.ts";
import { type Explained, expectedIn, readCatalogue } from "../bugs/catalogue.ts";
import { type FoundRecord, generalScenarios, huntState } from "../bugs/hunt.ts";
import { InputError } from "../errors.ts";
import { threads } from "../explore/crew.ts";
import { sourceOf } from "../explore/token.ts";
import { INTERRUPTED, interruptible } from "../interrupt.ts";
import type { Shell } from "../main.ts";
import { numberOf, workersOf } from "../options.ts";
import { type State, state as stateOf, statesOf } from "../states/index.ts";
import { table, type Terminal } from "../terminal.ts";

interface Options {
  readonly time?: string;
  readonly executions?: string;
  readonly seed?: string;
  readonly workers?: string;
  readonly json?: boolean;
}

/** Executions of each state where nobody says otherwise: every single failure and event, and some hundred mixtures. */
const EXECUTIONS = 800;
const CANARIES = "canaries";

interface Row {
  readonly id: string;
  readonly what: string;
  /** False: the fault shows nothing at run time. */
  readonly visible: boolean;
  readonly expected: readonly string[];
  readonly found: Readonly<Record<string, Hit>>;
  readonly missed: readonly string[];
  /** States whose search did not end by itself, and had not found it until then. */
  readonly open: readonly string[];
  /** States that have the fault and cannot come to it, with what ends the machine before. */
  readonly masked: Readonly<Record<string, string>>;
  readonly unexpected: readonly string[];
}
interface Hit {
  readonly token: string;
  readonly executions: number;
  readonly seconds: number;
  readonly switches: number;
  readonly faults: number;
}
/** Something that is in no catalogue, once for each title and explanation. */
interface Other {
  /** Where Documentation/findings.md explains it; null if it does not. */
  readonly id: string | null;
  readonly checker: string;
  readonly title: string;
  readonly places: readonly string[];
  readonly states: readonly string[];
  readonly token: string;
}

/** The smaller of two runs that show the same: the one that was found first keeps its time. */
function better(one: Hit | undefined, other: Hit): Hit {
  if (!one) return other;
  const smaller = other.switches < one.switches || (other.switches === one.switches && other.faults < one.faults);
  return smaller ? { ...other, executions: one.executions, seconds: one.seconds } : one;
}

/** @searched: states whose search ended by itself */
export function rowsOf(
  catalogue: readonly Explained[],
  states: readonly string[],
  records: readonly FoundRecord[],
  searched: readonly string[] = states,
): Row[] {
  return catalogue.map((known) => {
    const masked = Object.fromEntries(Object.entries(known.masked ?? {}).filter(([s]) => states.includes(s)));
    const expected = states.filter((s) => expectedIn(known, s) && !(s in masked));
    const found: Record<string, Hit> = {};
    for (const { id, state, token, executions, seconds, switches, faults } of records)
      if (id === known.id) found[state] = better(found[state], { token, executions, seconds, switches, faults });
    const visible = known.seen.length > 0;
    const without = expected.filter((s) => !(s in found));
    return {
      id: known.id,
      what: known.what,
      visible,
      expected,
      found,
      missed: without.filter((s) => searched.includes(s)),
      open: without.filter((s) => !searched.includes(s)),
      masked,
      unexpected: Object.keys(found).filter((s) => !expected.includes(s)),
    };
  });
}

/** @explained: what the findings' list says, with the states that it says it of */
export function othersOf(
  catalogue: readonly Explained[],
  explained: readonly Explained[],
  records: readonly FoundRecord[],
): Other[] {
  const others = new Map<string, { -readonly [K in keyof Other]: Other[K] } & { states: string[] }>();
  for (const { id, state, checker, title, places, object, token } of records) {
    if (catalogue.some((known) => known.id === id)) continue;
    const known = explained.find((e) => e.id === id);
    // Explained elsewhere is not explained here.
    const here = known && expectedIn(known, state) ? known.id : null;
    const key = here ?? [checker, title, object, ...places].join("\0");
    const other = others.get(key);
    if (!other) others.set(key, { id: here, checker, title, places, states: [state], token });
    else if (!other.states.includes(state)) other.states.push(state);
  }
  return [...others.values()];
}

function cell(row: Row, state: string): string {
  const hit = row.found[state];
  if (hit) return row.expected.includes(state) ? `${hit.seconds.toFixed(1)}s` : "UNEXPECTED";
  const before = row.masked[state];
  if (before !== undefined) return `(${before})`;
  if (row.open.includes(state)) return "?";
  return row.expected.includes(state) ? (row.visible ? "missed" : "(silent)") : "·";
}

const LEGEND =
  "seconds until found; ·: not there; (F03): ends the machine before; (silent): nothing to see; ?: not searched to the end";

function print(terminal: Terminal, rows: readonly Row[], others: readonly Other[], states: readonly string[]): void {
  const short = (state: string): string => state.replace(/^canary:/, "");
  if (rows.length > 0 && states.length <= 10) {
    const paint = (text: string): string =>
      text === "missed" || text === "UNEXPECTED"
        ? terminal.style("red", text)
        : text === "·"
          ? terminal.style("dim", text)
          : text;
    const lines = table([
      ["fault", ...states.map(short), ""],
      ...rows.map((row) => [row.id, ...states.map((s) => paint(cell(row, s))), row.what]),
    ]);
    for (const line of lines) terminal.line(line);
    terminal.line(terminal.style("dim", LEGEND));
  } else {
    for (const line of table(
      rows.map((row) => [row.id, row.expected.map((s) => cell(row, s)).join(" ") || "·", row.what]),
    ))
      terminal.line(line);
  }
  terminal.line();
  for (const row of rows)
    for (const [state, hit] of Object.entries(row.found))
      terminal.line(`${row.id} ${state}: ${hit.switches} switches, ${hit.faults} failures or events; ${hit.token}`);
  const known = others.filter((o) => o.id !== null);
  const unknown = others.filter((o) => o.id === null);
  if (known.length > 0)
    terminal.line(
      `\nAlso found, and explained in Documentation/findings.md: ${known
        .map((o) => o.id)
        .sort()
        .join(", ")}`,
    );
  if (unknown.length > 0) terminal.line(`\n${terminal.style("red", "Found and not explained:")}`);
  for (const { title, states: where, token, places } of unknown) {
    terminal.line(`${title} (${places.join(" / ")}) in ${where.join(", ")}`);
    terminal.line(`  ${token}`);
  }
}

async function statesOfName(name: string): Promise<State[]> {
  if (name !== CANARIES) return statesOf(name);
  const states: State[] = [];
  for (const canary of canaryNames()) states.push(await stateOf(`canary:${canary}`));
  return states;
}

async function work(terminal: Terminal, name: string, options: Options): Promise<number> {
  const seconds = options.time === undefined ? null : numberOf("time", options.time, 0, 1);
  const executions = numberOf("executions", options.executions, seconds === null ? EXECUTIONS : 1_000_000, 1);
  const seed = numberOf("seed", options.seed, 1, 0);
  const workers = workersOf(options.workers);
  const catalogueName = name === CANARIES ? "canaries.json" : "faults.json";
  const catalogue = readCatalogue(catalogueName);
  const explained = readCatalogue("findings.json");
  const states = await statesOfName(name);
  const scenarios = (await generalScenarios()).map(({ id }) => id);
  const names = states.map((s) => s.name);
  const records: FoundRecord[] = [];
  const searched: string[] = [];
  const broken: string[] = [];
  let total = 0;
  const progress = terminal.progress(seconds === null ? executions * states.length : Infinity);
  const stopped = await interruptible(terminal, async (stop) => {
    for (const { name: of, dir, tree } of states) {
      if (stop.aborted) break;
      const options = { state: { name: of, dir }, scenarios, seed, catalogue, explained };
      const told = new Set<string>();
      // What a thread has loaded it never gives back.
      const crew = threads(workers);
      try {
        const { why, executions: made } = await huntState(crew, sourceOf(tree), options, {
          executions,
          seconds,
          stop,
          onFound: (record) => records.push(record),
          onNews: (id, { title }, after) => {
            // What is explained elsewhere need not be told at once, nor the same twice.
            if ((id !== null && !catalogue.some((known) => known.id === id)) || told.has(id ?? title)) return;
            told.add(id ?? title);
            progress.end();
            terminal.line(`${of} ${id ?? "not explained"}, after ${after.toFixed(1)} s: ${title}`);
          },
          onStep: () => progress.step(`${of}, ${told.size} found`),
        });
        total += made;
        if (why !== "stopped") searched.push(of);
      } catch (error) {
        if (!(error instanceof InputError)) throw error;
        broken.push(error.message);
      } finally {
        await crew.close();
        progress.end();
      }
    }
    return stop.aborted;
  });
  terminal.line();
  const rows = rowsOf(catalogue, names, records, searched);
  const others = othersOf(catalogue, explained, records);
  print(terminal, rows, others, names);
  for (const what of broken) terminal.note(what);
  const missed = rows.filter((row) => row.visible).reduce((sum, row) => sum + row.missed.length, 0);
  const wrong = rows.reduce((sum, row) => sum + row.unexpected.length, 0);
  const unknown = others.filter((o) => o.id === null).length;
  const unsearched = names.filter((n) => !searched.includes(n));
  const rest = unsearched.length > 0 ? `; not searched to the end: ${unsearched.join(", ")}` : "";
  terminal.line(
    `\n${stopped ? "stopped by hand after" : "done:"} ${total} executions, seed ${seed}; ${missed} missed, ${wrong} unexpected, ${unknown} not explained${rest}`,
  );
  terminal.document({
    version: name,
    seed,
    executions: total,
    stopped,
    rows: rows.map(({ visible, ...row }) => ({ ...row, silent: !visible })),
    others,
    broken,
  });
  if (missed + wrong + unknown + broken.length > 0) return 1;
  return stopped ? INTERRUPTED : 0;
}

export function bugs({ program, does }: Shell): void {
  program
    .command("bugs")
    .description("look for every fault of the catalogue in every state, with the general scenarios only")
    .argument("[version]", `v1, v2, v3, or ${CANARIES}: faults that Linux had and lost before`, "v1")
    .option("--executions <n>", `executions of each state (${EXECUTIONS})`)
    .option("--time <seconds>", "seconds for each state, instead of a number of executions")
    .option("--seed <n>", "of what is tried at random (1)")
    .option("--workers <n>", "threads (default: all cores); changes nothing but the time it takes")
    .option("--json", "print one JSON document")
    .action((version: string, options: Options) => does(options, (terminal) => work(terminal, version, options)));
}
