/** Logs that are read straight through give what the stages give, also where they change between the listing and the reading. */
import { appendFileSync, readFileSync, renameSync, rmSync, truncateSync } from 'node:fs'
import { expect, it } from 'vitest'
import { unwrap } from '../../src/core/stage.js'
import { LogStore } from '../../src/storage/jsonl/log-store.js'
import { Slab } from '../../src/storage/slab.js'
import type { Leaf, PartLeaf } from '../../src/storage/store.js'
import { type FlowScope, runSessionFlow, runSessionTreeFlow } from '../../src/tree/flow.js'
import { planTree } from '../../src/tree/plan.js'
import { readPlanned } from '../../src/tree/read-planned.js'
import type { Sessions } from '../../src/tree/sessions/sessions.js'
import type { FlowResult, SessionHydratedTree } from '../../src/tree/types.js'
import type { LogDialect } from '../support/log-dialects.js'
import { CORPUS, moreOf, plainSayings, type SaidSession } from '../support/log-sayings.js'
import { type LogWorld, type MakeLogWorld, plainTree, writeAged } from '../support/log-world.js'
import { firstOf, issuesIn, resultOf } from '../support/trees.js'

const [FIRST, SECOND] = CORPUS

/** What both ways must agree in: all but the signatures, which only plans with prices have. */
export function told(result: FlowResult<SessionHydratedTree>): unknown {
  if (result.status === 'failed') return result.error
  const messages = result.value.messages.map(({ signature: _, changed: __, ...node }) => node)
  return { ...result.value, messages, issues: issuesIn(result) }
}

export function straight(set: Sessions, scope: FlowScope): Promise<FlowResult<SessionHydratedTree>> {
  return firstOf(runSessionFlow(set, scope))
}

/** Reads the session after `change`, which comes between its plan and its bytes. */
async function changedAfterPlan(w: LogWorld, said: SaidSession, change: () => void): Promise<FlowResult<SessionHydratedTree>> {
  const planned = await planTree(w.set, { session: w.keyOf(said) }, false)
  change()
  return readPlanned(w.set, planned, undefined)
}

export function describeStraight(world: MakeLogWorld, dialect: LogDialect): void {
  it('gives straight through what the stages give, as often as it is asked, and in pages', async () => {
    await using w = await world()
    for (const said of CORPUS) {
      const session = w.keyOf(said)
      const first = await straight(w.set, { session })
      expect(plainTree(resultOf(first))).toEqual(plainSayings(said, dialect.hasTree))
      expect(told(await straight(w.set, { session }))).toEqual(told(first))
      expect(told(await runSessionTreeFlow(w.set, { session }))).toEqual(told(first))
      expect(told(await straight(w.set, { session }))).toEqual(told(first))
      expect(told(await firstOf(runSessionFlow(w.set, { session }, { output: 'messages' })))).toEqual(told(first))
    }
  })

  it('opens messages whole as it opens them and their further lines apart', async (context) => {
    await using w = await world()
    if (!(w.store instanceof LogStore)) return context.skip('a store in another thread opens none whole')
    for (const said of CORPUS) {
      const { messages } = unwrap(await planTree(w.set, { session: w.keyOf(said) }, false))
      const keys = messages.map(({ key }) => key)
      const place = ({ span, issue }: Leaf): unknown => [span?.key, span?.source, span?.text(), issue]
      using slab = new Slab()
      const whole = await w.store.openWhole(w.keyOf(said), keys, slab)
      const leaves = await w.store.open(
        keys.map((key) => ({ kind: 'message', key })),
        slab,
      )
      const { entries } = await w.store.openParts(w.keyOf(said), keys, slab)
      expect(whole.map(({ leaf }) => place(leaf))).toEqual(leaves.map(place))
      const parts = (list: readonly PartLeaf[]): unknown => list.map(({ key, leaf }) => [key, place(leaf)])
      expect(whole.map((message) => parts(message.parts))).toEqual(entries.map(parts))
      const absent = { ...(keys[0] ?? w.keyOf(said)), message: 'absent' } as never
      expect((await w.store.openWhole(w.keyOf(said), [absent], slab)).map(({ leaf }) => leaf.issue?.code)).toEqual(['STALE_SPAN'])
      slab[Symbol.dispose]()
      expect(() => whole[0]?.leaf.span?.text()).toThrow(expect.objectContaining({ code: 'SPAN_DISPOSED' }))
    }
  })

  it('gives every session to flows that read them all at the same time', async () => {
    await using w = await world()
    const expected = new Map(CORPUS.map((said) => [dialect.idOf(said), plainSayings(said, dialect.hasTree)]))
    const readAll = async (): Promise<number> => {
      let count = 0
      for await (const result of runSessionFlow(w.set, { all: true })) {
        expect(plainTree(resultOf(result))).toEqual(expected.get(resultOf(result).key.session))
        count++
      }
      return count
    }
    expect(await Promise.all([readAll(), readAll(), readAll()])).toEqual([CORPUS.length, CORPUS.length, CORPUS.length])
  })

  it('gives what was planned of a log that grows before it is read, and the rest the next time', async () => {
    await using w = await world()
    const grown = moreOf(FIRST)
    const result = await changedAfterPlan(w, FIRST, () => w.grow(grown))
    expect(issuesIn(result)).toEqual([])
    expect(plainTree(resultOf(result))).toEqual(plainSayings(FIRST, dialect.hasTree))
    expect(plainTree(resultOf(await straight(w.set, { session: w.keyOf(FIRST) })))).toEqual(plainSayings(grown, dialect.hasTree))
  })

  it('gives the words of now of a log that another one took the place of', async () => {
    await using w = await world()
    const result = await changedAfterPlan(w, FIRST, () => {
      for (const path of w.pathsOf(FIRST)) {
        writeAged(`${path}.new`, readFileSync(path, 'utf8').replaceAll('Four.', 'FIVE.'))
        renameSync(`${path}.new`, path)
      }
    })
    const { messages } = resultOf(result)
    expect(plainTree({ messages }).flatMap(({ parts }) => parts)).toContain('text FIVE.')
    expect(told(await runSessionTreeFlow(w.set, { session: w.keyOf(FIRST) }))).toEqual(told(result))
  })

  it('says STALE_SPAN of what a log has lost since it was planned, and reads other sessions', async () => {
    await using w = await world()
    const result = await changedAfterPlan(w, FIRST, () => {
      for (const path of w.pathsOf(FIRST)) truncateSync(path, 0)
    })
    expect(new Set(issuesIn(result).map(({ code }) => code))).toEqual(new Set(['STALE_SPAN']))
    expect(resultOf(result).messages.every(({ message, parts }) => message === undefined && parts.length === 0)).toBe(true)
    const removed = await changedAfterPlan(w, SECOND, () => {
      for (const path of w.pathsOf(SECOND)) rmSync(path)
    })
    expect(issuesIn(removed).map(({ code }) => code)).toContain('STALE_SPAN')
    const [, , third] = CORPUS
    expect(plainTree(resultOf(await straight(w.set, { session: w.keyOf(third) })))).toEqual(plainSayings(third, dialect.hasTree))
  })

  it('names a last line that nobody goes on with, without a change of the file', async () => {
    await using w = await world()
    const path = w.pathsOf(FIRST).at(-1) ?? ''
    if (path.endsWith('.json')) return
    const session = w.keyOf(FIRST)
    w.clock.wall = Date.now()
    appendFileSync(path, '{"half":')
    expect(issuesIn(await straight(w.set, { session }))).toEqual([])
    w.clock.wall += 60_000
    const result = await straight(w.set, { session })
    expect(issuesIn(result)).toMatchObject([{ code: 'CORRUPT_RECORD', path }])
    expect(told(await runSessionTreeFlow(w.set, { session }))).toEqual(told(result))
  })
}
