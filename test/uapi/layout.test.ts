// SPDX-License-Identifier: GPL-2.0-only
/** The user-space interface, byte by byte, against what a C compiler makes of the C headers. */
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import test from "ava";
import { offsetof, sizeof } from "#linux/types.ts";
import * as vfio from "#uapi/linux/vfio.ts";
import * as vfio_ccw from "#uapi/linux/vfio_ccw.ts";
import { EXPECTED } from "../../tools/klab/paths.ts";
import type { HeaderLayout } from "../../tools/klab/source/inventory.ts";
import { portName } from "../../tools/klab/source/port-name.ts";

const layouts = JSON.parse(readFileSync(resolve(EXPECTED, "uapi-layout.json"), "utf8")) as Record<string, HeaderLayout>;
const PORTS: Readonly<Record<string, object>> = { "linux/vfio.h": vfio, "linux/vfio_ccw.h": vfio_ccw };

/** A value of a module, also one that an object literal of it holds, as enumerators are. */
function valueOf(port: object, name: string): unknown {
  for (const value of [port, ...Object.values(port)] as unknown[])
    if (typeof value === "object" && value !== null && name in value) return (value as Record<string, unknown>)[name];
  return undefined;
}

for (const [header, { structs, constants }] of Object.entries(layouts)) {
  const port = PORTS[header] ?? {};
  test(`${header}: sizes and offsets`, (t) => {
    for (const [name, { size, members }] of Object.entries(structs)) {
      const of = valueOf(port, name) as new () => Record<string, unknown>;
      const here = Object.fromEntries(Object.keys(members).map((m) => [m, offsetof(of, portName(m))]));
      t.deepEqual({ size: sizeof(of), members: here }, { size, members }, name);
    }
    t.true(Object.keys(structs).length >= 4);
  });
  test(`${header}: numbers and texts`, (t) => {
    const here = Object.fromEntries(Object.keys(constants).map((name) => [name, asC(valueOf(port, name))]));
    t.deepEqual(here, constants);
    t.true(Object.keys(constants).length >= 2);
  });
}

/** As the data have it: what no double holds is a text. */
function asC(value: unknown): unknown {
  if (typeof value === "bigint") return Number.isSafeInteger(Number(value)) ? Number(value) : String(value);
  return value;
}
