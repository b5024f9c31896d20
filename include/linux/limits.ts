// SPDX-License-Identifier: GPL-2.0-only
// dup: ranges of the integer types
export const U8_MAX = 0xff;
export const S8_MAX = 0x7f;
export const U16_MAX = 0xffff;
export const S16_MAX = 0x7fff;
export const U32_MAX = 0xffff_ffff;
export const U32_MIN = 0;
export const S32_MAX = 0x7fff_ffff;
export const S32_MIN = -0x8000_0000;
export const U64_MAX = 0xffff_ffff_ffff_ffffn;
export const S64_MAX = 0x7fff_ffff_ffff_ffffn;
export const USHRT_MAX = U16_MAX;
export const INT_MAX = S32_MAX;
export const INT_MIN = S32_MIN;
export const UINT_MAX = U32_MAX;
export const LONG_MAX = S64_MAX;
export const ULONG_MAX = U64_MAX;
/** size_t is a number here; nothing is that large. */
export const SIZE_MAX = Number.MAX_SAFE_INTEGER;
