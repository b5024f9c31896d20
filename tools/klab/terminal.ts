// SPDX-License-Identifier: GPL-2.0-only
/** What the commands write, and to where. */

type Style = "bold" | "dim" | "red" | "green" | "yellow";
const CODES: Readonly<Record<Style, readonly [number, number]>> = {
  bold: [1, 22],
  dim: [2, 22],
  red: [31, 39],
  green: [32, 39],
  yellow: [33, 39],
};

/** Where to write: a stream of the process, or what a test looks at afterwards. */
export interface Sink {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}
export interface Streams {
  readonly stdout: Sink;
  readonly stderr: Sink;
}

/** One command's way to talk. With `json` there is exactly one document on stdout, and nothing else. */
export class Terminal {
  readonly json: boolean;
  readonly #out: Sink;
  readonly #err: Sink;
  readonly #colours: boolean;

  constructor(json: boolean, { stdout, stderr }: Streams = process) {
    this.json = json;
    this.#out = stdout;
    this.#err = stderr;
    this.#colours = stdout.isTTY === true && process.env["NO_COLOR"] === undefined && process.env["TERM"] !== "dumb";
  }

  /** Characters of a line. */
  get width(): number {
    return this.#out.columns || 120;
  }
  style(style: Style, text: string): string {
    const [on, off] = CODES[style];
    return this.#colours ? `\u001b[${on}m${text}\u001b[${off}m` : text;
  }

  /** A line for people; silent with --json. */
  line(text = ""): void {
    if (!this.json) this.#out.write(`${text}\n`);
  }

  /** The document of --json; silent without. */
  document(value: unknown): void {
    if (this.json) this.#out.write(`${JSON.stringify(value, null, 1)}\n`);
  }

  /** Something worth knowing that is not the result. */
  note(text: string): void {
    this.#err.write(`klab: ${text}\n`);
  }

  /** Tells how far a piece of work is, once it has taken two seconds and if somebody is looking. @total: Infinity if nobody knows */
  progress(total: number): Progress {
    return new Progress(this.#err, total);
  }
}

export class Progress {
  readonly #err: Sink;
  readonly #total: number;
  readonly #start = Date.now();
  #done = 0;
  #shown = false;

  constructor(err: Sink, total: number) {
    this.#err = err;
    this.#total = total;
  }

  /** The work goes on with `what`. */
  step(what: string): void {
    this.#done += 1;
    if (!this.#err.isTTY || Date.now() - this.#start < 2000) return;
    this.#shown = true;
    const of = Number.isFinite(this.#total) ? `${Math.min(this.#done, this.#total)}/${this.#total}` : `${this.#done}`;
    const line = `[${of}] ${what}`;
    this.#err.write(`\r\u001b[K${line.slice(0, Math.max(20, (this.#err.columns || 80) - 1))}`);
  }

  end(): void {
    if (this.#shown) this.#err.write("\r\u001b[K");
    this.#shown = false;
  }
}

/** Columns padded to the same width, left aligned; the last one is not padded. */
export function table(rows: readonly (readonly string[])[], gap = "  "): string[] {
  const widths: number[] = [];
  for (const row of rows) row.forEach((cell, i) => (widths[i] = Math.max(widths[i] ?? 0, visible(cell))));
  return rows.map((row) =>
    row
      .map((cell, i) => (i === row.length - 1 ? cell : cell + " ".repeat((widths[i] ?? 0) - visible(cell))))
      .join(gap)
      .trimEnd(),
  );
}

function visible(text: string): number {
  return text.replace(/\u001b\[\d+m/g, "").length;
}
