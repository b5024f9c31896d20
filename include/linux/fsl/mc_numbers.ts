// SPDX-License-Identifier: GPL-2.0-only
// dup: numbers of fsl/mc.h that declarations at file scope need; a leaf
export const FSL_MC_VENDOR_FREESCALE = 0x1957;

/** Kinds of what a bus hands out, and indices of its pools. */
export type fsl_mc_pool_type = number;
export const FSL_MC_POOL_DPMCP = 0;
export const FSL_MC_POOL_DPBP = 1;
export const FSL_MC_POOL_DPCON = 2;
export const FSL_MC_POOL_IRQ = 3;
export const FSL_MC_NUM_POOL_TYPES = 4;

export const MC_CMD_STATUS_OK = 0x0;
export const MC_CMD_STATUS_READY = 0x1;
export const MC_CMD_STATUS_AUTH_ERR = 0x3;
export const MC_CMD_STATUS_NO_PRIVILEGE = 0x4;
export const MC_CMD_STATUS_DMA_ERR = 0x5;
export const MC_CMD_STATUS_CONFIG_ERR = 0x6;
export const MC_CMD_STATUS_TIMEOUT = 0x7;
export const MC_CMD_STATUS_NO_RESOURCE = 0x8;
export const MC_CMD_STATUS_NO_MEMORY = 0x9;
export const MC_CMD_STATUS_BUSY = 0xa;
export const MC_CMD_STATUS_UNSUPPORTED_OP = 0xb;
export const MC_CMD_STATUS_INVALID_STATE = 0xc;

export const MC_CMD_FLAG_PRI = 0x80;
export const MC_CMD_FLAG_INTR_DIS = 0x01;
