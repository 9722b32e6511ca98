/** Folders that cannot be read for the moment, while their metadata can. */
import fs from 'node:fs'
import { expect, it } from 'vitest'
import { systemClock } from '../../src/core/clock.js'
import { eraBLayout } from '../../src/storage/files/layout.js'
import { lookAtLeaves } from '../../src/storage/files/looks.js'
import { replaced } from '../support/builtin.js'
import { corpusSession, userMessage } from '../support/corpus.js'
import { pastGrain } from '../support/past-grain.js'
import { jsonFixture } from '../support/store-fixtures.js'

const START = Date.parse('2026-09-01T10:00:00Z')
const SESSION = corpusSession(START, [userMessage(START + 10, ['hello', 'there'])])

/** Does something while no folder can be read. */
function withoutFolders<T>(act: () => T): T {
  using _ = replaced(fs, 'readdirSync', () => () => {
    throw Object.assign(new Error('too many open files'), { code: 'EMFILE' })
  })
  return act()
}

it('a folder that could not be read is read at the next look, although nothing was written to it', async () => {
  using fixture = jsonFixture([SESSION])
  await using store = await fixture.open(systemClock)
  const [entry] = (await store.sessions()).entries
  if (entry === undefined) throw new Error('no session was listed')
  const look = { layout: eraBLayout(fixture.path), work: store.work, clock: systemClock }
  await pastGrain()
  const whole = lookAtLeaves(entry, 8, look)
  const lacking = withoutFolders(() => lookAtLeaves(entry, 8, look))
  expect([lacking.fingerprint === whole.fingerprint, lacking.messages]).toEqual([false, []])
  const again = lookAtLeaves(entry, 8, { ...look, held: lacking })
  expect([again.fingerprint, again.messages]).toEqual([whole.fingerprint, whole.messages])
})
