// SPDX-License-Identifier: GPL-2.0-only
/** A version of the series as a git repository: the base, then one commit for each patch. */
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { InputError } from "../errors.ts";
import { PLACES, type Places, sourcesOf } from "../states/index.ts";
import { mailOf, type Signature } from "./mail.ts";

/** The day of v6.1-rc1: the base is as old as what it is a port of, so that commit ids depend on nothing else. */
const KLAB: Signature = { who: "klab <klab@localhost>", when: "1665959784 +0000" };

/** What goes along with the tree, so that it can be run and tested where it is. Tests about all states stay behind. */
const FILES = [
  "COPYING",
  ".gitignore",
  ".prettierrc.json",
  "ava.config.js",
  "eslint.config.js",
  "package-lock.json",
  "test/register.mjs",
];
const FOLDERS = ["tools", "test/kernel", "test/drivers", "test/helpers", "test/scenarios"];
const EXECUTABLE = /^tools\/klab\/bin\.mjs$/;

/** The scripts of an exported tree; see the README below. */
const SCRIPTS = { start: "node tools/klab/bin.mjs", test: "ava", klab: "node tools/klab/bin.mjs" };

function readme(version: string, last: number): string {
  return `<!-- SPDX-License-Identifier: GPL-2.0-only -->

# ${version}, state by state

Made by \`klab export\`. The first commit is the base, each one after it a patch of ${version}; the tags ${version}-0 to ${version}-${last} are what
klab calls ${version}:0 to ${version}:${last} (git allows no colon in a name).

\`npm ci\` once; then, in whatever commit is checked out:

* \`npm test\` runs the tests of the kernel and of the drivers (ava) on this tree; \`npm test -- test/drivers/vfio_ccw.test.ts\` one file of them.
  They are the base's: a test that describes what a patch changes fails from that patch on.
* \`npm run -s klab -- run SCENARIO --state .\` runs a scenario on this tree: 0 nothing found, 1 something found.

Both end as \`git bisect run\` wants it:

    git bisect start ${version}-${last} ${version}-0
    git bisect run npm run -s klab -- run interrupt-no-mdev --state .
`;
}

function walk(root: string, folder: string, into: Map<string, string>): void {
  if (!existsSync(join(root, folder))) return;
  for (const entry of readdirSync(join(root, folder), { withFileTypes: true })) {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory()) walk(root, path, into);
    else if (entry.isFile() && !entry.name.startsWith(".")) into.set(path, readFileSync(join(root, path), "utf8"));
  }
}

/** What every commit has besides its tree. */
function company(root: string, version: string, last: number): Map<string, string> {
  const files = new Map<string, string>();
  for (const file of FILES) if (existsSync(join(root, file))) files.set(file, readFileSync(join(root, file), "utf8"));
  for (const folder of FOLDERS) walk(root, folder, files);
  const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as Record<string, unknown>;
  files.set("package.json", `${JSON.stringify({ ...manifest, scripts: SCRIPTS }, null, 2)}\n`);
  files.set("README.md", readme(version, last));
  return files;
}

/** The stream for `git fast-import`. */
async function stream(version: string, places: Places): Promise<{ text: string; tags: string[] }> {
  const sources = await sourcesOf(version, places);
  // A folder of the user's own goes by its last name: tags have no slashes here.
  const called = basename(resolve(version));
  const shared = company(places.root, called, sources.length - 1);
  const data = (text: string): string => `data ${Buffer.byteLength(text)}\n${text}\n`;
  const out: string[] = [];
  const tags: string[] = [];
  let before = new Map<string, string>();
  for (const { number, patch, tree } of sources) {
    const message = number === 0 ? `The base of ${called}\n` : `The tree in ${called}\n`;
    const mail = patch ? mailOf(patch) : { author: KLAB, message };
    const { who, when } = mail.author;
    out.push(
      "commit refs/heads/main\n",
      `mark :${number + 1}\n`,
      `author ${who} ${when}\n`,
      // The committer is nobody in particular, at the time of the patch: the same ids on every machine.
      `committer ${KLAB.who} ${when}\n`,
      data(mail.message),
      number > 0 ? `from :${number}\n` : "",
    );
    const files = new Map([...tree, ...shared]);
    for (const path of before.keys()) if (!files.has(path)) out.push(`D ${path}\n`);
    for (const [path, text] of files) {
      if (before.get(path) === text) continue;
      out.push(`M ${EXECUTABLE.test(path) ? "100755" : "100644"} inline ${path}\n`, data(text));
    }
    before = files;
    const tag = `${called}-${number}`;
    tags.push(tag);
    out.push(`reset refs/tags/${tag}\nfrom :${number + 1}\n\n`);
  }
  out.push("done\n");
  return { text: out.join(""), tags };
}

/** Runs git, with nobody's configuration. @input: for its stdin */
function git(args: readonly string[], input = ""): Promise<string> {
  // A hook or an alias of git runs us with its own repository in the environment.
  const own = Object.entries(process.env).filter(([name]) => !name.startsWith("GIT_"));
  const env = { ...Object.fromEntries(own), GIT_CONFIG_GLOBAL: "/dev/null", GIT_CONFIG_NOSYSTEM: "1" };
  const child = spawn("git", args, { env, stdio: ["pipe", "pipe", "pipe"] });
  let [out, err] = ["", ""];
  child.stdout.on("data", (text: Buffer) => (out += text.toString()));
  child.stderr.on("data", (text: Buffer) => (err += text.toString()));
  return new Promise((done, fail) => {
    child.on("error", () => fail(new InputError("git cannot be run; install it, or look that it is in the PATH")));
    child.stdin.on("error", () => {}); // it ended early, and says why below
    child.on("close", (code) =>
      code === 0
        ? done(out)
        : fail(new InputError(`git ${args.join(" ")}: ${err.trim().split("\n").at(-1) ?? "failed"}`)),
    );
    child.stdin.end(input);
  });
}

function refuseUnlessEmpty(dir: string): void {
  const there = statSync(dir, { throwIfNoEntry: false });
  if (!there) return;
  if (!there.isDirectory()) throw new InputError(`${dir} is not a folder; name one that is empty or not there yet`);
  if (readdirSync(dir).length > 0)
    throw new InputError(`${dir} is not empty; name a folder that is, or one that is not there yet`);
}

/**
 * Makes the repository. It is made beside its place and renamed into it, so that it is there whole or not at all.
 * @return the tags, from the base on. @throws InputError if `dir` is in use
 */
export async function exportTo(dir: string, version: string, places: Places = PLACES): Promise<readonly string[]> {
  const target = resolve(dir);
  refuseUnlessEmpty(target);
  const { text, tags } = await stream(version, places);
  mkdirSync(dirname(target), { recursive: true });
  const making = join(dirname(target), `.${basename(target)}-${process.pid}-${randomBytes(4).toString("hex")}`);
  const interrupted = (signal: NodeJS.Signals): void => {
    rmSync(making, { recursive: true, force: true });
    process.exit(128 + (signal === "SIGINT" ? 2 : 15));
  };
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, interrupted);
  try {
    await git(["init", "--quiet", "--template=", "--initial-branch=main", making]);
    await git(["-C", making, "fast-import", "--quiet", "--done", "--date-format=raw"], text);
    await git(["-C", making, "reset", "--quiet", "--hard", "main"]);
    refuseUnlessEmpty(target);
    renameSync(making, target);
  } finally {
    rmSync(making, { recursive: true, force: true });
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.off(signal, interrupted);
  }
  return tags;
}
