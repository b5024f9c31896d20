// SPDX-License-Identifier: GPL-2.0-only
/** Patches as people have them: an mbox, one mail, or a folder of files. */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import { InputError } from "../errors.ts";
import { seriesFile } from "./series.ts";

export interface Mail {
  /** For messages. */
  readonly name: string;
  /** As git format-patch would have written it. */
  readonly text: string;
}

/** The line that begins a mail in an mbox. */
const SEPARATOR = /^From \S+ .*\d\d:\d\d:\d\d.*$/;
const HEADERS = ["From", "Date", "Subject"];

function quotedPrintable(text: string): Buffer {
  const plain = text.replace(/=\r?\n/g, "");
  const bytes: Buffer[] = [];
  for (const part of plain.split(/(=[0-9A-Fa-f]{2})/))
    bytes.push(/^=[0-9A-Fa-f]{2}$/.test(part) ? Buffer.from(part.slice(1), "hex") : Buffer.from(part));
  return Buffer.concat(bytes);
}

/** `=?UTF-8?q?…?=` in a header. */
function decodeWords(text: string): string {
  return text
    .replace(/\?=\s+=\?/g, "?==?")
    .replace(/=\?(?:utf-8|us-ascii|iso-8859-1)\?([qb])\?([^?]*)\?=/gi, (_, how: string, word: string) =>
      (how.toLowerCase() === "b" ? Buffer.from(word, "base64") : quotedPrintable(word.replace(/_/g, " "))).toString(),
    );
}

/** A mail with its headers in plain words and its body decoded. Text without headers is handed on as it is. */
function plainMail(text: string): string {
  const blank = text.indexOf("\n\n");
  const head = blank < 0 ? "" : text.slice(0, blank);
  if (!/^Subject: /m.test(head)) return text;
  const header = (name: string): string | null => {
    const found = new RegExp(`^${name}: (.*(?:\\n[ \\t].*)*)`, "im").exec(head)?.[1];
    return found === undefined ? null : decodeWords(found.replace(/\n[ \t]+/g, " ").trim());
  };
  const encoding = header("Content-Transfer-Encoding")?.toLowerCase() ?? "8bit";
  const raw = text.slice(blank + 2);
  const body =
    encoding === "quoted-printable"
      ? quotedPrintable(raw).toString()
      : encoding === "base64"
        ? Buffer.from(raw, "base64").toString()
        : raw;
  const lines = HEADERS.flatMap((name) => {
    const value = header(name);
    return value === null ? [] : [`${name}: ${value}`];
  });
  return `From ${"0".repeat(40)} Mon Sep 17 00:00:00 2001\n${lines.join("\n")}\n\n${body.replace(/\r\n/g, "\n")}`;
}

/** The mails of an mbox; anything else is one mail. */
function split(text: string): string[] {
  const mails: string[][] = [[]];
  let blank = true;
  for (const line of text.replace(/\r\n/g, "\n").split("\n")) {
    if (blank && SEPARATOR.test(line)) mails.push([]);
    else mails.at(-1)?.push(line.replace(/^>(>*From )/, "$1"));
    blank = line === "";
  }
  return mails.map((lines) => lines.join("\n")).filter((mail) => mail.trim() !== "");
}

/** In the order of their [PATCH n/m], where all of them say it. @throws InputError if they are not one whole series */
function inOrder(source: string, mails: readonly Mail[]): readonly Mail[] {
  const numbers = mails.map(
    ({ text }) => /^Subject: \[[^\]\n]*?(\d+)\/(\d+)\]/m.exec(text)?.slice(1).map(Number) ?? [],
  );
  const total = numbers[0]?.[1];
  // One patch alone may be meant alone, whatever it was part of.
  if (mails.length === 1 || total === undefined || numbers.some(([, m]) => m !== total)) return mails;
  for (let n = 1; n <= total; n++) {
    const found = numbers.filter(([k]) => k === n).length;
    if (found === 0) throw new InputError(`${source}: patch ${n}/${total} is missing; give all of the series`);
    if (found > 1)
      throw new InputError(`${source}: ${found} mails are patch ${n}/${total}; give one version of the series`);
  }
  return mails
    .map((mail, i) => ({ mail, n: numbers[i]?.[0] ?? 0 }))
    .sort((a, b) => a.n - b.n)
    .map(({ mail }) => mail);
}

function inFolder(source: string): string[] {
  if (statSync(join(source, "series"), { throwIfNoEntry: false })?.isFile()) return seriesFile(source);
  return readdirSync(source)
    .filter((name) => /\.(patch|diff|eml)$/.test(name))
    .sort();
}

/**
 * The patches of a folder (its quilt `series`, or all *.patch in the order of their names), of an mbox, or of one file. Mails
 * without a patch, such as cover letters, are left out.
 * @throws InputError if there is none
 */
export function readMails(source: string): readonly Mail[] {
  const there = statSync(source, { throwIfNoEntry: false });
  if (!there) throw new InputError(`there is no ${source}; name a folder of patches, or an mbox`);
  if (there.isDirectory()) {
    const names = inFolder(source);
    if (names.length === 0)
      throw new InputError(`${source} has neither a file \`series\` nor any *.patch; make some with git format-patch`);
    return names.map((name) => {
      const path = join(source, name);
      if (!statSync(path, { throwIfNoEntry: false })?.isFile()) throw new InputError(`there is no file ${path}`);
      return { name, text: plainMail(split(readFileSync(path, "utf8")).join("\n")) };
    });
  }
  const mails = split(readFileSync(source, "utf8")).map(plainMail);
  const patches = mails.filter((text) => /^diff --git /m.test(text));
  if (patches.length === 0)
    throw new InputError(`${source}: no \`diff --git\` in it; make it with git format-patch --stdout`);
  const place = (i: number): string => (patches.length === 1 ? "" : `, patch ${i + 1}`);
  const named = patches.map((text, i) => ({ name: `${basename(source)}${place(i)}`, text }));
  return inOrder(source, named);
}
