// SPDX-License-Identifier: GPL-2.0-only
// custom: the I/O instructions of the machine
export {
  hw_chsc,
  hw_csch,
  hw_hsch,
  hw_msch,
  hw_rsch,
  hw_ssch,
  hw_stcrw,
  hw_stsch,
  hw_tpi,
  hw_tsch,
  hw_xsch,
} from "../../kernel/arch/s390/channel_subsystem.ts";
