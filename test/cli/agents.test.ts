/** All agents in one view: `ls`, `stores`, `show`, `plan`, `spans`, `verify`, `index` and `search` over a home with five of them, and narrowed with `--agent`. */
import fs, { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { join } from 'node:path'
import { Ajv } from 'ajv'
import { afterAll, describe, expect, it } from 'vitest'
import { describeStores, openSessions, runSessionTreeFlow, verifyStores } from '../../src/index.js'
import { agentHome, CODEX_ID, JCODE_ID, LOGS, SECRETS, SHARED_ID } from '../support/agent-homes.js'
import { jsonLines, REPOSITORY, runCli } from '../support/cli.js'

const home = agentHome()
const env = { HOME: home.path }
const ajv = new Ajv({ allowUnionTypes: true })

afterAll(() => home[Symbol.dispose]())

function expectValid(schema: string, values: readonly object[]): void {
  const validate = ajv.compile(JSON.parse(readFileSync(`${REPOSITORY}docs/schemas/${schema}.schema.json`, 'utf8')))
  expect(values.length).toBeGreaterThan(0)
  for (const value of values) expect(validate(value), JSON.stringify(validate.errors)).toBe(true)
}

/** Calls back with whatever is opened or read; gives the way back. */
function watchOpens(onOpen: (path: string) => void): () => void {
  const undo = [fs, fs.promises].map((module) => {
    const names = ['open', 'openSync', 'readFile', 'readFileSync', 'createReadStream'].filter((name) => name in module)
    const original = Object.fromEntries(names.map((name) => [name, Reflect.get(module, name) as (...args: unknown[]) => unknown]))
    const watched = names.map((name) => [
      name,
      (...args: unknown[]) => {
        onOpen(String(args[0]))
        return original[name]?.apply(module, args)
      },
    ])
    Object.assign(module, Object.fromEntries(watched))
    return () => Object.assign(module, original)
  })
  syncBuiltinESMExports()
  return () => {
    for (const back of undo) back()
    syncBuiltinESMExports()
  }
}

const run = (...args: readonly string[]) => runCli(args, env)
const json = (...args: readonly string[]) => jsonLines(run(...args, '--json'))

const ALL = [
  ['opencode', home.opencode],
  ['jcode', JCODE_ID],
  ['codex', CODEX_ID],
  ['claude', SHARED_ID],
  ['pi', SHARED_ID],
]

describe('ls', () => {
  it('lists the sessions of all agents, the last updated first', () => {
    const listed = json('ls')
    expectValid('ls', listed)
    expect(listed.map(({ agent, session }) => [agent, session])).toEqual(ALL)
    expect(listed.map(({ agent, title, directory }) => [agent, title, directory]).slice(1)).toEqual([
      ['jcode', 'The sun', '/srv/sky'],
      ['codex', 'Which comet is this?', '/srv/sky'],
      ['claude', 'The moon', '/srv/sky'],
      ['pi', 'The star', '/srv/sky'],
    ])
    expect(listed.find(({ agent }) => agent === 'pi')).toMatchObject({ entries: 6, messages: 3, model: { id: 'claude-opus-4-5' } })
    expect(listed.find(({ agent }) => agent === 'jcode')).toMatchObject({ label: 'kept' })
    expect(listed[0]).toMatchObject({ entries: null, label: null })
  })

  it('names the agent where there are several, in columns', () => {
    const [head, ...lines] = run('ls').stdout.split('\n').slice(0, -1)
    expect(head).toMatch(/^UPDATED +MESSAGES {2}AGENT +SESSION +TITLE · FOLDER$/)
    expect(lines.map((line) => line.split(/ {2,}/)[2])).toEqual(ALL.map(([agent]) => agent))
    expect(lines[1]).toContain('[kept] The sun')
    const one = run('ls', '--agent', 'codex').stdout
    expect(one).toMatch(new RegExp(`^UPDATED +MESSAGES {2}SESSION .+\n\\S+ \\S+ +2 {2}${CODEX_ID} {2}Which comet is this\\?`))
  })

  it('narrows to agents, and knows no others', () => {
    expect(json('ls', '--agent', 'pi').map(({ agent }) => agent)).toEqual(['pi'])
    expect(json('ls', '--agent', 'pi', '--agent', 'jcode').map(({ agent }) => agent)).toEqual(['jcode', 'pi'])
    expect(json('ls', '--agent', 'pi', '--data', home.path).map(({ agent }) => agent)).toEqual(['pi'])
    for (const name of ['ls', 'stores', 'verify', 'index']) {
      const { status, stderr } = run(name, '--agent', 'cursor')
      expect([status, stderr]).toEqual([2, expect.stringContaining('one of opencode, pi, claude, codex, jcode')])
    }
    const { status, stderr } = run('ls', '--agent', 'pi', '--data', join(home.path, '.codex'))
    expect([status, stderr]).toEqual([1, expect.stringContaining('there is no store of pi')])
  })

  it('takes kinds of logs, and paths of them', () => {
    expect(json('ls', '--store', 'claude-jsonl').map(({ agent }) => agent)).toEqual(['claude'])
    expect(json('ls', '--store', join(home.path, '.codex')).map(({ agent }) => agent)).toEqual(['codex'])
    for (const [agent, name] of Object.entries(LOGS)) {
      expect(json('ls', '--data', join(home.path, name)).map((session) => session.agent)).toEqual([agent])
    }
  })
})

describe('stores', () => {
  it('tells each with its numbers', () => {
    const [found] = json('stores') as [{ stores: Record<string, unknown>[]; issues: unknown[] }]
    expectValid('stores', [found])
    expect(found.issues).toEqual([])
    expect(found.stores.map(({ kind, sessions, messages, shown }) => [kind, sessions, messages, shown])).toEqual([
      ['opencode-json', 1, 4, 1],
      ['pi-jsonl', 1, 3, 1],
      ['claude-jsonl', 1, 3, 1],
      ['codex-jsonl', 1, 2, 1],
      ['jcode-journal', 1, 2, 1],
    ])
    expect(json('stores', '--agent', 'jcode')).toMatchObject([{ stores: [{ kind: 'jcode-journal', era: 'jcode sessions' }] }])
    expect(run('stores').stdout).toMatch(/^pi-jsonl +pi logs +1 +3 +inside messages/m)
  })
})

describe('show', () => {
  const texts = (...args: string[]): unknown[] => {
    const [shown] = json('show', ...args) as [{ messages: { parts: { text?: string }[]; tree: object }[] }]
    expectValid('show', [shown])
    return shown.messages.map(({ parts, tree }) => [parts[0]?.text, tree])
  }

  it('asks for the agent where two have the id', () => {
    const { status, stderr } = run('show', SHARED_ID)
    expect([status, stderr]).toEqual([1, expect.stringMatching(/exists for .*Name one of them with --agent/)])
  })

  it('gives messages in the order of the log, with their places in the tree', () => {
    expect(texts(SHARED_ID, '--agent', 'pi')).toEqual([
      ['Which star is this?', { parent: null, active: true }],
      ['The first answer.', { parent: 'aaaaaaa1', active: false }],
      ['Another answer.', { parent: 'aaaaaaa1', active: true }],
    ])
    expect(texts(SHARED_ID, '--agent', 'claude').at(-1)).toEqual(['Look it up.', { parent: null, active: false, trait: 'sidechain' }])
    for (const id of [CODEX_ID, JCODE_ID]) expect(texts(id)).toHaveLength(2)
  })

  it('gives the active branch alone with --branch active', () => {
    const pi = [SHARED_ID, '--agent', 'pi', '--branch', 'active']
    expect(texts(...pi).map((one) => (one as unknown[])[0])).toEqual(['Which star is this?', 'Another answer.'])
    expect(texts(...pi, '--last', '1')).toHaveLength(1)
    expect(texts(...pi, '--last', '2')).toHaveLength(2)
    expect(texts(...pi, '--last', '0')).toHaveLength(0)
    const lines = json('show', '--jsonl', ...pi)
    expectValid('show-jsonl', lines)
    expect(lines.map(({ type }) => type)).toEqual(['session', 'message', 'message', 'end'])
    expect(run('show', '--branch', 'some', SHARED_ID).status).toBe(2)
  })

  it('reads well: who, where, with what, and which messages are off the branch', () => {
    const pi = run('show', SHARED_ID, '--agent', 'pi').stdout
    expect(pi).toMatch(/^The star\n4c6896e8-\S+ {2}· {2}pi {2}· {2}anthropic\/claude-opus-4-5 {2}· {2}\/srv\/sky\n/)
    expect(pi).toMatch(/── assistant claude-opus-4-5 {2}\S+ \S+ {2}aaaaaaa2 {2}\[other branch\]\nThe first answer\./)
    expect(pi).toMatch(/aaaaaaa3\nAnother answer\./)
    expect(run('show', SHARED_ID, '--agent', 'claude').stdout).toMatch(/bbbbbbb3 {2}\[sidechain\]\nLook it up\./)
    expect(run('show', SHARED_ID, '--agent', 'pi', '--branch', 'active').stdout).toContain('3 messages, 2 of them of the active branch')
    expect(run('show', JCODE_ID).stdout).toMatch(/^\[kept\] The sun\n/)
  })

  it('tells no cost of a log that tells none', () => {
    expect(run('show', SHARED_ID, '--agent', 'claude').stdout).toMatch(/messages {2}· {2}[\d,]+ in, [\d,]+ out\n/)
    expect(run('show', CODEX_ID).stdout).not.toContain('$0.0000')
  })
})

describe('plan, spans and verify', () => {
  it('tell lines of logs by their place', () => {
    expectValid('plan', json('plan', SHARED_ID, '--agent', 'pi'))
    const spans = json('spans', SHARED_ID, '--agent', 'pi')
    expectValid('spans', spans)
    const log = readFileSync(join(home.path, LOGS.pi))
    const messages = spans.filter(({ kind }) => kind === 'message') as { bytes: number; source: { offset: number; line: number }; mapped: boolean }[]
    expect(messages.map(({ source }) => source.line)).toEqual([3, 4, 5])
    for (const { bytes, source, mapped } of messages) {
      expect(JSON.parse(log.subarray(source.offset, source.offset + bytes).toString())).toMatchObject({ type: 'message' })
      expect(mapped).toBe(false)
    }
    expect(run('spans', SHARED_ID, '--agent', 'pi').stdout).toMatch(/^message +\d+ B {2}[0-9a-f]{16} {2}aaaaaaa1 {2}line 3, byte \d+$/m)
  })

  it('account for every line, and name a damaged one by its line', () => {
    using damaged = agentHome()
    const path = join(damaged.path, LOGS.pi)
    const text = readFileSync(path, 'utf8').split('\n')
    writeFileSync(path, [...text.slice(0, 3), '{"type":"message","id":', ...text.slice(3)].join('\n'))
    const offset = Buffer.byteLength(`${text.slice(0, 3).join('\n')}\n`)
    expect(run('verify').status).toBe(0)
    expectValid('verify', json('verify'))
    const at = { HOME: damaged.path }
    const verified = runCli(['verify', '--agent', 'pi'], at)
    expect([verified.status, verified.stdout]).toEqual([3, expect.stringMatching(new RegExp(`: ${path}:4 \\(byte ${offset + 23}\\)`))])
    expect(runCli(['verify', '--agent', 'jcode'], at).status).toBe(0)
    expect(runCli(['show', SHARED_ID, '--agent', 'pi'], at).stdout).toMatch(new RegExp(`! CORRUPT_RECORD: \\S+ \\(${path}:4 \\(byte \\d+\\)\\)`))
  })
})

describe('index and search', () => {
  it('hold all agents; narrowed to one, the documents of the others stay', () => {
    const index = ['--home', join(home.path, 'index')]
    expect(run('index', ...index)).toMatchObject({ status: 0 })
    const agents = (...args: string[]): unknown => {
      const hits = json('search', 'Which question is this', '--limit', '50', ...args, ...index)
      expectValid('search', hits)
      return new Set(hits.map(({ agent }) => agent))
    }
    expect(agents('--agent', 'pi', '--agent', 'codex')).toEqual(new Set(['pi', 'codex']))
    expect(agents('--store', 'jcode-journal')).toEqual(new Set(['jcode']))
    const { status, stderr } = run('index', '--agent', 'pi', ...index)
    expect([status, stderr]).toEqual([0, expect.stringMatching(/indexed sessions? of stores that were not looked at now stay as they are/)])
    expect(agents()).toEqual(new Set(['opencode', 'pi', 'claude', 'codex', 'jcode']))
    expect(run('search', 'x', '--agent', 'cursor', ...index)).toMatchObject({ status: 2, stderr: expect.stringContaining('one of opencode, pi') })
    expect(run('search', 'comet', '--agent', 'codex', ...index).stdout).toContain(`spanleaf show ${CODEX_ID} --agent codex`)
    const forgotten = run('forget', SHARED_ID, ...index)
    expect([forgotten.status, forgotten.stdout]).toEqual([0, expect.stringContaining('of 2 sessions removed')])
    expect(agents()).toEqual(new Set(['opencode', 'codex', 'jcode']))
  })
})

describe('secrets', () => {
  it('are never opened, whatever is read', async () => {
    const opened = new Set<string>()
    const restore = watchOpens((path) => opened.add(path))
    try {
      for (const options of [{ env }, { data: home.path }, { data: Object.keys(LOGS).map((agent) => join(home.path, `.${agent}`)) }]) {
        await using sessions = await openSessions(options)
        await describeStores(sessions)
        await verifyStores(sessions, { deep: true })
        for (const { key } of sessions.index.sessionsByTime()) await runSessionTreeFlow(sessions, { session: key })
      }
      await expect(openSessions({ data: join(home.path, '.codex', 'auth.json') })).rejects.toMatchObject({ code: 'STORE_MISSING' })
    } finally {
      restore()
    }
    for (const name of Object.values(LOGS)) expect(opened).toContain(join(home.path, name))
    for (const name of SECRETS) expect(opened).not.toContain(join(home.path, name))
  })
})

describe('openSessions', () => {
  it('takes agents; the set is not narrowed by them', async () => {
    await using sessions = await openSessions({ env, agent: ['pi', 'codex'] })
    expect(sessions.stores.map(({ agent }) => agent)).toEqual(['pi', 'codex'])
    expect(sessions.narrowed).toBe(false)
    await using one = await openSessions({ env, agent: 'jcode', store: 'jcode-journal' })
    expect([one.stores.length, one.narrowed]).toEqual([1, true])
  })

  it('finds an agent that comes, and names one that is gone', async () => {
    using own = agentHome()
    const parked = join(own.path, 'parked')
    renameSync(join(own.path, '.jcode', 'sessions'), parked)
    await using sessions = await openSessions({ env: { HOME: own.path } })
    const agents = () => sessions.index.sessionsByTime().map(({ key }) => key.agent)
    expect(agents()).toEqual(['opencode', 'codex', 'claude', 'pi'])
    renameSync(parked, join(own.path, '.jcode', 'sessions'))
    await sessions.refresh()
    expect(agents()).toEqual(['opencode', 'jcode', 'codex', 'claude', 'pi'])
    renameSync(join(own.path, '.codex', 'sessions'), parked)
    await sessions.refresh()
    expect(agents()).toEqual(['opencode', 'jcode', 'claude', 'pi'])
    expect(sessions.issues).toMatchObject([
      { code: 'STORE_MISSING', path: join(own.path, '.codex'), reason: expect.stringMatching(/^the folder of logs that was open here/) },
    ])
  })

  it.each([
    { data: [] },
    { env: null },
    { env: 3 },
    { clock: {} },
    { signal: 3 },
    { worker: 1 },
    { agent: 'cursor' },
    { agent: [] },
    { agent: ['pi', 7] },
    { map: 'always' },
    { map: 0 },
    { map: 1.5 },
    { map: '1' },
  ])('refuses %j', async (options) => {
    await expect(openSessions({ env, ...(options as object) })).rejects.toMatchObject({ code: 'INVALID_OPTION' })
  })

  it.each(['auto', 'never', 1, 2 ** 21] as const)('takes %j for map', async (map) => {
    await using sessions = await openSessions({ env, map, agent: 'pi' })
    expect(sessions.stores).toHaveLength(1)
  })
})
