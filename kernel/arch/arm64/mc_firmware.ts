// SPDX-License-Identifier: GPL-2.0-only
/**
 * The Management Complex of a DPAA2 machine: objects in containers, and the portals by which commands reach it. It knows the
 * commands that find, open, close and reset objects and that set up their interrupts; of what the objects do it has nothing.
 */
import type { mmio_device } from "../mmio.ts";
import { irq_line } from "../../irq/manage.ts";
import { mmio_registers } from "./mmio_registers.ts";

export interface mc_region {
  readonly addr: bigint;
  readonly size: number;
  readonly flags?: number;
}
export interface mc_object_plan {
  readonly type: string;
  readonly id: number;
  readonly irq_count?: number;
  readonly regions?: readonly mc_region[];
  /** Default true. */
  readonly plugged?: boolean;
  /** Of a container: what is in it. */
  readonly objects?: readonly mc_object_plan[];
}

interface mc_irq {
  val: number;
  enabled: boolean;
  mask: number;
  status: number;
}

/** An object as the firmware keeps it; `resets` counts for the operator. */
export class mc_object {
  readonly type: string;
  readonly id: number;
  readonly irq_count: number;
  readonly regions: readonly mc_region[];
  readonly objects: mc_object[];
  plugged: boolean;
  resets = 0;
  readonly irqs: mc_irq[];

  constructor(plan: mc_object_plan) {
    this.type = plan.type;
    this.id = plan.id;
    this.irq_count = plan.irq_count ?? 0;
    this.regions = plan.regions ?? [];
    this.plugged = plan.plugged ?? true;
    this.objects = (plan.objects ?? []).map((o) => new mc_object(o));
    this.irqs = Array.from({ length: this.irq_count }, () => ({ val: 0, enabled: true, mask: 0xffffffff, status: 0 }));
  }
  /** It raises its `index`th interrupt. */
  raise(index: number, status = 0): void {
    const irq = this.irqs[index];
    if (!irq) return;
    irq.status |= status;
    if (irq.val && irq.enabled && (status === 0 || irq.mask & status)) irq_line(irq.val);
  }
  *all(): IterableIterator<mc_object> {
    yield this;
    for (const o of this.objects) yield* o.all();
  }
}

const OK = 0x0;
const READY = 0x1;
const AUTH_ERR = 0x3;
const CONFIG_ERR = 0x6;
const BUSY = 0xa;
const UNSUPPORTED_OP = 0xb;

const VENDOR = 0x1957;
const PLUGGED = 2;
const OPEN_TYPES = ["dpni", "dpsw", "dpio", "dpbp", "dprc", "dpdmux", "dpci", "dpcon", "dpseci", "dpaiop"].concat(
  "dpmcp",
  "dpmac",
  "dpdcei",
  "dpdmai",
  "dpdbg",
  "dprtc",
);

/** One portal: sixty-four bytes, of which writing the first eight sends the command in all of them. */
class mc_portal implements mmio_device {
  readonly mc: mc_firmware;
  /** The container that it belongs to. */
  readonly owner: mc_object;
  readonly registers = new mmio_registers(64);
  readonly opened = new Map<number, mc_object>();
  #next_token = 1;

  constructor(mc: mc_firmware, owner: mc_object) {
    this.mc = mc;
    this.owner = owner;
  }
  read(off: number, size: number): bigint {
    return off + size <= 64 ? this.registers.read(off, size) : 0n;
  }
  write(off: number, size: number, value: bigint): void {
    if (off + size > 64) return;
    this.registers.write(off, size, value);
    if (off === 0 && size === 8 && this.registers.view.getUint8(2) === READY) this.#command();
  }

  #u32(at: number): number {
    return this.registers.view.getUint32(8 + at, true);
  }
  #name(at: number): string {
    let name = "";
    for (let i = 0; i < 16; i++) {
      const c = this.registers.view.getUint8(8 + at + i);
      if (c === 0) break;
      name += String.fromCharCode(c);
    }
    return name;
  }
  #command(): void {
    const v = this.registers.view;
    const id = v.getUint16(6, true) >> 4;
    const token = v.getUint16(4, true);
    v.setUint8(2, this.#execute(id, token));
  }

  #execute(id: number, token: number): number {
    if (id >= 0x801 && id <= 0x810) return this.#open(OPEN_TYPES[id - 0x801] ?? "", this.#u32(0));
    const object = this.opened.get(token);
    switch (id) {
      case 0x831:
        return this.#answer([0, 4, 0], [4, 4, 10], [8, 4, 32]);
      case 0x830:
        return this.#answer([0, 4, this.owner.id]);
      case 0xa05:
        return this.#answer([0, 2, 6], [2, 2, 7]);
    }
    if (!object) return AUTH_ERR;
    switch (id) {
      case 0x800:
        this.opened.delete(token);
        return OK;
      case 0x004:
        return this.#answer([0, 4, object.id], [4, 4, this.mc.icid(object)], [8, 4, 0], [12, 4, object.id]);
      case 0x005:
        object.resets++;
        for (const o of object.objects) o.resets++;
        return OK;
      case 0x159:
        return this.#answer([4, 4, object.objects.length]);
      case 0x15a:
        return this.#describe(object.objects[this.#u32(0)]);
      case 0x15e:
        return this.#region(object);
      case 0x010:
        return this.#irq(object, (irq) => (irq.val = this.#u32(0)));
      case 0x012:
        return this.#irq(object, (irq) => (irq.enabled = (this.#u32(0) & 1) === 1));
      case 0x014:
        return this.#irq(object, (irq) => (irq.mask = this.#u32(0)));
      case 0x016:
        return this.#irq(object, (irq) => this.#answer([0, 4, irq.status]));
      case 0x017:
        return this.#irq(object, (irq) => (irq.status &= ~this.#u32(0)));
      case 0x15f:
        return this.#object_irq(object);
      default:
        return UNSUPPORTED_OP;
    }
  }
  /** Puts numbers into the answer: where, how many bytes, what. */
  #answer(...parts: readonly (readonly [number, number, number | bigint])[]): number {
    for (const [at, size, value] of parts) this.registers.write(8 + at, size, BigInt(value));
    return OK;
  }
  #open(type: string, id: number): number {
    const object = [...this.mc.root.all()].find((o) => o.type === type && o.id === id);
    if (!object) return CONFIG_ERR;
    if ([...this.opened.values()].includes(object)) return BUSY;
    const token = this.#next_token++;
    this.opened.set(token, object);
    this.registers.view.setUint16(4, token, true);
    return OK;
  }
  #describe(o: mc_object | undefined): number {
    if (!o) return CONFIG_ERR;
    this.#answer([4, 4, o.id], [8, 2, VENDOR], [10, 1, o.irq_count], [11, 1, o.regions.length]);
    this.#answer([12, 4, o.plugged ? PLUGGED : 0], [16, 2, 6], [18, 2, 7], [20, 2, 0]);
    for (let i = 0; i < 16; i++) {
      this.registers.view.setUint8(8 + 24 + i, o.type.charCodeAt(i) || 0);
      this.registers.view.setUint8(8 + 40 + i, 0);
    }
    return OK;
  }
  #region(container: mc_object): number {
    const [type, id, index] = [this.#name(24), this.#u32(0), this.registers.view.getUint8(8 + 6)];
    const region = container.objects.find((o) => o.type === type && o.id === id)?.regions[index];
    if (!region) return CONFIG_ERR;
    const { addr, size, flags = 0 } = region;
    return this.#answer([8, 8, 0], [16, 4, size], [20, 1, 0], [24, 4, flags], [32, 8, addr]);
  }
  #irq(object: mc_object, change: (irq: mc_irq) => unknown): number {
    const irq = object.irqs[this.registers.view.getUint8(8 + 4)];
    if (!irq) return CONFIG_ERR;
    change(irq);
    return OK;
  }
  #object_irq(container: mc_object): number {
    const [type, id] = [this.#name(24), this.#u32(20)];
    const object = container.objects.find((o) => o.type === type && o.id === id);
    return object ? this.#irq(object, (irq) => (irq.val = this.#u32(0))) : CONFIG_ERR;
  }
}

export class mc_firmware {
  readonly root: mc_object;
  constructor(plan: mc_object_plan) {
    this.root = new mc_object(plan);
  }
  /** Isolation context: one for each container. */
  icid(container: mc_object): number {
    return 20 + container.id;
  }
  object(type: string, id: number): mc_object | undefined {
    return [...this.root.all()].find((o) => o.type === type && o.id === id);
  }
  portal(owner: mc_object): mmio_device {
    return new mc_portal(this, owner);
  }
  /** The portals of the containers below the root, and where they are. */
  *portals(): IterableIterator<{ readonly addr: bigint; readonly size: bigint; readonly device: mmio_device }> {
    for (const o of this.root.all()) {
      const [region] = o.regions;
      if (o.type === "dprc" && region) yield { addr: region.addr, size: BigInt(region.size), device: this.portal(o) };
    }
  }
}
