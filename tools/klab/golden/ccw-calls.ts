// SPDX-License-Identifier: GPL-2.0-only
/** The calls of the s390 traces, each performed from its arguments alone. */
import type { Sleeps } from "../../../kernel/sched/types.ts";
import { InputError } from "../errors.ts";
import type { Actor, Child, Outcome } from "./actor.ts";
import { Args } from "./args.ts";
import { bigOf, bytesOf, hexOf, numberOf, VFIO_IOCTLS } from "./constants.ts";
import { libc } from "./errno.ts";

type Call = (a: Actor, args: Args) => Sleeps<Outcome>;

const IO_REGION = 124;
/** How often it is looked whether a child is done or a directory is gone. */
const POLL_MS = 20;

const vfio = (name: string): number => VFIO_IOCTLS.get(name) ?? 0;
const status = ({ ret, errno }: Outcome): Outcome => ({
  ...(ret === undefined ? {} : { ret }),
  ...(errno === undefined ? {} : { errno }),
});

function* mmapAnon(a: Actor, args: Args): Sleeps<Outcome> {
  const length = args.number("len");
  const vaddr = yield* a.u.mmap(length, args.number("prot"), args.number("flags"));
  if (vaddr < 0n) return libc(vaddr);
  a.dma = { vaddr, iova: args.big("iova"), length };
  return { ret: 0 };
}

function* mem(a: Actor, args: Args): Sleeps<Outcome> {
  if (args.flag("clear")) a.u.poke(a.at(a.dma?.iova ?? 0n, 0), new Uint8Array(a.dma?.length ?? 0));
  for (const entry of args.list("write")) {
    const [iova, hex] = entry as [unknown, string];
    const bytes = bytesOf(hex);
    a.u.poke(a.at(bigOf(iova), bytes.length), bytes);
  }
  for (const entry of args.list("fill")) {
    const [iova, count, byte] = entry as [unknown, unknown, string];
    const n = numberOf(count);
    a.u.poke(a.at(bigOf(iova), n), new Uint8Array(n).fill(Number.parseInt(byte, 16)));
  }
  return { ret: 0 };
}
function* memRead(a: Actor, args: Args): Sleeps<Outcome> {
  const n = args.number("len");
  return { ret: n, out: a.data(args.big("iova"), n) };
}

function* sysfsWrite(a: Actor, args: Args): Sleeps<Outcome> {
  return yield* a.writeFile(args);
}
function* sysfsRead(a: Actor, args: Args): Sleeps<Outcome> {
  const read = yield* a.u.sysfs_read(args.text("path"));
  return { ...libc(read.ret), text: read.text };
}
function* ls(a: Actor, args: Args): Sleeps<Outcome> {
  const { ret, names } = yield* a.u.ls(args.text("path"));
  return { ...libc(ret), text: names.join(" ") };
}
function* readlink(a: Actor, args: Args): Sleeps<Outcome> {
  const link = yield* a.u.readlink(args.text("path"));
  return { ...libc(link.ret), text: link.text };
}
function* lstat(a: Actor, args: Args): Sleeps<Outcome> {
  return libc((yield* a.u.lstat(args.text("path"))).ret);
}
function* stat(a: Actor, args: Args): Sleeps<Outcome> {
  const { ret, mode, rdev } = yield* a.u.stat(args.text("path"));
  if (ret < 0) return libc(ret);
  return { ret, res: { mode: mode.toString(8), rdev: `${rdev >>> 20}:${rdev & 0xfffff}` } };
}

function* open(a: Actor, args: Args): Sleeps<Outcome> {
  return yield* a.opens(a.u.open(args.text("path"), args.number("flags")), args.text("as"));
}
function* close(a: Actor, args: Args): Sleeps<Outcome> {
  const name = args.text("fd");
  const ret = yield* a.u.close(a.fd(name));
  a.fds.delete(name);
  return libc(ret);
}
function* fcntl(a: Actor, args: Args): Sleeps<Outcome> {
  return libc(yield* a.u.fcntl(a.fd(args.text("fd")), args.number("cmd")));
}
function* fdReadlink(a: Actor, args: Args): Sleeps<Outcome> {
  const link = yield* a.u.readlink(`/proc/self/fd/${a.fd(args.text("fd"))}`);
  return { ...libc(link.ret), text: link.text };
}
function* fdinfo(a: Actor, args: Args): Sleeps<Outcome> {
  const read = yield* a.u.sysfs_read(`/proc/self/fdinfo/${a.fd(args.text("fd"))}`);
  return { ...libc(read.ret), text: read.text };
}

function* eventfd(a: Actor, args: Args): Sleeps<Outcome> {
  return yield* a.opens(a.u.eventfd(args.number("initval"), args.number("flags")), args.text("as"));
}
function* eventfdRead(a: Actor, args: Args): Sleeps<Outcome> {
  return libc(yield* a.u.eventfd_read(a.fd(args.text("eventfd")), args.number("timeout_ms")));
}

function* finitModule(a: Actor, args: Args): Sleeps<Outcome> {
  return libc(yield* a.u.finit_module(args.text("module")));
}
function* deleteModule(a: Actor, args: Args): Sleeps<Outcome> {
  return libc(yield* a.u.delete_module(args.text("name"), args.number("flags")));
}
function* sleep(a: Actor, args: Args): Sleeps<Outcome> {
  return libc(yield* a.u.sleep_ms(args.number("ms")));
}

function* lseek(a: Actor, args: Args): Sleeps<Outcome> {
  return libc(yield* a.u.lseek(a.fd(args.text("fd")), args.big("offset"), args.number("whence")));
}
function* mmap(a: Actor, args: Args): Sleeps<Outcome> {
  const fd = a.fd(args.text("fd"));
  const addr = yield* a.u.mmap(args.number("len"), args.number("prot"), args.number("flags"), fd, args.big("offset"));
  return libc(addr < 0n ? addr : 0);
}
function* read(a: Actor, args: Args): Sleeps<Outcome> {
  const buffer = args.buffer((name) => a.fd(name));
  const addr = yield* a.place(buffer);
  const ret = yield* a.u.read(a.fd(args.text("fd")), addr, buffer.length);
  const out = hexOf(a.u.peek(addr, buffer.length));
  yield* a.free(addr, buffer);
  return { ...libc(ret), out };
}
function* pread(a: Actor, args: Args): Sleeps<Outcome> {
  const [fd, offset, len] = [a.fd(args.text("fd")), args.big("offset"), args.number("len")];
  if (args.has("buf")) return libc(yield* a.u.pread(fd, args.big("buf"), len, offset));
  const buffer = args.buffer((name) => a.fd(name));
  const addr = yield* a.place(buffer);
  const ret = yield* a.u.pread(fd, addr, len, offset);
  const out = hexOf(a.u.peek(addr, len));
  yield* a.free(addr, buffer);
  return { ...libc(ret), ...(out === "" ? {} : { out }) };
}
function* pwrite(a: Actor, args: Args): Sleeps<Outcome> {
  const [fd, offset, len] = [a.fd(args.text("fd")), args.big("offset"), args.number("len")];
  if (args.has("buf")) return libc(yield* a.u.pwrite(fd, args.big("buf"), len, offset));
  const buffer = args.buffer((name) => a.fd(name));
  const addr = yield* a.place(buffer);
  const ret = yield* a.u.pwrite(fd, addr, len, offset);
  yield* a.free(addr, buffer);
  return libc(ret);
}

/** The ioctls that take a plain argument or a buffer. */
function* plainIoctl(a: Actor, args: Args, request: number): Sleeps<Outcome> {
  const fd = a.fd(args.text("fd"));
  if (!args.has("in")) return libc(yield* a.u.ioctl(fd, request, args.has("arg") ? args.big("arg") : 0n));
  const done = yield* a.ioctlOn(
    fd,
    request,
    args.buffer((name) => a.fd(name)),
  );
  return { ...status(done), ...(done.out === undefined ? {} : { out: done.out }) };
}
function* ioctl(a: Actor, args: Args): Sleeps<Outcome> {
  return yield* plainIoctl(a, args, args.number("request"));
}
function* groupGetDeviceFd(a: Actor, args: Args): Sleeps<Outcome> {
  return yield* a.opens(deviceFd(a, a.fd(args.text("fd")), args.text("name")), args.text("as"));
}
function* deviceFd(a: Actor, group: number, name: string): Sleeps<number> {
  const bytes = Uint8Array.from(`${name}\0`, (c) => c.charCodeAt(0));
  const addr = yield* a.place(bytes);
  const fd = yield* a.u.ioctl(group, vfio("VFIO_GROUP_GET_DEVICE_FD"), addr);
  yield* a.free(addr, bytes);
  return fd;
}
function* mapDma(a: Actor, args: Args): Sleeps<Outcome> {
  const v = new DataView(new ArrayBuffer(32));
  v.setUint32(0, args.number("argsz"));
  v.setUint32(4, args.number("flags"));
  v.setBigUint64(8, BigInt.asUintN(64, (a.dma?.vaddr ?? 0n) + args.big("vaddr_off")));
  v.setBigUint64(16, BigInt.asUintN(64, args.big("iova")));
  v.setBigUint64(24, BigInt.asUintN(64, args.big("size")));
  return status(yield* a.ioctlOn(a.fd(args.text("fd")), vfio("VFIO_IOMMU_MAP_DMA"), new Uint8Array(v.buffer)));
}
function* unmapDma(a: Actor, args: Args): Sleeps<Outcome> {
  const v = new DataView(new ArrayBuffer(24));
  v.setUint32(0, args.number("argsz"));
  v.setUint32(4, args.number("flags"));
  v.setBigUint64(8, BigInt.asUintN(64, args.big("iova")));
  v.setBigUint64(16, BigInt.asUintN(64, args.big("size")));
  const done = yield* a.ioctlOn(a.fd(args.text("fd")), vfio("VFIO_IOMMU_UNMAP_DMA"), new Uint8Array(v.buffer));
  const size = new DataView(done.bytes.buffer).getBigUint64(16);
  return { ...status(done), res: { size: `0x${size.toString(16)}` } };
}
function* setIrqs(a: Actor, args: Args): Sleeps<Outcome> {
  const buffer = new Uint8Array(64);
  const v = new DataView(buffer.buffer);
  for (const [i, name] of ["argsz", "flags", "index", "start", "count"].entries())
    v.setUint32(4 * i, args.number(name));
  buffer.set(bytesOf(args.text("data")), 20);
  args.putFds(buffer, 20, (name) => a.fd(name));
  return status(yield* a.ioctlOn(a.fd(args.text("fd")), vfio("VFIO_DEVICE_SET_IRQS"), buffer));
}

const O_RDWR_CLOEXEC = 0o2000002;
function* openDevice(a: Actor, args: Args): Sleeps<Outcome> {
  const res: Record<string, unknown> = {};
  let failed: Outcome | null = null;
  const keep = (name: string, ret: number, as?: string): boolean => {
    const said = libc(ret);
    res[name] = said.errno ?? 0;
    if (said.errno !== undefined) failed ??= said;
    else if (as !== undefined) a.fds.set(args.text(as), ret);
    return said.errno === undefined;
  };
  const link = yield* a.u.readlink(`/sys/bus/mdev/devices/${args.text("uuid")}/iommu_group`);
  if (link.ret < 0) return libc(link.ret);
  const path = `/dev/vfio/${link.text.slice(link.text.lastIndexOf("/") + 1)}`;
  res["group_path"] = path;
  const container = yield* a.u.open("/dev/vfio/vfio", O_RDWR_CLOEXEC);
  keep("open_container", container, "container");
  const group = yield* a.u.open(path, O_RDWR_CLOEXEC);
  if (!keep("open_group", group, "group")) return { ...(failed ?? {}), res };
  const status = yield* a.ioctlOn(group, vfio("VFIO_GROUP_GET_STATUS"), Uint8Array.of(0, 0, 0, 8, 0, 0, 0, 0));
  res["group_flags"] = new DataView(status.bytes.buffer).getUint32(4);
  const number = new Uint8Array(4);
  new DataView(number.buffer).setUint32(0, container);
  const addr = yield* a.place(number);
  keep("set_container", yield* a.u.ioctl(group, vfio("VFIO_GROUP_SET_CONTAINER"), addr));
  yield* a.free(addr, number);
  keep("set_iommu", yield* a.u.ioctl(container, vfio("VFIO_SET_IOMMU"), args.big("iommu")));
  keep("get_device_fd", yield* deviceFd(a, group, args.text("uuid")), "device");
  return { ...(failed ?? { ret: 0 }), res };
}

function* ioStart(a: Actor, args: Args): Sleeps<Outcome> {
  const efd = a.fd(args.text("eventfd"));
  yield* a.u.eventfd_read(efd, 0);
  const wrote = yield* pwrite(a, args);
  const count = yield* a.u.eventfd_read(efd, args.number("wait_ms"));
  const io = yield* pread(a, new Args({ fd: args.text("fd"), offset: 0, len: IO_REGION, fill: "ee" }));
  const res: Record<string, unknown> = { eventfd: Number(count), pread: io.errno ?? io.ret };
  if (args.has("data_iova")) res["data"] = a.data(args.big("data_iova"), args.number("data_len"));
  return { ...wrote, ...(io.out === undefined ? {} : { out: io.out }), res };
}
/** No worker runs between the calls. */
function* fifo(a: Actor, args: Args): Sleeps<Outcome> {
  const calls: unknown[] = [];
  a.schedule.realTime = true;
  for (const entry of args.list("calls")) {
    const { call, ...rest } = entry as { call: string };
    const done = yield* callOf(call)(a, new Args(rest));
    calls.push({ ...status(done), ...(done.out === undefined ? {} : { out: done.out }), ...done.res });
  }
  a.schedule.realTime = false;
  const count = yield* a.u.eventfd_read(a.fd(args.text("eventfd")), args.number("wait_ms"));
  return { ret: 0, res: { calls, eventfd: Number(count) } };
}

function* writer(a: Actor, child: Child, u: Actor["u"], args: Args): Sleeps {
  for (const fd of a.fds.values()) yield* u.close(fd);
  const ret = yield* u.sysfs_write(args.text("path"), args.text("data"));
  child.result = libc(ret);
}
function* bgBegin(a: Actor, args: Args): Sleeps<Outcome> {
  const state: { pid: number; result: Child["result"] } = { pid: 0, result: null };
  const pid = yield* a.u.fork((u) => writer(a, state, u, args));
  if (pid < 0) return libc(pid);
  state.pid = pid;
  a.children.set(args.text("child"), state);
  // Blocked or done: the one CPU is the child's as soon as this program waits.
  yield* a.u.sleep_ms(POLL_MS);
  return { ret: 0 };
}
function* procText(a: Actor, pid: number, name: string): Sleeps<string> {
  return (yield* a.u.sysfs_read(`/proc/${pid}/${name}`)).text;
}
function* isDead(a: Actor, pid: number): Sleeps<boolean> {
  return !(yield* a.u.exists(`/proc/${pid}`));
}
function* bgWait(a: Actor, args: Args): Sleeps<Outcome> {
  const child = a.child(args.text("child"));
  for (let left = args.number("timeout_ms"); ; left -= POLL_MS) {
    if (child.result) {
      yield* a.u.waitpid(child.pid);
      return { ret: 1, res: { ...child.result } };
    }
    if (yield* isDead(a, child.pid)) return { ret: 1, res: { pipe: "eof" } };
    if (left <= 0) break;
    yield* a.u.sleep_ms(Math.min(left, POLL_MS));
  }
  const state = /^State:\t(\S)/m.exec(yield* procText(a, child.pid, "status"))?.[1] ?? "?";
  return { ret: 0, res: { state, wchan: yield* procText(a, child.pid, "wchan") } };
}
function* kill(a: Actor, args: Args): Sleeps<Outcome> {
  return libc(yield* a.u.kill(a.child(args.text("child")).pid, args.number("sig")));
}
function* waitpid(a: Actor, args: Args): Sleeps<Outcome> {
  const { ret, status } = yield* a.u.waitpid(a.child(args.text("child")).pid, args.number("flags", 0));
  if (ret <= 0) return libc(ret);
  return { ret: 1, res: status & 0x7f ? { signaled: status & 0x7f } : { exited: status >> 8 } };
}

function* gone(a: Actor, path: string, waitMs: number): Sleeps<Outcome> {
  for (let left = waitMs; ; left -= POLL_MS) {
    if ((yield* a.u.lstat(path)).ret < 0) return { ret: 1 };
    if (left <= 0) return { ret: 0 };
    yield* a.u.sleep_ms(POLL_MS);
  }
}
function* hotunplug(a: Actor, args: Args): Sleeps<Outcome> {
  const sch = args.text("sch");
  const [, ssid, no] = /^[0-9a-f]+\.([0-9a-f])\.([0-9a-f]{4})$/.exec(sch) ?? [];
  if (ssid === undefined || no === undefined) throw new InputError(`${sch} is no bus id of a subchannel`);
  a.kernel.hw.unplug(Number.parseInt(no, 16), Number.parseInt(ssid, 16));
  return yield* gone(a, `/sys/bus/css/devices/${sch}`, args.number("wait_ms"));
}
function* waitGone(a: Actor, args: Args): Sleeps<Outcome> {
  return yield* gone(a, args.text("path"), args.number("wait_ms"));
}
/** Does not return. */
function* reboot(a: Actor, args: Args): Sleeps<Outcome> {
  return libc(yield* a.u.reboot(args.number("cmd")));
}

const CALLS: Readonly<Record<string, Call>> = {
  mmap_anon: mmapAnon,
  mem,
  mem_read: memRead,
  sysfs_write: sysfsWrite,
  sysfs_read: sysfsRead,
  ls,
  readlink,
  lstat,
  stat,
  open,
  close,
  fcntl,
  fd_readlink: fdReadlink,
  fdinfo,
  eventfd,
  eventfd_read: eventfdRead,
  finit_module: finitModule,
  delete_module: deleteModule,
  sleep,
  lseek,
  mmap,
  read,
  pread,
  pwrite,
  ioctl,
  VFIO_GROUP_GET_DEVICE_FD: groupGetDeviceFd,
  VFIO_IOMMU_MAP_DMA: mapDma,
  VFIO_IOMMU_UNMAP_DMA: unmapDma,
  VFIO_DEVICE_SET_IRQS: setIrqs,
  open_device: openDevice,
  io_start: ioStart,
  fifo,
  bg_sysfs_write_begin: bgBegin,
  bg_sysfs_write_wait: bgWait,
  kill,
  waitpid,
  hotunplug,
  wait_gone: waitGone,
  reboot,
};

/** Why a call cannot be performed here, or null. */
export function cannotPerform(call: string): string | null {
  if (call === "uname") return "there is no uname(2) here, and the release is not the recorded one anyway";
  return CALLS[call] || VFIO_IOCTLS.has(call) ? null : `the call ${call} is not known`;
}
/** The call of that name. @throws InputError if there is none */
export function callOf(name: string): Call {
  const call = CALLS[name];
  if (call) return call;
  const request = VFIO_IOCTLS.get(name);
  if (request === undefined) throw new InputError(`the call ${name} is not known`);
  return (a, args) => plainIoctl(a, args, request);
}
/** Calls after which the recording program slept 20 ms; after all others it was 2. */
const SLOW = /^(close|kill|hotunplug|bg_.*)$/;
export function settleMs(call: string): number {
  return SLOW.test(call) ? 20 : 2;
}
