/** One data folder through the years: a version of JSON trees, one that imports them, one that does not know them; and the first one again. */
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openSessions, runSessionTreeFlow, type Sessions } from '../../src/index.js'
import { jsonLines } from '../support/cli.js'
import { holdAgainst } from '../support/independent-reader.js'
import { manifestOf } from '../support/manifest.js'
import { issuesIn, keyOf, resultOf } from '../support/trees.js'
import { type Machine, makeMachine, makeProject, runBinary } from './machine.js'
import { type MockModel, startModel } from './model.js'
import { watchOpening } from './opening-watch.js'
import { rawDatabase, rawTree } from './raw.js'
import { binaryAt, hasGit, runPlace, tell } from './run-place.js'
import { type ApiSession, OpenCode } from './server.js'
import { spanleaf } from './spanleaf.js'
import { verified } from './verified.js'

const place = runPlace()
const [TREE = '', IMPORTS = '', NEWEST = ''] = place.chain

describe(`one data folder, written by OpenCode ${place.chain.join(', then ')}`, () => {
  let model: MockModel
  let machine: Machine
  let project: string
  /** By name, in the order they were made. */
  const made: Record<string, ApiSession> = {}
  /** What was said in each, turn by turn. */
  const said: Record<string, string[]> = {}

  beforeAll(async () => {
    model = await startModel()
    machine = makeMachine(place, 'upgrade', model.url)
    project = makeProject(machine, 'alpha', hasGit())
  })
  afterAll(() => model[Symbol.asyncDispose]())

  test(`${TREE} writes a tree of files`, async () => {
    await at(TREE, async (server) => {
      await turn(server, 'continued', 'Before any database')
      await turn(server, 'continued', 'Once more before any database')
      await turn(server, 'left alone', 'Never touched again')
      const tasks = { name: 'task', args: { subagent_type: 'general', description: 'A part', prompt: 'The part of a subagent' } }
      const todos = { name: 'todowrite', args: { todos: [{ id: '1', content: 'Upgrade', status: 'pending', priority: 'high' }] } }
      model.script('The part of a subagent', [{ text: 'Its part.' }])
      model.script('Let a subagent work', [{ tools: [tasks] }, { tools: [todos] }, { text: 'It worked.' }])
      const parent = await server.newSession({ title: 'parent' })
      await server.say(parent, 'Let a subagent work')
      const [child] = await server.api<ApiSession[]>('GET', `/session/${parent.id}/children`)
      if (child === undefined) throw new Error('the subagent has no session')
      Object.assign(made, { parent, child })
      Object.assign(said, { parent: ['Let a subagent work', 'It worked.'], child: ['The part of a subagent', 'Its part.'] })
    })
    await everySessionOnce(TREE, 'opencode-json', [])
  })

  test(`${IMPORTS} imports the tree and goes on in its database`, async () => {
    const old = Object.keys(made)
    await at(IMPORTS, async (server) => {
      await turn(server, 'continued', 'After the import')
      await turn(server, 'second', 'The first session of the database')
    })
    await everySessionOnce(IMPORTS, 'opencode-sqlite', old)
  })

  test(`${NEWEST} upgrades the database`, async () => {
    const old = Object.keys(made).filter((name) => name !== 'second')
    await at(NEWEST, async (server) => {
      await turn(server, 'continued', 'After the upgrade')
      await turn(server, 'second', 'The database was upgraded')
      await turn(server, 'third', 'A session of the upgraded database')
    })
    await everySessionOnce(NEWEST, 'opencode-sqlite', old)
  })

  test(`${TREE} again: what only its tree holds is there`, async () => {
    await at(TREE, (server) => turn(server, 'late', 'Made after the database'))
    await using sessions = await openSessions({ data: machine.data })
    expect(idsIn(sessions)).toEqual(idsOf(made))
    expect(sessions.index.session(keyOf(made.late?.id ?? ''))?.source.kind).toBe('opencode-json')
    await holdsWhatWasSaid(sessions, 'late')
  })

  test(`${TREE} again: a session that it continued in its tree is read as it is there`, async () => {
    await at(TREE, (server) => turn(server, 'left alone', 'Continued in the tree after all'))
    await using sessions = await openSessions({ data: machine.data })
    expect(idsIn(sessions)).toEqual(idsOf(made))
    await holdsWhatWasSaid(sessions, 'left alone')
    tell(place, 'sessions', idsIn(sessions).length)
  })

  async function at(version: string, work: (server: OpenCode) => Promise<void>): Promise<void> {
    const starting = OpenCode.start(machine, binaryAt(place, version), project)
    const { wrong } = await watchOpening(machine.data, idsOf(made), starting)
    await using server = await starting
    expect(wrong, `read while ${version} starts`).toEqual([])
    await work(server)
    await server.stop()
  }

  async function turn(server: OpenCode, name: string, question: string): Promise<void> {
    made[name] ??= await server.newSession({ title: name })
    const answer = `An answer to: ${question}.`
    model.script(question, [{ text: answer }])
    await server.say(made[name], question)
    said[name] = [...(said[name] ?? []), question, answer]
  }

  /** `old`: the sessions that stand in the tree as well, to be hidden there. */
  async function everySessionOnce(version: string, kind: string, old: readonly string[]): Promise<void> {
    const exports = new Map<string, object>()
    for (const { id, directory } of Object.values(made)) {
      const { code, out, err } = await runBinary(machine, binaryAt(place, version), ['export', id], directory)
      expect(code, err).toBe(0)
      exports.set(id, JSON.parse(out))
    }
    const before = manifestOf(machine.data)
    const listed = jsonLines(await spanleaf(['ls', '--all', '--json', '--data', machine.data]))
    expect(listed.map(({ session }) => String(session)).sort()).toEqual(idsOf(made))
    for (const { source } of listed) expect(source).toMatchObject({ kind })
    for (const [id, exported] of exports) {
      const [shown] = jsonLines(await spanleaf(['show', id, '--json', '--data', machine.data]))
      expect({ info: shown?.info, messages: shown?.messages, issues: shown?.issues }).toEqual({ ...exported, issues: [] })
    }
    await accountsForBoth(kind, old)
    expect(manifestOf(machine.data)).toEqual(before)
  }

  async function accountsForBoth(kind: string, old: readonly string[]): Promise<void> {
    const tree = rawTree(join(machine.data, 'storage'))
    const database = kind === 'opencode-json' ? undefined : rawDatabase(join(machine.data, 'opencode.db'))
    await using sessions = await openSessions({ data: machine.data })
    for (const [id, expected] of (database ?? tree).sessions) expect(await holdAgainst(sessions, id, expected)).toBe(0)
    for (const name of Object.keys(made)) {
      await holdsWhatWasSaid(sessions, name)
      const hides = sessions.index.session(keyOf(made[name]?.id ?? ''))?.hides.map((origin) => origin.kind)
      expect(hides, name).toEqual(old.includes(name) ? ['opencode-json'] : [])
    }
    const { status, damaged, accounted, sessions: counted } = await verified(machine.data)
    expect([status, damaged, accounted, counted]).toEqual([0, [], tree.records + (database?.records ?? 0), Object.keys(made).length])
  }

  async function holdsWhatWasSaid(sessions: Sessions, name: string): Promise<void> {
    const result = await runSessionTreeFlow(sessions, { session: keyOf(made[name]?.id ?? '') })
    expect(issuesIn(result)).toEqual([])
    const texts = resultOf(result).messages.flatMap(({ parts }) => parts.flatMap((part) => (part.type === 'text' ? [part.text] : [])))
    expect(texts, name).toEqual(said[name])
  }
})

function idsOf(sessions: Readonly<Record<string, ApiSession>>): readonly string[] {
  return Object.values(sessions)
    .map(({ id }) => id)
    .sort()
}

function idsIn(sessions: Sessions): readonly string[] {
  return sessions.index
    .sessionsByTime()
    .map(({ id }) => id)
    .sort()
}
