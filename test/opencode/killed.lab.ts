/** `kill -9` of a real OpenCode while it writes an answer and runs a tool, three times over. */
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { openSessions } from '../../src/index.js'
import { jsonLines } from '../support/cli.js'
import { holdAgainst } from '../support/independent-reader.js'
import { manifestOf } from '../support/manifest.js'
import { keyOf, treeOf } from '../support/trees.js'
import { type Machine, makeMachine, makeProject } from './machine.js'
import { startModel } from './model.js'
import { type RawStore, rawStore } from './raw.js'
import { binaryAt, runPlace, tell } from './run-place.js'
import { type ApiSession, OpenCode } from './server.js'
import { spanleaf } from './spanleaf.js'
import { verified } from './verified.js'

const place = runPlace()
const ROUNDS = 3
/** More than any round waits for. */
const ENDLESS = Array.from({ length: 300_000 }, (_, n) => `word ${n} `).join('')

describe(`OpenCode ${place.version}, after kill -9`, () => {
  let machine: Machine
  let raw: RawStore
  let before: ReturnType<typeof manifestOf>
  const whole: ApiSession[] = []
  const writing: ApiSession[] = []
  const running: ApiSession[] = []

  beforeAll(async () => {
    await using model = await startModel()
    machine = makeMachine(place, 'killed', model.url)
    const project = makeProject(machine, 'alpha', false)
    model.script('Answer whole', [{ text: 'A whole answer.' }])
    model.script('Never stop', [{ reasoning: 'Thinking.', text: ENDLESS, chunk: 4096, everyMs: 2 }])
    // OpenCode gives its tools a process group of their own: this one ends when the file goes, whatever happens to the test.
    const goOn = join(machine.root, 'go-on')
    const command = `echo begun; while [ -e '${goOn}' ]; do sleep 0.2; done`
    model.script('Run it for long', [{ tools: [{ name: 'bash', args: { command, description: 'Goes on' } }] }])
    for (let round = 0; round < ROUNDS; round++) {
      writeFileSync(goOn, '')
      await using server = await OpenCode.start(machine, binaryAt(place, place.version), project)
      const [done, written, run] = [await server.newSession(), await server.newSession(), await server.newSession()]
      whole.push(done)
      writing.push(written)
      running.push(run)
      await server.say(done, 'Answer whole')
      await server.begin(run, 'Run it for long')
      await server.untilPart(run, ({ type, state }) => type === 'tool' && (state as { status?: string }).status === 'running')
      await server.begin(written, 'Never stop')
      // A tree of files is killed while it rewrites a big one; a database has no text before its end.
      const enough = rawStore(machine.data).kind === 'opencode-json' ? 400_000 : 0
      await server.untilPart(written, ({ type, text }) => type === 'text' && text !== 'Never stop' && String(text).length >= enough)
      await server.kill()
      rmSync(goOn)
    }
    raw = rawStore(machine.data)
    before = manifestOf(machine.data)
  })

  test('every session is listed, and everything intact in it is read', async () => {
    const listed = jsonLines(await spanleaf(['ls', '--all', '--json', '--data', machine.data]))
    const made = [...whole, ...writing, ...running].map(({ id }) => id)
    expect(listed.map(({ session }) => session).sort()).toEqual(made.sort())
    await using sessions = await openSessions({ data: machine.data })
    let issues = 0
    for (const [id, expected] of raw.sessions) issues += await holdAgainst(sessions, id, expected)
    expect(issues).toBe(raw.damaged.filter((path) => /\/(message|part)\//.test(path)).length)
  })

  test('what was complete is complete; what was not tells so', async () => {
    await using sessions = await openSessions({ data: machine.data })
    const answer = async ({ id }: ApiSession) => {
      const { messages } = await treeOf(sessions, { session: keyOf(id) })
      const found = messages.find(({ message }) => message?.role === 'assistant')
      if (found?.message?.role !== 'assistant') throw new Error('the answer is not there')
      return { ...found, completed: found.message.time.completed }
    }
    for (const session of whole) {
      const node = await answer(session)
      expect(node.completed).toBeGreaterThan(0)
      expect(node.parts.find(({ type }) => type === 'text')).toMatchObject({ text: 'A whole answer.' })
    }
    for (const session of running) {
      const node = await answer(session)
      expect(node.completed).toBeUndefined()
      expect(node.parts.find(({ type }) => type === 'tool')).toMatchObject({ tool: 'bash', state: { status: 'running' } })
    }
    for (const session of writing) {
      const node = await answer(session)
      expect(node.completed).toBeUndefined()
      const texts = node.parts.flatMap((part) => (part.type === 'text' ? [part.text] : []))
      expect(texts.length + node.damagedParts).toBe(1)
      for (const text of texts) expect(ENDLESS.startsWith(text)).toBe(true)
    }
  })

  test('verify accounts for every record and names the damaged ones', async () => {
    const { status, stderr, accounted, damaged } = await verified(machine.data)
    expect([status, stderr, accounted]).toEqual([raw.damaged.length > 0 ? 3 : 0, '', raw.records])
    expect([...damaged].sort()).toEqual([...raw.damaged].sort())
    tell(place, 'damaged by kill -9', raw.damaged.length)
  })

  test('the store is as the kill left it', () => {
    expect(manifestOf(machine.data)).toEqual(before)
  })
})
