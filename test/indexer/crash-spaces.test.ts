/** SIGKILL while another space is built beside the live one, and while it takes over: one of the two is live, never half of both. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type CrashRig, contentOf, crashRig, DOCUMENTS, eventsOf, type RunOptions, run } from '../support/crash-rig.js'

const REBUILD: RunOptions = { space: 'other', former: ['fake'], rebuild: true }
const OTHER: RunOptions = { space: 'other' }

let rig: CrashRig
let undisturbed: readonly string[]
beforeAll(async () => {
  rig = await crashRig()
  const calm = rig.place('rebuilt')
  expect(await run(calm, REBUILD)).toBe('0')
  undisturbed = contentOf(calm, OTHER)
  expect(contentOf(calm)).toEqual([])
})
afterAll(() => rig[Symbol.dispose]())

it('an undisturbed rebuild leaves the same documents in the other space', () => {
  expect(undisturbed).toHaveLength(DOCUMENTS.after)
  const bare = (lines: readonly string[]): unknown[] => lines.map((line) => ({ ...(JSON.parse(line) as object), vector: undefined }))
  expect(bare(undisturbed)).toEqual(bare(rig.undisturbed))
})

describe.concurrent('killed at a point', () => {
  it.each(['m:1', 'b:2', 'd:2', 'e:1', 'e:3', 'f:4', 'g:2', 'h:1', 'k:1', 'j:3', 'j:20'])(
    '%s, the other space is built to its end, and the old one is emptied',
    async (killAt) => {
      const there = rig.place(`space-${killAt.replace(':', '-')}`)
      expect(await run(there, { ...REBUILD, killAt })).toBe('SIGKILL')
      expect(eventsOf(there).killedAt).toEqual([killAt.charAt(0)])
      expect(await run(there, REBUILD)).toBe('0')
      expect(contentOf(there, OTHER)).toEqual(undisturbed)
      expect(contentOf(there)).toEqual([])
      expect(eventsOf(there).repeated).toEqual([])
    },
  )
})
