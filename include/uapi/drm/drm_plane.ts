// SPDX-License-Identifier: GPL-2.0-only
// dup: kinds of planes of a display, which <drm/drm_plane.h> has for user space as well
export const DRM_PLANE_TYPE_OVERLAY = 0;
export const DRM_PLANE_TYPE_PRIMARY = 1;
export const DRM_PLANE_TYPE_CURSOR = 2;
