/** Storms of changes: once it is quiet, what a watch told, applied to the listing before it, is what a fresh look at the stores shows. */
import { mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import fc from 'fast-check'
import { afterAll, describe, expect, it } from 'vitest'
import { encodeKey } from '../../src/core/keys.js'
import { openSessions } from '../../src/open.js'
import { createWatchedRoots } from '../../src/storage/watch/root.js'
import type { Sessions } from '../../src/tree/sessions/sessions.js'
import { type SessionWatch, startWatch, watchSessions } from '../../src/tree/watch/watch.js'
import { anotherTick } from '../support/another-tick.js'
import { assistantMessage, type CorpusSession, conversation, corpusSession, DAY, userMessage } from '../support/corpus.js'
import { pretty, writeTreeSessions } from '../support/store-fixtures.js'
import { tempFolder } from '../support/temp.js'
import { fakeWatcher, piLogs, steppedClock } from '../support/watching.js'

const folder = tempFolder()
afterAll(() => folder[Symbol.dispose]())
const START = Date.parse('2026-03-01T10:00:00.000Z')
let made = 0

interface Act {
  readonly act: 'create' | 'append' | 'rewrite' | 'rename' | 'delete' | 'move folder'
  readonly at: number
  readonly ms: number
}

const anyStorm = (length: number): fc.Arbitrary<readonly Act[]> =>
  fc.array(
    fc.record({
      act: fc.constantFrom<Act['act'][]>('create', 'append', 'append', 'rewrite', 'rename', 'delete', 'move folder'),
      at: fc.nat(1000),
      ms: fc.nat(80),
    }),
    { minLength: 1, maxLength: length },
  )

interface Stormy {
  readonly root: string
  /** The paths that it wrote to, as events would tell of them. */
  perform(act: Act): readonly string[]
}

/** Logs of pi, in folders of projects that get other names. */
function stormyLogs(root: string): Stormy {
  const logs = piLogs(root)
  let count = 0
  for (let n = 0; n < 4; n++) logs.add(`s${count++}`)
  const files = (): readonly string[] =>
    readdirSync(root, { recursive: true, encoding: 'utf8', withFileTypes: true }).flatMap((entry) =>
      entry.isFile() ? [join(entry.parentPath, entry.name)] : [],
    )
  const other = piLogs(root, '--other--')
  return {
    root,
    perform({ act, at }) {
      const held = files()
      const path = held[at % Math.max(1, held.length)]
      if (act === 'create' || path === undefined) {
        const id = `s${count++}`
        const into = at % 2 === 0 ? logs : other
        into.add(id)
        return [into.pathOf(id)]
      }
      const id = /_(\w+)\.jsonl$/.exec(path)?.[1] ?? ''
      const text = (n: number): string =>
        `${JSON.stringify({ type: 'message', id: `x${n}`, parentId: null, timestamp: '2026-03-01T10:00:00.000Z', message: { role: 'user', content: `${at}` } })}\n`
      const head = `${JSON.stringify({ type: 'session', version: 3, id, timestamp: '2026-03-01T10:00:00.000Z', cwd: '/w' })}\n`
      switch (act) {
        case 'append':
          writeFileSync(path, text(count++), { flag: 'a' })
          return [path]
        case 'rewrite':
          writeFileSync(path, head + text(count++))
          return [path]
        case 'rename': {
          mkdirSync(join(root, '--third--'), { recursive: true })
          const to = join(root, '--third--', `2026-03-01T10-00-00-000Z_${id}.jsonl`)
          renameSync(path, to)
          return [path, to]
        }
        case 'delete':
          rmSync(path)
          return [path]
        case 'move folder': {
          const from = join(path, '..')
          const to = join(root, `--moved-${count++}--`)
          renameSync(from, to)
          return [from, to]
        }
      }
    },
  }
}

/** A JSON tree; a folder of messages, or of a project's sessions, that moves away takes them along and comes back with the next such act. */
function stormyTree(root: string): Stormy {
  const tree = join(root, 'opencode', 'storage')
  let count = 0
  const sessions: CorpusSession[] = []
  const create = (): CorpusSession => {
    const session = corpusSession(START + 1000 * count, conversation(START + 1000 * count + 1, 2), { project: count % 2 === 0 ? 'even' : 'odd' })
    count++
    sessions.push(session)
    writeTreeSessions(tree, [session])
    return session
  }
  for (let n = 0; n < 3; n++) create()
  const away: (readonly [string, string])[] = []
  const file = (session: CorpusSession): string => join(tree, 'session', session.project, `${session.id}.json`)
  const write = (path: string, document: object): string => {
    mkdirSync(join(path, '..'), { recursive: true })
    writeFileSync(path, pretty(document))
    return path
  }
  return {
    root: join(root, 'opencode'),
    perform({ act, at }) {
      const session = sessions[at % sessions.length] as CorpusSession
      const [first] = session.messages
      switch (act) {
        case 'create':
          return [file(create())]
        case 'append': {
          const message = at % 2 === 0 ? userMessage(START + DAY + count++) : assistantMessage(START + DAY + count++)
          const parts = message.parts.map(({ id, data }) => write(join(tree, 'part', message.id, `${id}.json`), { id, ...data }))
          return [
            ...parts,
            write(join(tree, 'message', session.id, `${message.id}.json`), { id: message.id, sessionID: session.id, ...message.data }),
          ]
        }
        case 'rewrite': {
          const part = first?.parts[0]
          return part === undefined
            ? []
            : [write(join(tree, 'part', first?.id ?? '', `${part.id}.json`), { id: part.id, ...part.data, text: `${at}` })]
        }
        case 'rename': {
          const to = join(tree, 'session', 'third', `${session.id}.json`)
          mkdirSync(join(to, '..'), { recursive: true })
          if (!exists(file(session))) return []
          renameSync(file(session), to)
          return [file(session), to]
        }
        case 'delete':
          rmSync(join(tree, 'message', session.id), { recursive: true, force: true })
          rmSync(file(session), { force: true })
          return [file(session), join(tree, 'message', session.id)]
        case 'move folder': {
          const back = away.pop()
          if (back !== undefined && !exists(back[0])) {
            renameSync(back[1], back[0])
            return [...back]
          }
          const from = join(tree, 'message', session.id)
          if (!exists(from)) return []
          away.push([from, join(root, `away-${count++}`)])
          renameSync(from, join(root, `away-${count - 1}`))
          return [from]
        }
      }
    },
  }
}

function exists(path: string): boolean {
  try {
    readdirSync(join(path, '..'))
    return readdirSync(join(path, '..')).includes(path.slice(path.lastIndexOf('/') + 1))
  } catch {
    return false
  }
}

/** What somebody knows who saw the listing at the beginning, and then follows what he is told. */
class Follower {
  readonly known = new Map<string, string>()
  readonly #sessions: Sessions

  constructor(sessions: Sessions) {
    this.#sessions = sessions
  }

  async begin(): Promise<void> {
    for (const [name, revision] of await revisionsOf(this.#sessions)) this.known.set(name, revision)
  }

  async follow(watch: SessionWatch): Promise<void> {
    for await (const { session, kind } of watch) {
      const name = encodeKey(session)
      expect(this.known.has(name), `${kind} ${name}`).toBe(kind !== 'added')
      if (kind === 'removed') this.known.delete(name)
      else this.known.set(name, await this.#sessions.index.revision(session).catch(() => 'went meanwhile'))
    }
  }
}

async function revisionsOf(sessions: Sessions): Promise<ReadonlyMap<string, string>> {
  const revisions = new Map<string, string>()
  for (const { key } of sessions.index.sessionsByTime()) revisions.set(encodeKey(key), await sessions.index.revision(key))
  return revisions
}

async function freshLook(root: string): Promise<ReadonlyMap<string, string>> {
  await using sessions = await openSessions({ data: root })
  return await revisionsOf(sessions)
}

const PLACES = [
  ['logs', stormyLogs],
  ['a JSON tree', stormyTree],
] as const

/** Whether an event is told, by the number of the act. */
const LOSSES = [
  ['every event', () => true],
  ['every third event', (n: number) => n % 3 === 0],
  ['no event', () => false],
] as const

describe.each(PLACES)('a storm over %s', (_, make) => {
  it.each(LOSSES)('is told whole to somebody who gets %s', { timeout: 120_000 }, async (_name, isTold) => {
    await fc.assert(
      fc.asyncProperty(anyStorm(25), fc.boolean(), async (storm, overflows) => {
        const place = make(join(folder.path, `storm-${made++}`))
        const clock = steppedClock(Date.now() + DAY)
        await using sessions = await openSessions({ data: place.root, clock })
        const watcher = fakeWatcher()
        const follower = new Follower(sessions)
        await follower.begin()
        await using watch = startWatch(sessions, {}, { load: watcher.load, roots: createWatchedRoots(() => undefined) })
        const following = follower.follow(watch)
        await clock.advance(50)
        anotherTick()
        for (const [n, act] of storm.entries()) {
          const paths = place.perform(act)
          if (isTold(n)) for (const path of paths) watcher.tell(path)
          await clock.advance(act.ms)
          // By a clock that is a day ahead every time is past doubt.
          anotherTick()
        }
        if (overflows) for (const root of watcher.folders) watcher.fail(root, 'the queue ran over')
        await clock.advance(62_000)
        await watch.return()
        await following
        expect(new Map([...follower.known].sort())).toEqual(new Map([...(await freshLook(place.root))].sort()))
      }),
      { numRuns: 4 },
    )
  })

  it.each(['auto', 'poll'] as const)('is told whole by the system: %s', async (how) => {
    const place = make(join(folder.path, `storm-${made++}`))
    await using sessions = await openSessions({ data: place.root })
    const follower = new Follower(sessions)
    await follower.begin()
    const watch = watchSessions(sessions, { watch: how, pollMs: 100 })
    const following = follower.follow(watch)
    const [storm = []] = fc.sample(anyStorm(60), { numRuns: 1, seed: 7 })
    for (const act of storm) {
      place.perform(act)
      await wait(act.ms / 8)
    }
    const expected = new Map([...(await freshLook(place.root))].sort())
    const until = Date.now() + 30_000
    const isThere = (): boolean => JSON.stringify([...follower.known].sort()) === JSON.stringify([...expected])
    while (!isThere() && Date.now() < until) await wait(50)
    await watch.return()
    await following
    expect(new Map([...follower.known].sort())).toEqual(expected)
  })
})
