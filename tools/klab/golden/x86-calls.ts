// SPDX-License-Identifier: GPL-2.0-only
/** The calls of the x86 traces. */
import type { Sleeps } from "../../../kernel/sched/types.ts";
import { InputError } from "../errors.ts";
import type { Actor } from "./actor.ts";
import { Args } from "./args.ts";
import { bytesOf, hexOf } from "./constants.ts";
import { libc } from "./errno.ts";
import type { GoldenRecord } from "./record.ts";

/** What came of a call, under the names that the records have for it. */
export type Said = Readonly<Record<string, unknown>>;
type Call = (a: Actor, record: GoldenRecord, args: Args) => Sleeps<Said>;

/** The recording program's buffers had this beyond their input. */
const UNTOUCHED = 0xaa;
const O_RDONLY = 0;
const O_WRONLY = 1;
const READ_SIZE = 64 * 1024;

function answer(ret: number | bigint): Said {
  const { ret: n, errno } = libc(ret);
  return { ret: n, ...(errno === undefined ? {} : { errname: errno }) };
}
const octal = (mode: number, digits: number): string => mode.toString(8).padStart(digits, "0");

const LETTERS: Readonly<Record<number, string>> = { 0o02: "c", 0o04: "d", 0o06: "b", 0o10: "f", 0o12: "l" };
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
  return { ...answer(ret), ...(ret < 0 ? { failed_at: "write" } : {}) };
}
function* readlink(a: Actor, _: GoldenRecord, args: Args): Sleeps<Said> {
  const { ret, text } = yield* a.u.readlink(args.text("path"));
  return { ...answer(ret), ...(ret < 0 ? {} : { out_text: text }) };
}

function* open(a: Actor, _: GoldenRecord, args: Args): Sleeps<Said> {
  const fd = yield* a.u.open(args.text("path"), args.number("flags"));
  if (fd >= 0) a.fds.set(args.text("fd"), fd);
  return answer(fd);
}
function* close(a: Actor, _: GoldenRecord, args: Args): Sleeps<Said> {
  const name = args.text("fd");
  const ret = yield* a.u.close(a.fd(name));
  a.fds.delete(name);
  return answer(ret);
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
  const buffer = inputOf(record, args.number("len"));
  const addr = yield* a.place(buffer);
  const ret = yield* a.u.pread(a.fd(args.text("fd")), addr, buffer.length, args.big("pos"));
  const out = hexOf(a.u.peek(addr, buffer.length));
  yield* a.free(addr, buffer);
  return { ...answer(ret), ...(out === "" ? {} : { out }) };
}
function* pwrite(a: Actor, record: GoldenRecord, args: Args): Sleeps<Said> {
  const buffer = inputOf(record, args.number("len"));
  const addr = yield* a.place(buffer);
  const ret = yield* a.u.pwrite(a.fd(args.text("fd")), addr, buffer.length, args.big("pos"));
  yield* a.free(addr, buffer);
  return answer(ret);
}
function* mmap(a: Actor, _: GoldenRecord, args: Args): Sleeps<Said> {
  const fd = a.fd(args.text("fd"));
  const addr = yield* a.u.mmap(args.number("len"), args.number("prot"), args.number("flags"), fd, args.big("off"));
  return answer(addr < 0n ? addr : 0);
}
function* ioctl(a: Actor, record: GoldenRecord, args: Args): Sleeps<Said> {
  const [fd, request] = [a.fd(args.text("fd")), args.number("cmd_nr")];
  if (record.said["in"] !== undefined) {
    const done = yield* a.ioctlOn(fd, request, inputOf(record));
    return { ret: done.ret, ...(done.errno === undefined ? {} : { errname: done.errno }), out: done.out };
  }
  const isNull = args.has("arg") && record.args["arg"] === "NULL";
  return answer(yield* a.u.ioctl(fd, request, isNull || !args.has("arg") ? 0n : args.big("arg")));
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
  ioctl,
  note,
};

/** Why a record cannot be performed, or null. */
export function cannotPerformX86({ call, args }: GoldenRecord): string | null {
  if (!CALLS[call]) return `the call ${call} is not known`;
  const argument = ["int_ptr", "str", "data", "buf"].find((name) => args[name] !== undefined && call !== "writefile");
  return argument === undefined ? null : `the argument ${argument} of ${call} is not known`;
}
export function* performX86(a: Actor, record: GoldenRecord): Sleeps<Said> {
  const call = CALLS[record.call];
  if (!call) throw new InputError(`the call ${record.call} is not known`);
  return yield* call(a, record, new Args(record.args));
}
