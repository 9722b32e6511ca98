/** Sessions of 0.x, whose records name no folder, under exclusions of folders: their messages tell where they ran. */
import { describe, expect, it } from 'vitest'
import type { Exclusion } from '../../src/indexer/exclusion.js'
import { sessionSource } from '../../src/indexer/session-source.js'
import { assistantMessage, corpusSession, userMessage } from '../support/corpus.js'
import { rig } from '../support/index-rig.js'
import { eraAFixture, jsonFixture, type StoreFixture, writeFileAt } from '../support/store-fixtures.js'
import { setOf } from '../support/trees.js'

const START = Date.parse('2025-06-20T10:00:00Z')
const ANSWERED = corpusSession(START, [userMessage(START + 1000, ['why']), assistantMessage(START + 2000)], {
  id: 'ses_answered',
  project: 'srv-sky',
})
const MUTE = corpusSession(START, [userMessage(START + 5000, ['mute'])], { id: 'ses_mute', project: 'srv-sky' })

/** The texts that reach the index, and how many sessions were left out. */
async function indexed(fixture: StoreFixture, exclude: Exclusion): Promise<{ readonly texts: readonly string[]; readonly excluded: number }> {
  await using set = await setOf(await fixture.open())
  await using it = await rig({ sessions: sessionSource(set), exclude })
  const { excluded } = await it.indexer.observe()
  await it.indexer.drain()
  return { texts: [...it.sink.rows.values()].map(({ text }) => text).sort(), excluded }
}

describe('a session of 0.x', () => {
  it.each<[string, Exclusion, readonly string[], number]>([
    ['of another folder is indexed; what nothing tells the folder of is withheld', { directories: ['/secret'] }, ['Rayleigh.', 'why'], 1],
    ['of its own folder is left out', { directories: ['/srv/sky'] }, [], 2],
    ['of a folder above it is left out', { directories: ['/srv'] }, [], 2],
    ['of no folder is indexed, and so is one that tells none', { projects: ['other'] }, ['Rayleigh.', 'mute', 'why'], 0],
  ])('under an exclusion %s', async (_, exclude, texts, excluded) => {
    using fixture = eraAFixture()([ANSWERED, MUTE])
    expect(await indexed(fixture, exclude)).toEqual({ texts, excluded })
  })
})

describe('a session whose record is damaged', () => {
  it('is indexed or left out by the folder that its messages name', async () => {
    using fixture = jsonFixture([ANSWERED])
    writeFileAt(`${fixture.path}/session/${ANSWERED.project}/${ANSWERED.id}.json`, '{', START)
    expect(await indexed(fixture, { directories: ['/secret'] })).toEqual({ texts: ['Rayleigh.', 'why'], excluded: 0 })
    expect(await indexed(fixture, { directories: ['/srv/sky'] })).toEqual({ texts: [], excluded: 1 })
  })
})
