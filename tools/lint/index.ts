// SPDX-License-Identifier: GPL-2.0-only
/** The project's own lint rules, as an ESLint plugin named `klab`. */
import type { ESLint } from "eslint";
import { colour } from "./colour.ts";
import { layers } from "./layers.ts";
import { yieldStar } from "./yield-star.ts";

export const plugin: ESLint.Plugin = {
  meta: { name: "klab", namespace: "klab" },
  rules: { layers, colour, "yield-star": yieldStar },
};
