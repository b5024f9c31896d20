// SPDX-License-Identifier: GPL-2.0-only
/** Commands that are planned and not written: they say so, and the help does not list them. */
import { InputError } from "../errors.ts";
import type { Shell } from "../main.ts";

export const NOT_THERE_YET = ["bench"] as const;

export function notThereYet({ program }: Shell): void {
  for (const name of NOT_THERE_YET) {
    program
      .command(name, { hidden: true })
      .allowUnknownOption()
      .allowExcessArguments()
      .helpOption(false)
      .action(() => {
        throw new InputError(`${name} is not there yet; \`klab --help\` lists what is`);
      });
  }
}
