/** SIGKILL with the local sink: its own transactions and those of the state end together where an undisturbed run does. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type CrashRig, contentOf, crashRig, DOCUMENTS, eventsOf, run } from '../support/crash-rig.js'

let rig: CrashRig
beforeAll(async () => {
  rig = await crashRig({ sink: 'local' })
})
afterAll(() => rig[Symbol.dispose]())

describe.concurrent('the local sink', () => {
  it('holds what the second world says after an undisturbed run', () => {
    expect(rig.undisturbed).toHaveLength(DOCUMENTS.after)
  })

  it.each(['d:1', 'e:2', 'f:1', 'f:3', 'g:1', 'h:2', 'k:1'])('is exact after a kill at %s', async (killAt) => {
    const there = rig.place(`local-${killAt.replace(':', '-')}`)
    expect(await run(there, { killAt, sink: 'local' })).toBe('SIGKILL')
    expect(await run(there, { sink: 'local' })).toBe('0')
    expect(eventsOf(there).killedAt).toEqual([killAt.charAt(0)])
    expect(contentOf(there, { sink: 'local' })).toEqual(rig.undisturbed)
    expect(eventsOf(there).repeated).toEqual([])
  })

  it.each(['f:1', 'g:2', 'k:1'])('is exact after a kill at %s without write-ahead records', async (killAt) => {
    const there = rig.place(`local-unlogged-${killAt.replace(':', '-')}`)
    expect(await run(there, { killAt, sink: 'local', wal: false })).toBe('SIGKILL')
    expect(await run(there, { sink: 'local', wal: false })).toBe('0')
    expect(contentOf(there, { sink: 'local' })).toEqual(rig.undisturbed)
  })
})
