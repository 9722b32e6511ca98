/** Events of the folder that one session is written in. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { afterAll, describe, expect, it } from 'vitest'
import { parseSessionId } from '../../src/core/ids.js'
import { sessionKey } from '../../src/core/keys.js'
import { watchSession } from '../../src/storage/watch/session.js'
import { tempFolder } from '../support/temp.js'

const folder = tempFolder()
afterAll(() => folder[Symbol.dispose]())
const KEY = sessionKey('pi', parseSessionId('a'))

function logsIn(name: string): { readonly store: { readonly kind: 'pi-jsonl'; readonly path: string }; readonly path: string; write(): void } {
  const path = join(folder.path, name)
  mkdirSync(path)
  let count = 0
  return { store: { kind: 'pi-jsonl', path }, path: join(path, 'a.jsonl'), write: () => writeFileSync(join(path, `${count++}.jsonl`), 'x') }
}

describe('the events of a session', () => {
  it('are told as one where many come together', async () => {
    const { store, path, write } = logsIn('many')
    let told = 0
    using events = watchSession(() => told++)
    events.follow(store, { key: KEY, path })
    for (let n = 0; n < 100; n++) write()
    for (let n = 0; n < 500 && told === 0; n++) await wait(20)
    expect(told).toBeLessThanOrEqual(3)
    const before = told
    write()
    for (let n = 0; n < 500 && told === before; n++) await wait(20)
    expect(told).toBeGreaterThan(before)
  })

  it('leave the loop of the caller its turns, however fast they come and however long he takes for each', async () => {
    const { store, path, write } = logsIn('fast')
    let told = 0
    using events = watchSession(() => {
      told++
      // As a log that grows while it is read; not without end, for the loop that gets no turn ends no test.
      if (told < 1000) write()
    })
    events.follow(store, { key: KEY, path })
    write()
    while (told < 10) await wait(1)
    expect(told).toBeLessThan(100)
  })

  it('are told to nobody who left', async () => {
    const { store, path, write } = logsIn('left')
    let told = 0
    const events = watchSession(() => told++)
    events.follow(store, { key: KEY, path })
    write()
    await new Promise(setImmediate)
    events[Symbol.dispose]()
    await wait(100)
    expect(told).toBe(0)
  })
})
