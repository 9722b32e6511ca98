/** Reading and indexing a session all the while a real OpenCode writes a long answer into it. */
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { openSessions, runSessionTreeFlow, type Sessions, type TreeRequest } from '../../src/index.js'
import { jsonLines } from '../support/cli.js'
import { keyOf } from '../support/trees.js'
import { type Machine, makeMachine, makeProject } from './machine.js'
import { type MockModel, startModel } from './model.js'
import { damagedParts, rawStore } from './raw.js'
import { binaryAt, runPlace, tell } from './run-place.js'
import { type ApiSession, OpenCode, until } from './server.js'
import { type CliResult, spanleaf } from './spanleaf.js'
import { StreamWatch } from './stream-watch.js'

const place = runPlace()
const KIB = 1024
/** Characters; of one message 256 KiB are indexed. */
const LATE = 240 * KIB

describe(`OpenCode ${place.version}, while an answer streams`, () => {
  let model: MockModel
  let machine: Machine
  let server: OpenCode

  beforeAll(async () => {
    model = await startModel()
    machine = makeMachine(place, 'stream', model.url)
    server = await OpenCode.start(machine, binaryAt(place, place.version), makeProject(machine, 'alpha', false))
    return async () => {
      await server.kill()
      await model[Symbol.asyncDispose]()
    }
  })

  test.each([300, 1024])('an answer of %i KiB is never read wrong, and whole in the end', async (size) => {
    const said = await answerOf(size)
    const { watch, session } = said
    await using sessions = await openOnceThere(machine, session)
    let settled = false
    const stop = (): void => {
      settled = true
    }
    const answered = server.untilSettled(session, 200)
    const end = answered.then(stop, stop)
    let indexing: Promise<CliResult> | undefined
    let tornFiles = 0
    while (!settled) {
      tornFiles += damagedParts(machine.data)
      await readAll(sessions, session, watch, machine.data)
      if (watch.isUnderWay) indexing ??= index(machine)
    }
    await end
    await answered
    expect(await indexing, 'it was indexed while it was being written').toMatchObject({ status: 0 })
    await readAll(sessions, session, watch, machine.data)
    const whole = await answerIn(session)
    expect(whole.trimEnd()).toHaveLength(said.text.trimEnd().length)
    expect(watch.wrong).toEqual([])
    expect(watch.issues).toEqual([])
    expect(watch.whole === whole, 'the whole read holds all of it').toBe(true)
    expect(watch.tail === whole, 'so does what the tails gave').toBe(true)
    const { kind } = rawStore(machine.data)
    // A tree of files has every piece on disk at once; a database has the empty text first and the whole one at the end.
    expect(watch.lengths.size).toBeGreaterThan(kind === 'opencode-json' ? 10 : 1)
    expect(watch.readsUnderWay).toBeGreaterThan(10)
    expect(await index(machine)).toMatchObject({ status: 0 })
    for (const word of said.words) expect(await found(machine, word)).toContain(session.id)
    tell(place, `${size} KiB: reads`, watch.readsUnderWay)
    if (kind === 'opencode-json') tell(place, `${size} KiB: torn on disk, met`, `${tornFiles}, ${watch.torn}`)
  })

  async function answerOf(size: number): Promise<{ session: ApiSession; watch: StreamWatch; text: string; words: readonly string[] }> {
    const words = ['early', 'late'].map((word) => `${word}word${size}`)
    const text = longText(size * KIB, words)
    const session = await server.newSession({ title: `An answer of ${size} KiB` })
    model.script(`Write ${size} KiB`, [{ text, chunk: size <= 300 ? KIB : 4 * KIB, everyMs: 10 }])
    await server.begin(session, `Write ${size} KiB`)
    return { session, text, words, watch: new StreamWatch(text) }
  }

  /** OpenCode's own word. Some versions cut off the blanks at the end. */
  async function answerIn(session: ApiSession): Promise<string> {
    const parts = (await server.messages(session)).flatMap((message) => (message.info.role === 'assistant' ? message.parts : []))
    return parts.map(({ type, text }) => (type === 'text' ? String(text) : '')).join('')
  }
})

/** Numbered words, so that no piece of it stands in another place; the `late` one where the search index still takes text of so long a message. */
function longText(length: number, [first = '', late = '']: readonly string[]): string {
  const pieces = [`${first} `]
  for (let n = 0, at = 0, said = false; at < length; n++) {
    const isLate: boolean = !said && at > LATE
    said ||= isLate
    pieces.push(isLate ? `${late} ` : n % 12 === 11 ? `number ${n}.\n` : `number ${n} `)
    at += pieces.at(-1)?.length ?? 0
  }
  return `${pieces.join('')}the end   \n\n`
}

/** The first session makes the store. */
async function openOnceThere(machine: Machine, session: ApiSession): Promise<Sessions> {
  return until('the session in the store', async () => {
    const sessions = await openSessions({ data: machine.data })
    if (sessions.index.session(keyOf(session.id)) !== undefined) return sessions
    await sessions.close()
    return undefined
  })
}

/** A whole read, a tail, a refreshed listing, and a set that was opened just now. */
async function readAll(sessions: Sessions, { id }: ApiSession, watch: StreamWatch, data: string): Promise<void> {
  const session = keyOf(id)
  const read = async (set: Sessions, request: Partial<TreeRequest> = {}) => runSessionTreeFlow(set, { session, ...request })
  watch.addWhole(await read(sessions))
  watch.addTail(await read(sessions, { known: watch.known }))
  await sessions.refresh()
  watch.addIssues(sessions.issues)
  await using fresh = await openSessions({ data })
  watch.addWhole(await read(fresh))
  await new Promise((resolve) => setImmediate(resolve))
}

function index(machine: Machine): Promise<CliResult> {
  return spanleaf(['index', '--json', '--data', machine.data, '--home', join(machine.root, 'index')])
}

async function found(machine: Machine, word: string): Promise<readonly unknown[]> {
  const result = await spanleaf(['search', word, '--json', '--data', machine.data, '--home', join(machine.root, 'index')])
  expect(result.status, result.stderr).toBe(0)
  const hits = jsonLines(result).filter(({ text }) => String(text).includes(word))
  return hits.map(({ session }) => session)
}
