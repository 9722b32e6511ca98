/** SIGKILL at odd moments, alone and three processes at a time: it ends where an undisturbed run does. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type CrashRig, contentOf, crashRig, eventsOf, type RunOptions, run } from '../support/crash-rig.js'

let rig: CrashRig
beforeAll(async () => {
  rig = await crashRig()
})
afterAll(() => rig[Symbol.dispose]())

const KINDS: readonly [string, RunOptions][] = [
  ['with write-ahead records', { delay: 5 }],
  ['without them', { delay: 5, wal: false }],
  ['two sessions at a time', { delay: 5, concurrency: 2 }],
]

describe.each(KINDS)('killed at odd moments, %s', (name, options) => {
  it('again and again, alone', async () => {
    const there = rig.place(`odd ${name}`)
    const ends: string[] = []
    for (const killAfter of [1, 30, 12, 45, 21, 7, 60, 3]) ends.push(await run(there, { ...options, killAfter }))
    expect(ends).toContain('SIGKILL')
    expect(await run(there, options)).toBe('0')
    expect(contentOf(there)).toEqual(rig.undisturbed)
    if (options.wal !== false) expect(eventsOf(there).repeated).toEqual([])
  })

  it('three processes on one state', async () => {
    const there = rig.place(`three ${name}`)
    const rounds = [
      [5, 25, 60],
      [40, 2, 15],
      [10, 33, 1],
    ]
    for (const round of rounds) await Promise.all(round.map((killAfter) => run(there, { ...options, killAfter })))
    expect(await run(there, options)).toBe('0')
    expect(contentOf(there)).toEqual(rig.undisturbed)
    if (options.wal !== false) expect(eventsOf(there).repeated).toEqual([])
  })
})
