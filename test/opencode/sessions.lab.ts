/** A day of a real OpenCode, and what spanleaf reads of it in the evening. */
import { beforeAll, describe, expect, test } from 'vitest'
import { loadTodos, openSessions, type SessionMeta } from '../../src/index.js'
import { jsonLines } from '../support/cli.js'
import { holdAgainst } from '../support/independent-reader.js'
import { manifestOf } from '../support/manifest.js'
import { keyOf, treeOf } from '../support/trees.js'
import { type Machine, makeMachine, makeProject, runBinary } from './machine.js'
import { startModel } from './model.js'
import { type RawStore, rawStore } from './raw.js'
import { binaryAt, hasGit, runPlace, tell } from './run-place.js'
import { type Day, ODD_TEXT, playDay } from './screenplay.js'
import { type ApiSession, OpenCode } from './server.js'
import { spanleaf } from './spanleaf.js'
import { verified } from './verified.js'

const place = runPlace()
const binary = binaryAt(place, place.version)
let machine: Machine
let day: Day
let raw: RawStore
let before: ReturnType<typeof manifestOf>

beforeAll(async () => {
  await using model = await startModel()
  machine = makeMachine(place, 'day', model.url)
  const project = makeProject(machine, 'alpha', hasGit())
  await using server = await OpenCode.start(machine, binary, project)
  day = await playDay(server, model, project, makeProject(machine, 'plain', false))
  await server.stop()
})

describe(`OpenCode ${place.version}, after a day`, () => {
  /** Starting a binary may write to its store: all exports come first. */
  const exports = new Map<string, { info: unknown; messages: unknown }>()

  test('opencode export tells of every session', async () => {
    for (const { id, directory } of Object.values(day.sessions)) {
      const { code, out, err } = await runBinary(machine, binary, ['export', id], directory)
      expect(code, err).toBe(0)
      exports.set(id, JSON.parse(out))
    }
    raw = rawStore(machine.data)
    before = manifestOf(machine.data)
  })

  test('ls --all names every session once, and none that was deleted', async () => {
    const result = await spanleaf(['ls', '--all', '--json', '--data', machine.data])
    expect(result).toMatchObject({ status: 0, stderr: '' })
    const listed = jsonLines(result)
    const ids = listed.map(({ session }) => String(session)).sort()
    expect(ids).toEqual([...raw.sessions.keys()].sort())
    expect(ids).toEqual(
      Object.values(day.sessions)
        .map(({ id }) => id)
        .sort(),
    )
    expect(day.deleted).toHaveLength(2)
    expect(ids).not.toEqual(expect.arrayContaining([...day.deleted]))
    for (const { session, messages, source } of listed) {
      expect(messages).toBe(raw.sessions.get(String(session))?.messages.length)
      expect(source).toMatchObject({ kind: raw.kind })
    }
  })

  test('show --json is what opencode export says, for every session', async () => {
    let equal = 0
    for (const [id, exported] of exports) {
      const [shown] = jsonLines(await spanleaf(['show', id, '--json', '--data', machine.data]))
      expect({ info: shown?.info, messages: shown?.messages, issues: shown?.issues }).toEqual({ ...exported, issues: [] })
      equal++
    }
    expect(equal).toBe(raw.sessions.size)
    tell(place, 'export equal', `${equal}/${raw.sessions.size}`)
  })

  test('every record is as an independent reader has it', async () => {
    await using sessions = await openSessions({ data: machine.data })
    for (const [id, expected] of raw.sessions) expect(await holdAgainst(sessions, id, expected)).toBe(0)
  })

  test('what was said, done, attached, planned and taken back is there', async () => {
    await using sessions = await openSessions({ data: machine.data })
    const has = async ({ id }: ApiSession, ...texts: readonly string[]): Promise<void> => {
      const read = JSON.stringify(await treeOf(sessions, { session: keyOf(id) }))
      for (const text of texts) expect(read).toContain(JSON.stringify(text).slice(1, -1))
    }
    const { talk, failed, parent, child, attachment, aborted, reverted, odd, archived, compacted, fork } = day.sessions
    await has(talk, 'I look at the file first.', 'Let me look.', 'from the shell', 'It adds two numbers.', 'Done.', 'A title by the model')
    await has(failed, 'All failed.', 'the model answers 400', 'APIError')
    await has(child, 'The subagent has done its part.')
    await has(attachment, 'data:image/png;base64,', 'It is one pixel.')
    await has(aborted, 'MessageAbortedError')
    await has(odd, ODD_TEXT)
    await has(compacted, 'compaction', 'A summary of what was said.', 'It goes on.')
    await has(fork, 'It adds two numbers.', 'Said in the fork.')
    const meta = ({ id }: ApiSession): SessionMeta | undefined => sessions.index.session(keyOf(id))
    expect(meta(child)?.parent).toBe(parent.id)
    expect(meta(reverted)?.revert).toBe(day.revertedTo)
    expect(meta(archived)).toMatchObject({ title: 'New title', archived: 1_800_000_000_000 })
    const todos = await loadTodos(sessions, keyOf(day.sessions.todos.id))
    expect(todos.map(({ content, status, priority }) => [content, status, priority])).toEqual([
      ['Read', 'completed', 'high'],
      ['Write', 'in_progress', 'medium'],
    ])
  })

  test('verify accounts for every record and finds none damaged', async () => {
    const { sessions, messages, parts, orphanParts, ...rest } = await verified(machine.data)
    expect(rest).toEqual({ status: 0, stderr: '', damaged: [], accounted: raw.records })
    const all = [...raw.sessions.values()].flatMap((session) => session.messages)
    expect([sessions, messages, parts]).toEqual([raw.sessions.size, all.length, all.flatMap((message) => message.parts).length])
    for (const [column, value] of Object.entries({ sessions, messages, parts, 'orphan parts': orphanParts })) tell(place, column, value)
  })

  test('the store is as it was', () => {
    expect(manifestOf(machine.data)).toEqual(before)
  })
})
