// SPDX-License-Identifier: GPL-2.0-only
/** Ranges of addresses that go with the driver. Source: kernel/resource.c */
import { WARN_ON } from "#linux/bug.ts";
import { type device, devres_add, devres_alloc, devres_free, devres_release } from "#linux/device.ts";
import { __release_region, __request_region, iomem_resource, type resource } from "#linux/ioport.ts";
import { GFP_KERNEL } from "#linux/slab.ts";
import { type kobj_memory, ptr, type Sleeps, type Spins, struct, u64 } from "#linux/types.ts";

class region_devres extends struct("region_devres", { parent: ptr<resource>(), start: u64(), n: u64() }) {}
interface range {
  readonly parent: resource | null;
  readonly start: bigint;
  readonly n: bigint;
}

function devm_region_release(_dev: device, res: kobj_memory): Spins {
  const this_ = res as region_devres;

  return __release_region(this_.parent!, this_.start, this_.n);
}

function devm_region_match(_dev: device, res: kobj_memory, match: range): boolean {
  const this_ = res as region_devres;

  return this_.parent === match.parent && this_.start === match.start && this_.n === match.n;
}

/** As request_mem_region(), for as long as the device has its driver. May sleep. */
export function* devm_request_mem_region(
  dev: device,
  start: bigint,
  n: bigint,
  name: string | null,
): Sleeps<resource | null> {
  const parent = iomem_resource();
  const dr = devres_alloc(devm_region_release, region_devres, GFP_KERNEL);
  if (!dr) return null;

  dr.parent = parent;
  dr.start = start;
  dr.n = n;

  const res = yield* __request_region(parent, start, n, name, 0);
  if (res) yield* devres_add(dev, dr);
  else devres_free(dr);

  return res;
}
export function* devm_release_mem_region(dev: device, start: bigint, n: bigint): Sleeps {
  const match_data: range = { parent: iomem_resource(), start, n };

  const rc = yield* devres_release(dev, devm_region_release, devm_region_match, match_data);
  WARN_ON(rc !== 0);
}
