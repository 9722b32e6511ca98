/** Logs that are read straight through: what that costs, harmed logs, and those that are too large to be kept. */
import { readFileSync, renameSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { isDocument } from '../../../src/core/documents.js'
import { keepText, MOST_KEPT } from '../../../src/storage/jsonl/kept-text.js'
import { SharedBytes, Slab, SlabPool } from '../../../src/storage/slab.js'
import { runSessionFlow, runSessionTreeFlow } from '../../../src/tree/flow.js'
import { planTree } from '../../../src/tree/plan.js'
import { straight, told } from '../../contracts/log-store-straight.js'
import { bytesOf, DIALECTS, type LogDialect } from '../../support/log-dialects.js'
import { claude } from '../../support/log-dialects-chained.js'
import { codex } from '../../support/log-dialects-linear.js'
import { dice, harmed, randomSession } from '../../support/log-mutants.js'
import { CORPUS } from '../../support/log-sayings.js'
import { type LogWorld, logWorld, plainTree, writeAged } from '../../support/log-world.js'
import { issuesIn, resultOf } from '../../support/trees.js'
import { workOf } from '../../support/work.js'

const CASES = 60

async function holdsBothWays(w: LogWorld, name: string): Promise<void> {
  await w.set.refresh()
  for await (const result of runSessionFlow(w.set, { all: true })) {
    const staged = await runSessionTreeFlow(w.set, { session: resultOf(result).key })
    expect(told(result), name).toEqual(told(staged))
  }
}

describe('logs that are read straight through', () => {
  it.each(DIALECTS)('of $name are read once, also in pages', async (dialect) => {
    await using w = await logWorld(dialect, { map: 'never' })
    for (const said of CORPUS) {
      const paths = w.pathsOf(said)
      const size = paths.reduce((sum, path) => sum + statSync(path).size, 0)
      const { work } = await workOf(w.store, async () => {
        for await (const result of runSessionFlow(w.set, { session: w.keyOf(said) }, { output: 'messages' })) expect(issuesIn(result)).toEqual([])
      })
      expect([work.files, work.bytes]).toEqual([paths.length, size])
    }
  })

  it.each(DIALECTS)('of $name and harmed give what the stages give (property)', async (dialect: LogDialect) => {
    await using w = await logWorld(dialect, { map: 'never' }, [])
    for (let n = 0; n < CASES; n++) {
      const random = dice(7000 + n)
      const session = randomSession(random, n)
      const logs = dialect.render(session)
      for (const log of logs.slice(0, -1)) writeAged(`${w.root}/${log.path}`, bytesOf(log, session))
      const last = logs.at(-1) as (typeof logs)[number]
      writeAged(`${w.root}/${last.path}`, harmed(bytesOf(last, session), random).bytes)
    }
    await holdsBothWays(w, dialect.name)
  })

  it('go the other way when they are too large to be kept, and name a line that is too long', async () => {
    const [said] = CORPUS
    await using w = await logWorld(claude, { map: 'never' }, [said])
    const [log] = claude.render(said)
    const long = `{"type":"user","message":{"role":"user","content":"${'x'.repeat(2 ** 25)}"}}\n`
    const path = w.pathsOf(said)[0] ?? ''
    writeAged(path, Buffer.concat([log === undefined ? Buffer.alloc(0) : bytesOf(log, said), Buffer.from(long)]))
    expect(statSync(path).size).toBeGreaterThan(MOST_KEPT)
    await holdsBothWays(w, claude.name)
    const session = w.keyOf(said)
    for await (const result of runSessionFlow(w.set, { session })) expect(issuesIn(result)).toMatchObject([{ code: 'UNREADABLE_RECORD', path }])
  })

  it('are read anew by another pass, whatever the metadata of their files say', async () => {
    const [said] = CORPUS
    await using w = await logWorld(claude, { map: 'never' })
    const session = w.keyOf(said)
    await straight(w.set, { session })
    const path = w.pathsOf(said)[0] ?? ''
    const { mtimeMs } = statSync(path)
    writeFileSync(path, readFileSync(path, 'utf8').replaceAll('Four.', 'FIVE.'))
    utimesSync(path, mtimeMs / 1000, mtimeMs / 1000)
    const result = await straight(w.set, { session })
    expect(plainTree(resultOf(result)).flatMap(({ parts }) => parts)).toContain('text FIVE.')
  })

  it('give each message native documents of its own, also of what was parsed once for many', async () => {
    const native: unknown[] = []
    await using w = await logWorld(codex, { map: 'never' })
    for (const said of CORPUS) {
      for await (const result of runSessionFlow(w.set, { session: w.keyOf(said) }, { native: true })) {
        for (const { native: own } of resultOf(result).messages) native.push(own?.message, ...(own?.parts ?? []).map(({ document }) => document))
      }
    }
    expect(native.filter((document) => isDocument(document) && document.type === 'turn_context').length).toBeGreaterThan(CORPUS.length)
    expect(new Set(native).size).toBe(native.length)
  })

  it('are not opened with other bytes when another session is read meanwhile', async () => {
    const [one, other] = CORPUS
    await using w = await logWorld(claude, { map: 'never' })
    await planTree(w.set, { session: w.keyOf(one) }, false)
    const slab = new Slab()
    const [leaf] = await w.store.open([{ kind: 'message', key: await firstKey(w, one) }], slab)
    const text = leaf?.span?.text()
    await planTree(w.set, { session: w.keyOf(other) }, false)
    await planTree(w.set, { session: w.keyOf(CORPUS[2]) }, false)
    expect([text?.startsWith('{'), leaf?.span?.text()]).toEqual([true, text])
    slab[Symbol.dispose]()
    expect(() => leaf?.span?.text()).toThrow('the span has ended')
  })
})

async function firstKey(w: LogWorld, said: (typeof CORPUS)[number]) {
  const planned = await planTree(w.set, { session: w.keyOf(said) }, false)
  if (planned.status === 'failed') throw planned.error
  return (planned.value.messages[0] as (typeof planned.value.messages)[number]).key
}

describe('kept bytes', () => {
  it('are those of one log at most once it was read, also after passes at the same time and of logs that were held', async () => {
    await using w = await logWorld(claude, { map: 'never' })
    const held = heldBytes()
    const pass = async (): Promise<void> => {
      for await (const result of runSessionFlow(w.set, { all: true })) expect(issuesIn(result)).toEqual([])
    }
    await Promise.all([pass(), pass(), pass()])
    expect(held.size).toBeLessThanOrEqual(1)
    for (const said of CORPUS) {
      await runSessionTreeFlow(w.set, { session: w.keyOf(said) })
      for (const path of w.pathsOf(said)) {
        writeAged(`${path}.new`, readFileSync(path))
        renameSync(`${path}.new`, path)
      }
    }
    await pass()
    expect(held.size).toBe(1)
  })

  it('go back once, when the last holder lets go', () => {
    const back: Buffer[] = []
    const shared = new SharedBytes(Buffer.alloc(4), (bytes) => back.push(bytes))
    const slab = new Slab()
    slab.share(shared)
    slab.share(shared)
    shared.letGo()
    expect(back).toEqual([])
    slab[Symbol.dispose]()
    slab[Symbol.dispose]()
    expect(back).toEqual([shared.bytes])
  })

  it('stand in a chunk of the pool when they fit there', async () => {
    await using w = await logWorld(claude, { map: 'never' })
    const pool = new SlabPool()
    const chunk = pool.take()
    pool.give(chunk)
    const path = w.pathsOf(CORPUS[0])[0] ?? ''
    const kept = keepText(path, { files: 0, rows: 0, bytes: 0, stats: 0 }, pool)
    expect([kept?.shared.bytes === chunk, kept?.length]).toEqual([true, statSync(path).size])
    kept?.shared.letGo()
    expect(pool.take()).toBe(chunk)
  })
})

/** Kept bytes that were opened from now on and are not handed back yet. */
function heldBytes(): ReadonlySet<SharedBytes> {
  const holders = new Map<SharedBytes, number>()
  const held = new Set<SharedBytes>()
  const count = (shared: SharedBytes, by: number): void => {
    const now = (holders.get(shared) ?? 1) + by
    holders.set(shared, now)
    if (now > 0) held.add(shared)
    else held.delete(shared)
  }
  const { hold, letGo } = SharedBytes.prototype
  const holding = vi.spyOn(SharedBytes.prototype, 'hold').mockImplementation(function (this: SharedBytes) {
    count(this, 1)
    hold.call(this)
  })
  const lettingGo = vi.spyOn(SharedBytes.prototype, 'letGo').mockImplementation(function (this: SharedBytes) {
    count(this, -1)
    letGo.call(this)
  })
  onTestFinished(() => {
    holding.mockRestore()
    lettingGo.mockRestore()
  })
  return held
}
