// SPDX-License-Identifier: GPL-2.0-only
/** A patch mail as a commit: who, when, and what was said. */
import { InputError } from "../errors.ts";
import type { Patch } from "../states/patch.ts";

export interface Signature {
  /** `Name <address>`, as git writes it. */
  readonly who: string;
  /** Seconds since 1970, and the zone: `1666196489 +0200`. */
  readonly when: string;
}
export interface Mail {
  readonly author: Signature;
  /** Subject, empty line, body, with a newline at the end. */
  readonly message: string;
}

function header(head: string, name: string): string {
  const found = new RegExp(`^${name}: (.*(?:\\n[ \\t].*)*)`, "m").exec(head);
  return (found?.[1] ?? "").replace(/\n[ \t]+/g, " ").trim();
}

/** @throws InputError if the mail does not say who wrote it and when */
export function mailOf({ name, subject, text }: Patch): Mail {
  const blank = text.indexOf("\n\n");
  const head = text.slice(0, blank);
  const who = /^"?([^"<>\n]+?)"? <([^<>\s]+)>$/.exec(header(head, "From"));
  const date = header(head, "Date");
  const seconds = Date.parse(date) / 1000;
  const zone = /([+-]\d{4})$/.exec(date)?.[1];
  if (!who || !Number.isInteger(seconds) || zone === undefined)
    throw new InputError(`${name}: a commit needs the mail's From: and Date:; make the patch with git format-patch`);
  const end = text.search(/^(---|diff --git .*)$/m);
  const body = text.slice(blank + 2, end < 0 ? undefined : end).trim();
  return {
    author: { who: `${who[1] ?? ""} <${who[2] ?? ""}>`, when: `${seconds} ${zone}` },
    message: body === "" ? `${subject}\n` : `${subject}\n\n${body}\n`,
  };
}
