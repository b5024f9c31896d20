// SPDX-License-Identifier: GPL-2.0-only
// custom: UUIDs
export {
  guid_copy,
  guid_equal,
  guid_gen,
  guid_is_null,
  guid_parse,
  guid_t,
  uuid_copy,
  uuid_equal,
  uuid_gen,
  uuid_is_null,
  uuid_is_valid,
  uuid_parse,
  UUID_SIZE,
  UUID_STRING_LEN,
  uuid_t,
} from "../../kernel/lib/uuid.ts";
