/** The contract of stores of logs, held against every dialect, with maps and without; and what one dialect is enough for. */
import { appendFileSync, chmodSync, closeSync, openSync, readFileSync, truncateSync, writeSync } from 'node:fs'
import { dirname } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { MapOption } from '../../../src/storage/maps/file-maps.js'
import { runSessionTreeFlow } from '../../../src/tree/flow.js'
import { verifyStores } from '../../../src/tree/verify.js'
import { describeLogStore } from '../../contracts/log-store.js'
import { linesIn } from '../../contracts/log-store-damage.js'
import { libraryForOthers, runAsNobody } from '../../support/as-nobody.js'
import { DIALECTS, type LogDialect } from '../../support/log-dialects.js'
import { pi } from '../../support/log-dialects-chained.js'
import { CORPUS, moreOf, plainSayings } from '../../support/log-sayings.js'
import { logWorld, plainTree } from '../../support/log-world.js'
import { manifestOf } from '../../support/manifest.js'
import { tempFolder } from '../../support/temp.js'
import { issuesIn, resultOf } from '../../support/trees.js'

/** 'auto' maps none of logs as small as these: one dialect is enough to tell; all of them with SPANLEAF_LONG=1. */
const mapsOf = (dialect: LogDialect): readonly MapOption[] =>
  process.env.SPANLEAF_LONG === '1' || dialect === pi ? ['never', 'auto', 1] : ['never', 1]

for (const dialect of DIALECTS) for (const map of mapsOf(dialect)) describeLogStore(dialect, { map })

const [FIRST] = CORPUS

describe('a line of more than 32 MiB', () => {
  const LENGTH = 33 * 2 ** 20

  function appendLong(path: string): void {
    const file = openSync(path, 'a')
    writeSync(file, '{"type":"message","x":"')
    const piece = Buffer.alloc(2 ** 20, 'x')
    for (let at = 0; at < LENGTH; at += piece.length) writeSync(file, piece)
    writeSync(file, '"}')
    closeSync(file)
  }

  it('is named with its place and never opened; everything else is read, and a reading can go on from there', async () => {
    await using w = await logWorld(pi, { map: 'never' })
    const session = w.keyOf(FIRST)
    const [path = ''] = w.pathsOf(FIRST)
    const [offset, line] = [readFileSync(path).length, readFileSync(path, 'utf8').split('\n').length]
    appendLong(path)
    w.clock.wall = Date.now() + 60_000
    const named = { code: 'UNREADABLE_RECORD', path, line, offset, reason: expect.stringMatching(/longer than 32 MiB/) }
    const withoutEnd = await runSessionTreeFlow(w.set, { session })
    expect([issuesIn(withoutEnd), plainTree(resultOf(withoutEnd)).slice(0, -1)]).toMatchObject([[named], plainSayings(FIRST, true)])
    appendFileSync(path, '\n')
    const controller = new AbortController()
    setImmediate(() => controller.abort(new Error('enough')))
    await expect(w.store.messages(session, { deep: true, signal: controller.signal })).rejects.toThrow('enough')
    const whole = await runSessionTreeFlow(w.set, { session })
    expect(issuesIn(whole)).toMatchObject([named])
    const cursor = whole.status === 'failed' ? undefined : whole.cursor
    expect(cursor?.kind).toBe('log')
    const linesOf = (said: typeof FIRST): readonly string[] => pi.render(said)[0]?.lines ?? []
    appendFileSync(path, `${linesOf(moreOf(FIRST)).slice(linesOf(FIRST).length).join('\n')}\n`)
    const before = w.store.work.bytes
    const tail = await runSessionTreeFlow(w.set, { session, ...(cursor && { since: cursor }) })
    expect([issuesIn(tail), resultOf(tail).messages.length]).toEqual([[], 3])
    expect(w.store.work.bytes - before).toBeLessThan(2 ** 20)
    const { stores } = await verifyStores(w.set)
    expect(stores[0]?.damaged).toMatchObject([{ ...named, kind: 'message' }])
    expect(stores[0] && linesIn(stores[0])).toBeGreaterThan(FIRST.sayings.length)
    truncateSync(path, offset)
    expect(plainTree(resultOf(await runSessionTreeFlow(w.set, { session })))).toEqual(plainSayings(FIRST, true))
  })
})

describe('logs without rights', () => {
  const folder = tempFolder()
  let library = ''
  beforeAll(() => {
    library = libraryForOthers(folder.path)
  })
  afterAll(() => folder[Symbol.dispose]())

  const READ = `
    const set = await lib.openSessions({ data })
    const said = []
    for (const { key } of set.index.sessionsByTime()) {
      const flow = await lib.runSessionTreeFlow(set, { session: key })
      const issues = flow.status === 'partial' ? flow.issues.map(({ code, path }) => [code, path.slice(data.length)]) : []
      said.push([key.session, flow.status === 'failed' ? flow.error.code : flow.value.messages.length, issues])
    }
    const { total } = await lib.verifyStores(set)
    await set.close()
    return { said, issues: set.issues.map(({ code, path }) => [code, path.slice(data.length)]), damaged: total.damaged }`

  function closed<T>(path: string, mode: number, act: () => T): T {
    chmodSync(path, mode)
    try {
      return act()
    } finally {
      chmodSync(path, 0o755)
    }
  }

  it.each(DIALECTS.filter(({ hasTree, agent }) => !hasTree || agent === 'pi'))(
    'of $name: one that cannot be read is named, all others are read',
    async (dialect) => {
      await using w = await logWorld(dialect, { map: 'never' })
      const [path = ''] = w.pathsOf(FIRST)
      const { said, issues } = closed(path, 0o000, () => runAsNobody(library, w.root, READ)) as {
        said: [string, unknown, unknown[]][]
        issues: unknown[]
      }
      const byId = new Map(said.map(([id, ...rest]) => [id, rest]))
      for (const other of CORPUS.slice(1)) expect(byId.get(dialect.idOf(other))).toEqual([other.sayings.length, []])
      const own = byId.get(dialect.idOf(FIRST))?.[1] ?? issues
      expect(own).toContainEqual(['UNREADABLE_RECORD', path.slice(w.root.length)])
    },
  )

  it('in folders that nobody may write to are read whole, and nothing is left behind', async () => {
    await using w = await logWorld(pi, { map: 'never' })
    const [path = ''] = w.pathsOf(FIRST)
    const before = manifestOf(w.root)
    const read = (): unknown => runAsNobody(library, w.root, READ)
    const said = closed(w.root, 0o555, () => closed(dirname(path), 0o555, read)) as { said: unknown[]; issues: unknown[]; damaged: number }
    expect([said.said.length, said.issues, said.damaged]).toEqual([CORPUS.length, [], 0])
    expect(manifestOf(w.root)).toEqual(before)
  })
})
