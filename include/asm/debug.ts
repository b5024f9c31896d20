// SPDX-License-Identifier: GPL-2.0-only
// custom: s390 debug feature
export {
  DEBUG_DEFAULT_LEVEL,
  DEBUG_FLUSH_ALL,
  DEBUG_MAX_LEVEL,
  DEBUG_OFF_LEVEL,
  debug_event,
  debug_hex_ascii_view,
  debug_info_t,
  debug_int_event,
  debug_level_enabled,
  debug_long_event,
  debug_register,
  debug_register_mode,
  debug_register_view,
  debug_set_level,
  debug_sprintf_event,
  debug_sprintf_view,
  debug_stop_all,
  debug_text_event,
  debug_unregister,
  debug_unregister_view,
} from "../../kernel/arch/s390/debug.ts";
