/** What every store of logs must do, whatever agent wrote them and however they are mapped. */
import { describe, expect, it } from 'vitest'
import { runSessionTreeFlow } from '../../src/tree/flow.js'
import type { LogDialect } from '../support/log-dialects.js'
import { CORPUS, MODEL, plainSayings } from '../support/log-sayings.js'
import { logWorld, type MakeLogWorld, type Mapping, plainTree } from '../support/log-world.js'
import { issuesIn, resultOf } from '../support/trees.js'
import { describeAbsence, describeFolding, describeGrowth, describeRewrites } from './log-store-changes.js'
import { describeAccount, describeDamage } from './log-store-damage.js'
import { describeRequests, describeStages } from './log-store-reading.js'
import { describeStraight } from './log-store-straight.js'

const [FIRST] = CORPUS

export function describeLogStore(dialect: LogDialect, mapping: Mapping, note = ''): void {
  const world: MakeLogWorld = (corpus) => logWorld(dialect, mapping, corpus)
  describe(`${dialect.name}, map ${JSON.stringify(mapping.map)}${note}`, () => {
    describeListing(world, dialect)
    describeStages(world, dialect, mapping)
    describeRequests(world, dialect)
    describeRewrites(world, dialect)
    describeAbsence(world, dialect)
    describeGrowth(world, dialect)
    describeFolding(world, dialect)
    describeAccount(world, dialect)
    describeDamage(world, dialect)
    describeStraight(world, dialect)
  })
}

function describeListing(world: MakeLogWorld, dialect: LogDialect): void {
  it('lists every session once, with what is light', async () => {
    await using w = await world()
    const { entries, issues, complete } = await w.store.sessions()
    expect({ issues, complete }).toEqual({ issues: [], complete: true })
    expect(entries.map(({ key }) => key.session).sort()).toEqual(CORPUS.map(dialect.idOf).sort())
    for (const session of CORPUS) {
      const entry = entries.find(({ key }) => key.session === dialect.idOf(session))
      const { title, cwd, created, sayings, parent } = session
      const updated = sayings.at(-1)?.time
      expect(entry?.record).toMatchObject({
        id: dialect.idOf(session),
        title,
        directory: cwd,
        version: dialect.version,
        model: { id: MODEL, providerID: dialect.provider },
        time: { created: dialect.agent === 'claude' ? sayings[0]?.time : created, updated },
        ...(parent !== undefined && { [dialect.origin]: dialect.idOf({ ...FIRST, id: parent }) }),
      })
      expect(entry?.path).toBe(w.pathsOf(session)[0])
    }
  })

  it('gives every session as it was said: order, roles, times, parents, parts with their answers', async () => {
    await using w = await world()
    for (const session of CORPUS) {
      const result = await runSessionTreeFlow(w.set, { session: w.keyOf(session) })
      expect(issuesIn(result)).toEqual([])
      expect(plainTree(resultOf(result))).toEqual(plainSayings(session, dialect.hasTree))
      if (dialect.hasIds) expect(resultOf(result).messages.map(({ key }) => key.message)).toEqual(session.sayings.map(({ id }) => id))
    }
  })
}
