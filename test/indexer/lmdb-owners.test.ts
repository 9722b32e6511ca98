/** Leases where the identity of processes cannot be read, or only in part: expiry alone decides. */
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { openLmdbState } from '../../src/indexer/state/lmdb/state.js'
import { SUSPECT_LEASES } from '../../src/indexer/state/rows.js'
import { procOwners } from '../../src/tree/catalog/owner.js'
import { A, B, claimed, DONE, LEASE_MS, MAX_DELAY_MS, seen } from '../contracts/state-stage.js'
import { fakeClock, tempFolder } from '../support/index-world.js'

/** A /proc of some parts; no process of it is alive. */
function procOf(root: string, parts: { readonly boot?: string; readonly namespace?: string }): string {
  mkdirSync(join(root, 'sys/kernel/random'), { recursive: true })
  mkdirSync(join(root, 'self/ns'), { recursive: true })
  if (parts.boot !== undefined) writeFileSync(join(root, 'sys/kernel/random/boot_id'), parts.boot)
  if (parts.namespace !== undefined) symlinkSync(parts.namespace, join(root, 'self/ns/pid'))
  return root
}

it.each([
  ['nothing', {}],
  ['the boot alone', { boot: 'b1' }],
  ['no process', { boot: 'b1', namespace: 'pid:[1]' }],
  ['no boot', { namespace: 'pid:[1]' }],
])('where %s can be read, a lease lives until it runs out, and its owner is a suspect for a time', async (_name, parts) => {
  using folder = tempFolder()
  const proc = procOf(join(folder.path, 'proc'), parts)
  const clock = fakeClock()
  const open = (pid: number) =>
    openLmdbState({ directory: join(folder.path, 'index'), clock, owners: procOwners(pid, proc), leaseMs: LEASE_MS, maxDelayMs: MAX_DELAY_MS })
  await using one = await open(1)
  await using two = await open(2)
  await one.bind({ space: 'space', namespace: 'ns' })
  await one.observe(seen(A))
  await claimed(one)
  clock.advance(LEASE_MS - 1)
  expect(await two.sweep()).toBe(0)
  clock.advance(1)
  expect(await two.sweep()).toBe(1)
  expect(two.status().suspects).toBe(1)
  await two.release(await claimed(two), DONE)
  clock.advance(SUSPECT_LEASES * LEASE_MS)
  await two.sweep()
  expect(two.status().suspects).toBe(0)
  expect((await claimed(two)).verify).toBe(1)
  await one.running(true)
  expect(two.status().running).toMatchObject([{ pid: 1 }])
})

it('a process of another boot holds nothing up', async () => {
  using folder = tempFolder()
  const clock = fakeClock()
  const open = (boot: string) =>
    openLmdbState({
      directory: join(folder.path, 'index'),
      clock,
      owners: procOwners(1, procOf(join(folder.path, boot), { boot, namespace: 'pid:[1]' })),
      leaseMs: LEASE_MS,
      maxDelayMs: MAX_DELAY_MS,
    })
  await using before = await open('b1')
  await before.observe(seen(A))
  await claimed(before)
  await before.running(true)
  await using after = await open('b2')
  expect(after.status().running).toEqual([])
  expect(await after.sweep()).toBe(1)
  expect(await claimed(after)).toMatchObject({ key: A, verify: undefined })
})

it('a sweep goes on to the last lease, however small its pages', async () => {
  using folder = tempFolder()
  const clock = fakeClock()
  await using state = await openLmdbState({ directory: join(folder.path, 'index'), clock, leaseMs: LEASE_MS, maxDelayMs: MAX_DELAY_MS, sweepPage: 1 })
  await state.bind({ space: 'space', namespace: 'ns' })
  await state.observe(seen(A))
  await state.observe(seen(B))
  await claimed(state)
  await claimed(state)
  clock.advance(LEASE_MS)
  expect(await state.sweep()).toBe(2)
  expect(state.status().queue).toMatchObject({ ready: 2, leased: 0 })
})
