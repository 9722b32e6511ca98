/** A stream over sessions whose store changes while it runs. */
import { copyFileSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { openSessions } from '../../src/open.js'
import { runSessionFlow } from '../../src/tree/flow.js'
import { conversation, corpusSession } from '../support/corpus.js'
import { jsonFixture, sqliteFixture } from '../support/store-fixtures.js'

const START = Date.parse('2026-03-01T10:00:00Z')
const CORPUS = [3, 2, 1].map((age) => corpusSession(START - age * 60_000, conversation(START - age * 60_000, 2), { id: `ses_${age}` }))

it.each([false, true])('goes on past it (worker: %s)', async (worker) => {
  using fixture = jsonFixture(CORPUS)
  await using sessions = await openSessions({ data: fixture.path, worker })
  const seen: unknown[] = []
  for await (const result of runSessionFlow(sessions, { all: true })) {
    seen.push(result.status === 'failed' ? [result.stage, result.error.code] : result.value.key.session)
    if (seen.length > 1) continue
    const [, second] = CORPUS
    rmSync(join(fixture.path, 'session', second?.project ?? '', `${second?.id}.json`))
    await sessions.refresh()
  }
  expect(seen).toEqual(['ses_1', ['plan', 'NOT_FOUND'], 'ses_3'])
})

it('gives what is there at its turn, not what was there when the stream began (worker: true)', async () => {
  using fixture = jsonFixture(CORPUS)
  await using sessions = await openSessions({ data: fixture.path, worker: true })
  const counts: number[] = []
  for await (const result of runSessionFlow(sessions, { all: true })) {
    counts.push(result.status === 'failed' ? -1 : result.value.messages.length)
    if (counts.length === 1) for (const { id, messages } of CORPUS.slice(0, 2)) fixture.remove({ session: id, message: messages[0]?.id ?? '' })
  }
  expect(counts).toEqual([4, 3, 3])
})

it.each([false, true])('reads the later pages of a session from the store that took the place of the first (worker: %s)', async (worker) => {
  const long = corpusSession(START, conversation(START, 70), { id: 'ses_long' })
  using fixture = sqliteFixture('1.18')([long])
  using other = sqliteFixture('1.18')([long])
  await using sessions = await openSessions({ data: fixture.path, worker })
  const seen: unknown[] = []
  for await (const result of runSessionFlow(sessions, { all: true }, { output: 'messages' })) {
    seen.push(result.status === 'failed' ? result.error.code : result.value.messages.length)
    if (seen.length > 1) continue
    for (const ending of ['-wal', '']) {
      copyFileSync(`${other.path}${ending}`, `${fixture.path}.new${ending}`)
      renameSync(`${fixture.path}.new${ending}`, `${fixture.path}${ending}`)
    }
    for (let round = 0; round < 3; round++) await sessions.refresh()
  }
  expect(seen).toEqual([64, 64, 12])
})
