// SPDX-License-Identifier: GPL-2.0-only
// custom: what a file says about itself: modules, exports, statics
export { kbuild } from "../../kernel/modpost.ts";
