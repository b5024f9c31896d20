// SPDX-License-Identifier: GPL-2.0-only
// dup: names of pixel formats; the one that the samples speak
const fourcc_code = (a: string, b: string, c: string, d: string): number =>
  (a.charCodeAt(0) | (b.charCodeAt(0) << 8) | (c.charCodeAt(0) << 16) | (d.charCodeAt(0) << 24)) >>> 0;

export const DRM_FORMAT_XRGB8888 = fourcc_code("X", "R", "2", "4");
