/** Sets of sessions whose stores are read in a worker, as `openSessions` opens them: the same results, and nothing left behind. */
import { execFileSync } from 'node:child_process'
import { appendFileSync, existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { openSessions } from '../../../src/open.js'
import type { PlainStores } from '../../../src/storage/worker/plain-stores.js'
import { ALONG } from '../../../src/storage/worker/protocol.js'
import { workerEntry } from '../../../src/storage/worker/worker-entry.js'
import { workerStores } from '../../../src/storage/worker/worker-stores.js'
import { runSessionFlow, runSessionTreeFlow } from '../../../src/tree/flow.js'
import { findSessionsContaining, grepSessions } from '../../../src/tree/grep/grep.js'
import { createSessionSet } from '../../../src/tree/sessions/session-set.js'
import type { Sessions } from '../../../src/tree/sessions/sessions.js'
import { describeStores } from '../../../src/tree/sessions/stores.js'
import type { FlowResult, SessionHydratedTree } from '../../../src/tree/types.js'
import { verifyStores } from '../../../src/tree/verify.js'
import { agentHome } from '../../support/agent-homes.js'
import { conversation, corpusSession, sampleCorpus } from '../../support/corpus.js'
import { jsonFixture, sqliteFixture } from '../../support/store-fixtures.js'
import { storeInWorker } from '../../support/worker-stores.js'

const START = Date.parse('2026-03-01T10:00:00.000Z')
const REPOSITORY = fileURLToPath(new URL('../../..', import.meta.url))
/** All of them take some minutes. */
const [CALLS, RESTARTS] = [1000, 100]

/** Everything that can be read of a set, but for how long it took. */
async function told(sessions: Sessions, native: boolean): Promise<unknown> {
  const trees = []
  for (const { key } of sessions.index.sessionsByTime()) trees.push(timeless(await runSessionTreeFlow(sessions, { session: key, native })))
  const verified = [await verifyStores(sessions), await verifyStores(sessions, { deep: true, orphans: true })]
  const work = sessions.stores.map(({ kind, path, supports, format, work }) => ({ kind, path, supports, format, work: { ...work } }))
  return { sessions: sessions.index.sessionsByTime(), issues: sessions.issues, trees, verified, described: await describeStores(sessions), work }
}

/** Everything that is read straight through, and in which order. */
async function streamed(sessions: Sessions, native: boolean): Promise<unknown> {
  const streams: unknown[] = []
  for (const output of ['sessions', 'messages'] as const)
    for await (const result of runSessionFlow(sessions, { all: true }, { native, output })) streams.push(timeless(result))
  const found: unknown[] = []
  const onIssue = (issue: unknown): number => found.push(issue)
  const onProgress = (progress: unknown): number => found.push(progress)
  for await (const hit of grepSessions(sessions, /question/i, { onIssue, onProgress })) found.push(hit)
  for await (const session of findSessionsContaining(sessions, 'no such text', { onIssue, onProgress })) found.push(session)
  return { streams, found }
}

function timeless(result: FlowResult<SessionHydratedTree>): unknown {
  if (result.status === 'failed') return result.error.code
  const issues = result.status === 'partial' ? result.issues : []
  return { value: result.value, issues, work: result.reports.map(({ durationMs: _, ...work }) => work) }
}

function plainOf(...paths: string[]): PlainStores {
  return { paths, env: {}, home: '/nowhere' }
}

describe('a set of sessions in a worker', () => {
  it.each([false, true])('tells the same, and at the same price, as one in this thread, of all agents (native: %s)', async (native) => {
    using home = agentHome()
    using database = sqliteFixture('1.18')(sampleCorpus())
    const data = [home.path, database.path]
    await using here = await openSessions({ data, map: 'never' })
    await using there = await openSessions({ data, worker: true })
    expect(new Set(here.stores.map(({ agent }) => agent)).size).toBe(5)
    expect(await told(there, native)).toEqual(await told(here, native))
  })

  it.each([false, true])(
    'streams and searches the same, in the same order, also damage and more than comes in one answer (native: %s)',
    async (native) => {
      using home = agentHome()
      const long = corpusSession(START, conversation(START, ALONG.messages))
      using database = sqliteFixture('1.18')([...sampleCorpus(), long])
      for (const at of [1, 2 * ALONG.messages - 1]) database.write({ session: long.id, message: long.messages[at]?.id ?? '' }, '{"role":', START)
      const data = [home.path, database.path]
      await using here = await openSessions({ data, map: 'never' })
      await using there = await openSessions({ data, worker: true })
      expect(await streamed(there, native)).toEqual(await streamed(here, native))
    },
  )

  it('sees stores come and go, and keeps the ones that stay', async () => {
    using tree = jsonFixture(sampleCorpus())
    const database = sqliteFixture('1.18')(sampleCorpus())
    await using source = workerStores(plainOf(tree.path, database.path))
    await source.refresh()
    const [first, second] = source.stores
    expect(source.stores.map(({ kind }) => kind)).toEqual(['opencode-json', 'opencode-sqlite'])
    database[Symbol.dispose]()
    await source.refresh()
    expect(source.stores).toEqual([first])
    expect(source.stores[0]).toBe(first)
    expect(source.issues.map(({ code, path }) => [code, path])).toContainEqual(['STORE_MISSING', database.path])
    await source.refresh()
    await source.refresh()
    await expect(second?.sessions()).rejects.toMatchObject({ code: 'STORE_NOT_READY' })
    expect((await first?.sessions())?.entries.length).toBe(sampleCorpus().length)
  })

  it('goes on with its stores after its worker is lost, and names the one that went meanwhile', async () => {
    using tree = jsonFixture(sampleCorpus())
    const database = sqliteFixture('1.18')(sampleCorpus())
    const source = storeInWorker({ plain: plainOf(tree.path, database.path) })
    await using sessions = await createSessionSet(source)
    const [first, second] = sessions.stores
    const [{ key } = never()] = sessions.index.sessionsByTime()
    const before = await runSessionTreeFlow(sessions, { session: key })
    database[Symbol.dispose]()
    await expect(first?.revision({ ...key, session: 'exits' as never })).rejects.toMatchObject({ code: 'WORKER_LOST' })
    await expect(second?.sessions()).rejects.toMatchObject({ code: expect.stringMatching(/^STORE_(NOT_READY|MISSING)$/) })
    await sessions.refresh()
    expect(sessions.stores).toEqual([first])
    expect(sessions.issues.map(({ code, path }) => [code, path])).toContainEqual(['STORE_MISSING', database.path])
    const after = await runSessionTreeFlow(sessions, { session: key })
    expect([before.status, after.status]).toEqual([before.status, before.status])
    await sessions.refresh()
    expect(sessions.issues.filter(({ code }) => code === 'STORE_MISSING').length).toBe(1)
  })

  it('shows what is written meanwhile', async () => {
    using home = agentHome()
    await using sessions = await openSessions({ data: home.path, agent: 'pi', worker: true })
    const [{ key } = never()] = sessions.index.sessionsByTime()
    const path = sessions.index.session(key)?.source.path ?? ''
    const [log = ''] =
      existsSync(path) && !path.endsWith('.jsonl')
        ? readdirSync(path, { recursive: true, encoding: 'utf8' })
            .filter((name) => name.endsWith('.jsonl'))
            .map((name) => join(path, name))
        : [path]
    const count = async (): Promise<number> => (await sessions.index.messages(key)).length
    const before = await count()
    const line = {
      type: 'message',
      id: 'aaaaaaa9',
      parentId: 'aaaaaaa3',
      timestamp: new Date().toISOString(),
      message: { role: 'user', content: 'More.', timestamp: Date.now() },
    }
    appendFileSync(log, `${JSON.stringify(line)}\n`)
    expect(await count()).toBe(before + 1)
  })

  it('is told what is known to be written to: an old message that was rewritten in place is seen at once', async () => {
    const session = corpusSession(START, conversation(START + 1000, 20))
    using tree = jsonFixture([session])
    await using sessions = await createSessionSet(workerStores(plainOf(tree.path)))
    await sessions.refresh()
    const [message] = session.messages
    const part = message?.parts[0]?.id ?? ''
    tree.write({ session: session.id, message: message?.id ?? '', part }, '{"type":"text","text":"rewritten long after"}', START + 2000)
    expect((await sessions.refresh()).changed).toEqual([])
    sessions.dirty.mark(join(tree.path, 'part', message?.id ?? '', `${part}.json`))
    expect((await sessions.refresh()).changed.map((key) => key.session)).toEqual([session.id])
    expect((await sessions.refresh()).changed).toEqual([])
  })

  it('refuses what no worker can be', async () => {
    await expect(openSessions({ data: '/nowhere', worker: 'yes' as never })).rejects.toMatchObject({ code: 'INVALID_OPTION' })
    await expect(openSessions({ data: '/nowhere', worker: true })).rejects.toMatchObject({ code: 'STORE_MISSING' })
  })
})

describe('the file of the worker', () => {
  it('is the built one, from here and from there', () => {
    expect(fileURLToPath(workerEntry())).toBe(join(REPOSITORY, 'dist/storage/worker/worker-main.js'))
    const built = new URL('../../../dist/storage/worker/worker-entry.js', import.meta.url)
    expect(workerEntry(built.href)).toEqual(workerEntry())
  })

  it('is missed with advice', () => {
    const missing = expect.objectContaining({
      code: 'WORKER_LOST',
      path: '/a/src/b/dist/storage/worker/worker-main.js',
      advice: expect.stringMatching(/npm run build/),
    })
    expect(() => workerEntry('file:///a/src/b/src/storage/worker/worker-entry.ts')).toThrow(missing)
  })

  it('does nothing where it is imported', async () => {
    await import('../../../src/storage/worker/worker-main.js')
  })
})

describe('nothing is left', () => {
  const count = (of: 'fd' | 'task'): number => readdirSync(`/proc/self/${of}`).length

  it.runIf(process.platform === 'linux')(
    `of ${CALLS} calls and ${RESTARTS} restarts: no descriptor, no thread`,
    async () => {
      using database = sqliteFixture('1.18')(sampleCorpus())
      const run = async (calls: number, restarts: number): Promise<void> => {
        const source = storeInWorker({ plain: plainOf(database.path) })
        await source.refresh()
        const [store = never()] = source.stores
        const { entries } = await store.sessions()
        const [{ key } = never()] = entries
        for (let call = 0; call < calls; call++) await store.revision(key)
        for (let restart = 0; restart < restarts; restart++) {
          await store.revision({ ...key, session: (restart % 2 === 0 ? 'exits' : 'misshapen') as never }).catch(() => undefined)
          await store.revision(key)
        }
        await source[Symbol.asyncDispose]()
      }
      await run(1, 1)
      const before = [count('fd'), count('task')]
      await run(CALLS, RESTARTS)
      for (let wait = 0; wait < 500 && (count('fd') > Number(before[0]) || count('task') > Number(before[1])); wait++)
        await new Promise((resolve) => setTimeout(resolve, 20))
      // What the runner itself held at first may be gone.
      expect(count('fd')).toBeLessThanOrEqual(Number(before[0]))
      expect(count('task')).toBeLessThanOrEqual(Number(before[1]))
    },
    300_000,
  )

  it('to keep a process alive that does not close its set', () => {
    using database = sqliteFixture('1.18')(sampleCorpus())
    const script = `
      import { openSessions } from ${JSON.stringify(join(REPOSITORY, 'dist/bundle/index.js'))}
      const sessions = await openSessions({ data: ${JSON.stringify(database.path)}, worker: true })
      console.log(sessions.index.sessionsByTime().length)`
    const said = execFileSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8', timeout: 120_000 })
    expect(said.trim()).toBe(String(sampleCorpus().length))
  })
})

function never(): never {
  throw new Error('the fixture lacks what this test needs')
}
