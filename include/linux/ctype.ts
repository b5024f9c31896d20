// SPDX-License-Identifier: GPL-2.0-only
// dup: kinds of characters
export const isdigit = (c: string): boolean => /^[0-9]/.test(c);
export const isxdigit = (c: string): boolean => /^[0-9a-fA-F]/.test(c);
export const isalpha = (c: string): boolean => /^[a-zA-Z]/.test(c);
export const isalnum = (c: string): boolean => /^[0-9a-zA-Z]/.test(c);
export const isspace = (c: string): boolean => /^[ \t\n\v\f\r]/.test(c);
export const isupper = (c: string): boolean => /^[A-Z]/.test(c);
export const islower = (c: string): boolean => /^[a-z]/.test(c);
export const isprint = (c: string): boolean => /^[ -~]/.test(c);
export const toupper = (c: string): string => c.toUpperCase();
export const tolower = (c: string): string => c.toLowerCase();
