/** Point l: the power fails, and what was written last is not on the disk. The disk is put back to what it held before. */
import { copyFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type CrashRig, contentOf, crashRig, eventsOf, run, surplus } from '../support/crash-rig.js'

let rig: CrashRig
beforeAll(async () => {
  rig = await crashRig()
})
afterAll(() => rig[Symbol.dispose]())

/** Texts of one record, see index-child.mjs. */
const RECORD = 4

/** Killed at d, then at e with the next record durable; then that record is taken away again. */
async function withLostRecord(nth: number) {
  const there = rig.place(`power-${nth}`)
  const file = join(there.folder, 'index', 'state.mdb')
  expect(await run(there, { killAt: `d:${nth}` })).toBe('SIGKILL')
  copyFileSync(file, `${file}.before`)
  expect(await run(there, { killAt: 'e:1' })).toBe('SIGKILL')
  copyFileSync(`${file}.before`, file)
  expect(await run(there)).toBe('0')
  return { content: contentOf(there), events: eventsOf(there) }
}

it('a record that the disk lost is as one that was never written: no worse than a crash while embedding', async () => {
  const runs = [await withLostRecord(1), await withLostRecord(2), await withLostRecord(3)]
  for (const { content, events } of runs) {
    expect(content).toEqual(rig.undisturbed)
    expect(events.killedAt).toEqual(['d', 'e'])
    // Its own texts are embedded again, beside those of the crash at d.
    expect(events.repeated.length).toBeLessThanOrEqual(RECORD)
    expect(surplus(events)).toBeLessThanOrEqual(2 * RECORD)
  }
  // It was durable, and it was lost all the same; records that only delete have no texts.
  expect(Math.max(...runs.map(({ events }) => events.repeated.length))).toBeGreaterThan(0)
}, 300_000)
