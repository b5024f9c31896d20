// SPDX-License-Identifier: GPL-2.0-only
/** The calls of the x86 traces. */
import type { Sleeps } from "../../../kernel/sched/types.ts";
import { InputError } from "../errors.ts";
import type { Actor } from "./actor.ts";
import { Args } from "./args.ts";
import { bytesOf, hexOf, VFIO_IOCTLS } from "./constants.ts";
import { libc } from "./errno.ts";
import type { GoldenRecord } from "./record.ts";

/** What came of a call, under the names that the records have for it. */
export type Said = Readonly<Record<string, unknown>>;
type Call = (a: Actor, record: GoldenRecord, args: Args) => Sleeps<Said>;

/** The recording program's buffers had this beyond their input. */
const UNTOUCHED = 0xaa;
const O_RDONLY = 0;
const O_WRONLY = 1;
const O_RDWR = 2;
const READ_SIZE = 64 * 1024;

function answer(ret: number | bigint): Said {
  const { ret: n, errno } = libc(ret);
  return { ret: n, ...(errno === undefined ? {} : { errname: errno }) };
}
const octal = (mode: number, digits: number): string => mode.toString(8).padStart(digits, "0");

const LETTERS: Readonly<Record<number, string>> = { 0o02: "c", 0o04: "d", 0o06: "b", 0o10: "f", 0o12: "l" };
/** Where the data of VFIO_DEVICE_SET_IRQS begins. */
const IRQ_DATA = 20;
/** Ioctls that give a descriptor, and what it is called: after the descriptor they are made on, or by itself. */
const OPENING: ReadonlyMap<number, (fd: string) => string> = new Map([
  [VFIO_IOCTLS.get("VFIO_GROUP_GET_DEVICE_FD") ?? 0, (fd: string) => fd.replace("group", "device")],
  [VFIO_IOCTLS.get("VFIO_DEVICE_GET_GFX_DMABUF") ?? 0, () => "dmabuf"],
]);

const typeOf = (mode: number): string => LETTERS[mode >> 12] ?? "?";

function* stat(a: Actor, _: GoldenRecord, args: Args): Sleeps<Said> {
  const { ret, mode, rdev } = yield* a.u.stat(args.text("path"));
  if (ret < 0) return answer(ret);
  const device = typeOf(mode) === "c" ? { major: rdev >>> 20, minor: rdev & 0xfffff } : {};
  return { ret, mode: octal(mode, 6), ...device };
}
function* listdir(a: Actor, _: GoldenRecord, args: Args): Sleeps<Said> {
  const { ret, entries } = yield* a.u.getdents(args.text("path"));
  if (ret < 0) return answer(ret);
  const lines = entries.map((e) => `${e.name} ${typeOf(e.mode)}${octal(e.mode & 0o7777, 4)}`).sort();
  return { ret, ...(lines.length > 0 ? { entries: lines } : {}) };
}
function* readfile(a: Actor, _: GoldenRecord, args: Args): Sleeps<Said> {
  const path = args.text("path");
  const fd = yield* a.u.open(path, O_RDONLY);
  if (fd < 0) return { ...answer(fd), failed_at: "open" };
  const { ret, bytes } = yield* a.u.read_bytes(fd, READ_SIZE);
  yield* a.u.close(fd);
  const { mode } = yield* a.u.stat(path);
  const text = String.fromCharCode(...bytes);
  return {
    ...answer(ret),
    mode: octal(mode & 0o7777, 4),
    ...(ret < 0 ? { failed_at: "read" } : {}),
    ...(text === "" ? {} : { out_text: text }),
  };
}
function* writefile(a: Actor, _: GoldenRecord, args: Args): Sleeps<Said> {
  const fd = yield* a.u.open(args.text("path"), O_WRONLY);
  if (fd < 0) return { ...answer(fd), failed_at: "open" };
  const ret = yield* a.u.write_bytes(
    fd,
    Uint8Array.from(args.text("data"), (c) => c.charCodeAt(0)),
  );
  yield* a.u.close(fd);
  return answer(ret);
}
function* readlink(a: Actor, _: GoldenRecord, args: Args): Sleeps<Said> {
  const { ret, text } = yield* a.u.readlink(args.text("path"));
  return { ...answer(ret), ...(ret < 0 ? {} : { out_text: text }) };
}

function* open(a: Actor, _: GoldenRecord, args: Args): Sleeps<Said> {
  const fd = yield* a.u.open(args.text("path"), args.number("flags"));
  if (fd >= 0) a.named(args.text("fd"), fd);
  return answer(fd);
}
function* close(a: Actor, _: GoldenRecord, args: Args): Sleeps<Said> {
  const name = args.text("fd");
  yield* a.unmap(a.fd(name));
  const ret = yield* a.u.close(a.fd(name));
  a.forget(name);
  return answer(ret);
}
function* eventfd(a: Actor, _: GoldenRecord, args: Args): Sleeps<Said> {
  const fd = yield* a.u.eventfd(0, args.number("flags"));
  if (fd >= 0) a.named(args.text("name"), fd);
  return answer(fd);
}
function* eventfdRead(a: Actor, _: GoldenRecord, args: Args): Sleeps<Said> {
  const { ret, bytes } = yield* a.u.read_bytes(a.fd(args.text("fd")), 8);
  return { ...answer(ret), count: ret < 0 ? 0 : Number(new DataView(bytes.slice().buffer).getBigUint64(0, true)) };
}
function* finitModule(a: Actor, _: GoldenRecord, args: Args): Sleeps<Said> {
  return answer(yield* a.u.finit_module(args.text("module")));
}
function* deleteModule(a: Actor, _: GoldenRecord, args: Args): Sleeps<Said> {
  return answer(yield* a.u.delete_module(args.text("module"), args.number("flags")));
}
function* moduleRefcounts(a: Actor, { said }: GoldenRecord): Sleeps<Said> {
  const refcnt: Record<string, number> = {};
  for (const name of Object.keys((said["refcnt"] ?? {}) as object)) {
    const { ret, text } = yield* a.u.sysfs_read(`/sys/module/${name}/refcnt`);
    refcnt[name] = ret < 0 ? -1 : Number(text);
  }
  return { ret: 0, refcnt };
}

function inputOf({ said }: GoldenRecord, length?: number): Uint8Array {
  const given = bytesOf(typeof said["in"] === "string" ? said["in"] : "");
  const buffer = new Uint8Array(length ?? given.length).fill(UNTOUCHED);
  buffer.set(given.subarray(0, buffer.length));
  return buffer;
}
function* pread(a: Actor, record: GoldenRecord, args: Args): Sleeps<Said> {
  const [fd, len, pos] = [a.fd(args.text("fd")), args.number("len"), args.big("pos")];
  if (args.has("buf")) return answer(yield* a.u.pread(fd, args.big("buf"), len, pos));
  const buffer = inputOf(record, len);
  const addr = yield* a.place(buffer);
  const ret = yield* a.u.pread(fd, addr, buffer.length, pos);
  const out = hexOf(a.u.peek(addr, buffer.length));
  yield* a.free(addr, buffer);
  return { ...answer(ret), ...(out === "" ? {} : { out }) };
}
function* pwrite(a: Actor, record: GoldenRecord, args: Args): Sleeps<Said> {
  const [fd, len, pos] = [a.fd(args.text("fd")), args.number("len"), args.big("pos")];
  if (args.has("buf")) return answer(yield* a.u.pwrite(fd, args.big("buf"), len, pos));
  const buffer = inputOf(record, len);
  const addr = yield* a.place(buffer);
  const ret = yield* a.u.pwrite(fd, addr, buffer.length, pos);
  yield* a.free(addr, buffer);
  return answer(ret);
}
function* mmap(a: Actor, _: GoldenRecord, args: Args): Sleeps<Said> {
  const fd = a.fd(args.text("fd"));
  const length = args.number("len");
  const addr = yield* a.u.mmap(length, args.number("prot"), args.number("flags"), fd, args.big("off"));
  if (addr >= 0n) a.mappings.push({ fd, addr, length });
  return answer(addr < 0n ? addr : 0);
}
function* mmapRead(a: Actor, _: GoldenRecord, args: Args): Sleeps<Said> {
  const length = args.number("len");
  const addr = a.mapping(args.text("map")) + args.big("off");
  const { ret, bytes } = yield* a.u.load_bytes(addr, length);
  return { ret: ret < 0 ? ret : length, out: hexOf(bytes) };
}
function* mmapWrite(a: Actor, record: GoldenRecord, args: Args): Sleeps<Said> {
  const bytes = inputOf(record, args.number("len"));
  const ret = yield* a.u.store_bytes(a.mapping(args.text("map")) + args.big("off"), bytes);
  return { ret: ret < 0 ? ret : bytes.length };
}

/** The program's bitmap is at least this long. */
const BITMAP_BYTES = 4096;
/** A member of the structure that is passed in which is an address. */
function pointerIn({ said }: GoldenRecord, member: string): bigint | null {
  const value = ((said["in_fields"] ?? {}) as Readonly<Record<string, unknown>>)[member];
  return typeof value === "number" || typeof value === "string" ? BigInt(value) : null;
}

/** `<4095 x 'a'>` is what it says. */
function spelledOut(text: string): string {
  const [, n, c] = /^<(\d+) x '(.)'>$/.exec(text) ?? [];
  return n === undefined || c === undefined ? text : c.repeat(Number(n));
}
/** A descriptor by name, or a number that is none. A path is that of a file which is open during the call. */
const descriptor = (a: Actor, name: string): number => (/^-?\d/.test(name) ? Number.parseInt(name, 10) : a.fd(name));
function int32(n: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setInt32(0, n, true);
  return bytes;
}
function* ioctl(a: Actor, record: GoldenRecord, args: Args): Sleeps<Said> {
  const [fd, request] = [a.fd(args.text("fd")), args.number("cmd_nr")];
  const opened = (ret: number): void => {
    const name = OPENING.get(request)?.(args.text("fd"));
    if (name !== undefined && ret >= 0) a.named(name, ret);
  };
  const path = args.has("int_ptr") && /^\//.test(args.text("int_ptr")) ? args.text("int_ptr") : null;
  if (path !== null) a.named(path, yield* a.u.open(path, O_RDWR));
  if (args.has("str") || args.has("int_ptr")) {
    const buffer = args.has("str")
      ? Uint8Array.from(`${spelledOut(args.text("str"))}\0`, (c) => c.charCodeAt(0))
      : int32(descriptor(a, args.text("int_ptr")));
    const { ret, errno } = yield* a.ioctlOn(fd, request, buffer);
    opened(ret ?? -1);
    if (path !== null) {
      yield* a.u.close(a.fd(path));
      a.forget(path);
    }
    return { ret, ...(errno === undefined ? {} : { errname: errno }) };
  }
  if (record.said["in"] !== undefined) {
    const buffer = inputOf(record);
    const bitmap = pointerIn(record, "bitmap.data");
    if (bitmap !== null && (yield* a.clears(bitmap, BITMAP_BYTES))) a.bitmap = bitmap;
    if (args.has("data")) buffer.set(int32(descriptor(a, args.text("data"))), IRQ_DATA);
    const done = yield* a.ioctlOn(fd, request, buffer);
    opened(done.ret ?? -1);
    return { ret: done.ret, ...(done.errno === undefined ? {} : { errname: done.errno }), out: done.out };
  }
  const isNull = args.has("arg") && record.args["arg"] === "NULL";
  return answer(yield* a.u.ioctl(fd, request, isNull || !args.has("arg") ? 0n : args.big("arg")));
}
/** What the bitmap of the last call that had one contains now. */
function* bitmapContents(a: Actor, { said }: GoldenRecord): Sleeps<Said> {
  if (a.bitmap === null) throw new InputError("no call before it had a bitmap");
  return { ret: 0, out: hexOf(a.u.peek(a.bitmap, String(said["out"] ?? "").length / 2)) };
}
function* note(): Sleeps<Said> {
  return {};
}

const CALLS: Readonly<Record<string, Call>> = {
  stat,
  listdir,
  readfile,
  writefile,
  readlink,
  open,
  close,
  finit_module: finitModule,
  delete_module: deleteModule,
  module_refcounts: moduleRefcounts,
  pread,
  pwrite,
  mmap,
  mmap_read: mmapRead,
  mmap_write: mmapWrite,
  ioctl,
  eventfd,
  eventfd_read: eventfdRead,
  bitmap_contents: bitmapContents,
  note,
};

const NO_ARGUMENTS = ["fd_props", "fork_setuid_open", "fork_ioctl", "fb_rows", "fb_crc"];

/** Why a record cannot be performed, or null. */
export function cannotPerformX86({ call, args }: GoldenRecord): string | null {
  if (NO_ARGUMENTS.includes(call)) return `the arguments of ${call} were not recorded`;
  if (!CALLS[call]) return `the call ${call} is not known`;
  return null;
}
/** Whether a record's result is a descriptor or an address, of which only matters whether there is one. */
export function givesHandle({ call, args, said }: GoldenRecord): boolean {
  return said["ret_kind"] !== undefined || call === "eventfd" || OPENING.has(Number(args["cmd_nr"]));
}
/** The recorded buffer after a call, with the descriptor in it that is here in place of the recorded one. */
export function expectedOut(a: Actor, { args, said }: GoldenRecord): unknown {
  const out = said["out"];
  if (typeof out !== "string" || typeof args["data"] !== "string" || said["in"] === undefined) return out;
  const bytes = bytesOf(out);
  bytes.set(int32(descriptor(a, args["data"])), IRQ_DATA);
  return hexOf(bytes);
}
/** @args: those of the record, with the numbers of this boot */
export function* performX86(a: Actor, record: GoldenRecord, args: Said): Sleeps<Said> {
  const call = CALLS[record.call];
  if (!call) throw new InputError(`the call ${record.call} is not known`);
  return yield* call(a, record, new Args(args));
}
