/** Logs that change between a plan and what comes after it, or while they are read. */
import { appendFileSync, mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { unwrap } from '../../src/core/stage.js'
import { Slab } from '../../src/storage/slab.js'
import { runSessionTreeFlow } from '../../src/tree/flow.js'
import { planReads, planSessionTree } from '../../src/tree/plan.js'
import { resolveSessionTree } from '../../src/tree/resolve.js'
import { verifyStores } from '../../src/tree/verify.js'
import { bytesOf, type LogDialect } from '../support/log-dialects.js'
import { jcodeJournal, jcodeSnapshot } from '../support/log-dialects-linear.js'
import { CORPUS, moreOf, plainSayings, type SaidSession } from '../support/log-sayings.js'
import { type LogWorld, type MakeLogWorld, plainTree, writeAged } from '../support/log-world.js'
import { issuesIn, resultOf, treeOf } from '../support/trees.js'
import { workOf } from '../support/work.js'
import { resolved, spansIn } from './log-store-reading.js'

const [FIRST, SECOND] = CORPUS

/** In place, to words of the same length. */
function replaceWords(w: LogWorld, session: SaidSession, from: string, to: string): void {
  for (const path of w.pathsOf(session)) writeFileSync(path, readFileSync(path, 'latin1').replaceAll(from, to), 'latin1')
}

export function describeRewrites(world: MakeLogWorld, dialect: LogDialect): void {
  it('never gives other bytes under a generation: a line that was written over is STALE_SPAN, and its siblings are not (law 1)', async () => {
    await using w = await world()
    const session = w.keyOf(FIRST)
    const plan = unwrap(await planSessionTree(w.set, { session }))
    using before = await resolved(w, FIRST)
    const texts = spansIn(before).map((span) => span.text())
    expect(texts.filter((text) => text.includes('Four.')).length).toBe(1)
    replaceWords(w, FIRST, 'Four.', 'FIVE.')
    using slab = new Slab()
    const [own, ...leaves] = await w.store.open(planReads(plan), slab)
    expect(own?.issue).toBeUndefined()
    expect(leaves.map(({ span, issue }) => span?.text() ?? issue?.code)).toEqual(texts.map((text) => (text.includes('Four.') ? 'STALE_SPAN' : text)))
    using after = unwrap(await resolveSessionTree(w.set, plan))
    expect(spansIn(after).map((span) => span.text())).toEqual(texts.map((text) => text.replaceAll('Four.', 'FIVE.')))
    const again = unwrap(await planSessionTree(w.set, { session }))
    const changed = again.messages.filter(({ signature }, at) => signature !== plan.messages[at]?.signature)
    expect(changed.map(({ key }) => key)).toEqual([plan.messages[2]?.key])
    const signatures = new Map(plan.messages.map(({ key, signature }) => [key.message, signature]))
    const tail = unwrap(await planSessionTree(w.set, { session, known: ({ message }) => signatures.get(message) }))
    expect(tail.messages.map(({ key }) => key)).toEqual([plan.messages[2]?.key])
  })

  it('gives STALE_SPAN for what moved when the log was rewritten, and everything else', async () => {
    await using w = await world()
    const plan = unwrap(await planSessionTree(w.set, { session: w.keyOf(FIRST) }))
    using before = await resolved(w, FIRST)
    const places = spansIn(before).map(({ source, length }) => ({ ...source, length }))
    const texts = spansIn(before).map((span) => span.text())
    w.write({ ...FIRST, sayings: FIRST.sayings.filter((_, at) => at !== 2) })
    using slab = new Slab()
    const [, ...leaves] = await w.store.open(planReads(plan), slab)
    const isSame = places.map(({ path, offset = 0, length }, at) => readFileSync(path).toString('utf8', offset, offset + length) === texts[at])
    // A line that several messages share goes with each of them.
    const messages = spansIn(before).map(({ key }) => (key.kind === 'session' ? '' : key.message))
    const stays = isSame.map((same, at) => same && isSame[messages.indexOf(messages[at] ?? '')] === true)
    expect(leaves.map(({ span, issue }) => span?.text() ?? issue?.code)).toEqual(texts.map((text, at) => (stays[at] ? text : 'STALE_SPAN')))
    expect(new Set(stays)).toEqual(new Set([true, false]))
    const tree = await treeOf(w.set, { session: w.keyOf(FIRST) })
    expect(tree.messages.length).toBe(FIRST.sayings.length - 1)
  })

  it('reads a log anew that another file took the place of, whatever its size and time', async () => {
    await using w = await world()
    await treeOf(w.set, { session: w.keyOf(FIRST) })
    for (const path of w.pathsOf(FIRST)) {
      writeAged(`${path}.new`, readFileSync(path, 'utf8').replaceAll('Four.', 'FIVE.'))
      renameSync(`${path}.new`, path)
    }
    const tree = await treeOf(w.set, { session: w.keyOf(FIRST) })
    expect(plainTree(tree)).toEqual(plainSayings(FIRST, dialect.hasTree).map((one, at) => (at === 2 ? { ...one, parts: ['text FIVE.'] } : one)))
  })

  it('sees with `deep` what nothing but the bytes tell', async () => {
    await using w = await world()
    const session = w.keyOf(FIRST)
    const { messages } = await treeOf(w.set, { session })
    const held = new Map(messages.map(({ key, signature }) => [key.message, signature]))
    replaceWords(w, FIRST, 'Four.', 'FIVE.')
    const plan = unwrap(await planSessionTree(w.set, { session, deep: true, known: ({ message }) => held.get(message) }))
    expect(plan.messages.map(({ key }) => key)).toEqual([messages[2]?.key])
  })
}

export function describeAbsence(world: MakeLogWorld, dialect: LogDialect): void {
  it('gives STALE_SPAN when the file is gone, names it, and lists the session no more', async () => {
    await using w = await world()
    const session = w.keyOf(FIRST)
    const plan = unwrap(await planSessionTree(w.set, { session }))
    for (const path of w.pathsOf(FIRST)) rmSync(path)
    using slab = new Slab()
    const [, ...leaves] = await w.store.open(planReads(plan), slab)
    expect(new Set(leaves.map(({ issue }) => issue?.code))).toEqual(new Set(['STALE_SPAN']))
    const issues = issuesIn(await runSessionTreeFlow(w.set, { session }))
    // A journal that is not there is as good as an empty one.
    expect(issues).toMatchObject(
      w
        .pathsOf(FIRST)
        .slice(0, 1)
        .map((path) => ({ code: 'STALE_SPAN', path, transient: true })),
    )
    await w.set.refresh()
    await expect(runSessionTreeFlow(w.set, { session })).rejects.toMatchObject({ code: 'NOT_FOUND' })
    expect(plainTree(await treeOf(w.set, { session: w.keyOf(SECOND) }))).toEqual(plainSayings(SECOND, dialect.hasTree))
  })

  it.each<[string, (path: string) => void]>([
    ['a folder', (path) => mkdirSync(path)],
    ['a dangling link', (path) => symlinkSync(`${path}.absent`, path)],
    ['a link in a circle', (path) => symlinkSync(path, path)],
  ])('reads all other sessions where a log turns into %s', async (_, put) => {
    await using w = await world()
    const session = w.keyOf(FIRST)
    const plan = unwrap(await planSessionTree(w.set, { session }))
    for (const path of w.pathsOf(FIRST)) {
      rmSync(path)
      put(path)
    }
    using slab = new Slab()
    const [, ...leaves] = await w.store.open(planReads(plan), slab)
    expect(leaves.every(({ span, issue }) => span === undefined && issue !== undefined)).toBe(true)
    const issues = issuesIn(await runSessionTreeFlow(w.set, { session }))
    expect(issues.map(({ path }) => path)).toEqual(w.pathsOf(FIRST).slice(0, issues.length))
    await w.set.refresh()
    expect(w.set.index.session(session)).toBeUndefined()
    for (const other of CORPUS.slice(1))
      expect(plainTree(await treeOf(w.set, { session: w.keyOf(other) }))).toEqual(plainSayings(other, dialect.hasTree))
  })
}

export function describeGrowth(world: MakeLogWorld, dialect: LogDialect): void {
  const isDocument = dialect.render(moreOf(FIRST)).at(-1)?.form === 'document'

  it('shows what was appended, and reads nothing twice', async () => {
    await using w = await world()
    const session = w.keyOf(FIRST)
    await treeOf(w.set, { session })
    let grown: SaidSession = FIRST
    for (let round = 0; round < 4; round++) {
      grown = moreOf(grown)
      w.grow(grown)
      const tree = await treeOf(w.set, { session })
      expect(plainTree(tree)).toEqual(plainSayings(grown, dialect.hasTree))
      await w.set.refresh()
      expect(w.set.index.session(session)?.updated).toBe(grown.sayings.at(-1)?.time)
    }
    const { work } = await workOf(w.store, () => w.store.messages(session))
    expect(work).toMatchObject({ files: 0, bytes: 0 })
  })

  it('says at every moment what one says who opens it then, of its sessions as of their messages', async () => {
    const { sayings } = moreOf(FIRST)
    const until = (count: number): SaidSession => ({ ...FIRST, sayings: sayings.slice(0, count) })
    await using w = await world([until(1), SECOND])
    const session = w.keyOf(FIRST)
    for (let count = 1; count <= sayings.length; count++) {
      w.grow(until(count))
      const seen = await w.store.messages(session)
      await w.set.refresh()
      await using fresh = await w.openAnew()
      const listing = await fresh.sessions()
      expect(await w.store.sessions()).toEqual(listing)
      expect(seen).toEqual(await fresh.messages(session))
      expect(seen.entries.length).toBe(count)
    }
  })

  it('goes on from a cursor with what is new', async () => {
    await using w = await world()
    const session = w.keyOf(FIRST)
    const whole = await runSessionTreeFlow(w.set, { session })
    const cursor = whole.status === 'failed' ? undefined : JSON.parse(JSON.stringify(whole.cursor))
    const grown = moreOf(FIRST)
    w.grow(grown)
    const result = await runSessionTreeFlow(w.set, { session, since: cursor })
    const expected = await treeOf(w.set, { session })
    expect(result).toMatchObject({ status: 'ok', ...(isDocument && { reread: 'the snapshot was rewritten' }) })
    // The message that was last before may have been closed by what follows it.
    const from = isDocument ? 0 : FIRST.sayings.length
    const told = new Set(resultOf(result).messages.map(({ key }) => key.message))
    const fresh = expected.messages.filter(({ key }, at) => at >= from || told.has(key.message))
    expect(fresh.length - grown.sayings.length + from).toBeLessThanOrEqual(1)
    expect(resultOf(result).messages.map(({ changed: _, ...node }) => node)).toEqual(fresh.map(({ changed: _, ...node }) => node))
  })

  it('gives no message twice to flows that read while the log grows', async () => {
    await using w = await world()
    const session = w.keyOf(FIRST)
    let grown: SaidSession = FIRST
    const flows: ReturnType<typeof runSessionTreeFlow>[] = []
    for (let round = 0; round < 6; round++) {
      flows.push(runSessionTreeFlow(w.set, { session }), runSessionTreeFlow(w.set, { session, deep: round % 3 === 0 }))
      grown = moreOf(grown)
      w.grow(grown)
      if (round % 2 === 0) await new Promise((resolve) => setImmediate(resolve))
    }
    const said = plainSayings(grown, dialect.hasTree)
    for (const result of await Promise.all(flows)) {
      const messages = plainTree(resultOf(result))
      expect(messages).toEqual(said.slice(0, messages.length))
      const ids = resultOf(result).messages.map(({ key }) => key.message)
      expect(new Set(ids).size).toBe(ids.length)
    }
    expect(plainTree(await treeOf(w.set, { session }))).toEqual(said)
  })

  it('gives whole tails to all that ask for the log from its start while it grows', async () => {
    await using w = await world()
    const session = w.keyOf(FIRST)
    let grown: SaidSession = FIRST
    const tails: ReturnType<NonNullable<typeof w.store.tail>>[] = []
    using slab = new Slab()
    for (let round = 0; round < 6; round++) {
      const tail = w.store.tail?.(session, undefined, slab)
      if (tail !== undefined) tails.push(tail)
      grown = moreOf(grown)
      w.grow(grown)
      if (round % 3 === 0) await new Promise((resolve) => setImmediate(resolve))
    }
    for (const tail of await Promise.all(tails)) {
      expect(tail?.messages.every(({ leaf, lines }) => leaf.span !== undefined && lines.every((line) => line.leaf.span !== undefined))).toBe(true)
    }
  })

  it.skipIf(isDocument)('takes a torn last line for nothing yet, reads it once when it is complete, and without its newline too', async () => {
    const grown = moreOf(FIRST)
    const log = dialect.render(grown).at(-1)
    const whole = log && bytesOf(log, grown)
    const step = 101
    await using w = await world()
    const session = w.keyOf(FIRST)
    const path = w.pathsOf(FIRST).at(-1) ?? ''
    const start = readFileSync(path).length
    w.clock.wall = Date.now()
    const said = plainSayings(grown, dialect.hasTree)
    for (let cut = start; whole !== undefined && cut < whole.length; cut += step) {
      appendFileSync(path, whole.subarray(cut, cut + step))
      const result = await runSessionTreeFlow(w.set, { session })
      expect([result.status, issuesIn(result)]).toEqual(['ok', []])
      await using fresh = await w.openAnew()
      await fresh.sessions()
      expect(await w.store.messages(session)).toEqual(await fresh.messages(session))
      const messages = plainTree(resultOf(result))
      expect(messages.slice(0, -1)).toEqual(said.slice(0, Math.max(0, messages.length - 1)))
    }
    expect(plainTree(await treeOf(w.set, { session }))).toEqual(said)
    writeFileSync(path, readFileSync(path).subarray(0, -1))
    const withoutEnd = await treeOf(w.set, { session })
    expect(plainTree(withoutEnd)).toEqual(said)
    appendFileSync(path, '\n')
    expect(await treeOf(w.set, { session })).toEqual({
      ...withoutEnd,
      messages: withoutEnd.messages.map((one) => expect.objectContaining({ key: one.key })),
    })
  })
}

/** jcode's own way: the journal goes into a new snapshot, and is removed a moment later. */
export function describeFolding(world: MakeLogWorld, dialect: LogDialect): void {
  if (dialect !== jcodeJournal) return

  it('gives the same messages before the journal is folded, while it is stale, and when it is gone', async () => {
    await using w = await world()
    const session = w.keyOf(FIRST)
    const said = plainSayings(FIRST, dialect.hasTree)
    expect(plainTree(await treeOf(w.set, { session }))).toEqual(said)
    const [snapshot = '', journal = ''] = w.pathsOf(FIRST)
    const [folded] = jcodeSnapshot.render(FIRST)
    writeFileSync(`${snapshot}.tmp`, folded?.lines.join('') ?? '')
    renameSync(`${snapshot}.tmp`, snapshot)
    const stale = await runSessionTreeFlow(w.set, { session })
    expect([issuesIn(stale), plainTree(resultOf(stale))]).toEqual([[], said])
    const { stores } = await verifyStores(w.set)
    expect(stores[0]?.damaged).toEqual([])
    rmSync(journal)
    const alone = await runSessionTreeFlow(w.set, { session })
    expect([issuesIn(alone), plainTree(resultOf(alone))]).toEqual([[], said])
    const grown = moreOf(FIRST)
    const lines = dialect.render({ ...grown, sayings: [...grown.sayings.slice(0, 1), ...grown.sayings.slice(FIRST.sayings.length)] })[1]?.lines
    writeFileSync(journal, `${lines?.join('\n')}\n`)
    const again = await runSessionTreeFlow(w.set, { session })
    expect([issuesIn(again), plainTree(resultOf(again))]).toEqual([[], plainSayings(grown, dialect.hasTree)])
  })
}
