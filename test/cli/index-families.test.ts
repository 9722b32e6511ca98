/** What `forget`, `--exclude` and `--include` say and do of a session with subagents, and what `search` says of sessions that are gone. */
import { appendFileSync, mkdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { type CliResult, jsonLines, runCli } from '../support/cli.js'
import { tempFolder } from '../support/temp.js'

const ROOT = '11111111-1111-4111-8111-111111111111'
const OTHER = '11111111-1111-4111-8111-111111111222'

function writeJson(path: string, value: object): void {
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, JSON.stringify(value))
}

interface Home extends Disposable {
  readonly path: string
  run(...args: readonly string[]): CliResult
  /** The texts of all hits. */
  found(...args: readonly string[]): readonly unknown[]
  logOf(session: string, agent?: string): string
  write(text: string, session: string, agent?: string): void
}

function home(): Home {
  const folder = tempFolder()
  const run = (...args: readonly string[]): CliResult => runCli(args, { HOME: folder.path, SPANLEAF_HOME: join(folder.path, 'spanleaf') })
  const logOf = (session: string, agent?: string): string => {
    const project = join(folder.path, '.claude', 'projects', '-work')
    return agent === undefined ? join(project, `${session}.jsonl`) : join(project, session, 'subagents', `agent-${agent}.jsonl`)
  }
  return {
    path: folder.path,
    run,
    found: (...args) => jsonLines(run('search', '--json', ...args, 'penguin')).map(({ text }) => text),
    logOf,
    write(text, session, agent) {
      const path = logOf(session, agent)
      const side = agent === undefined ? { isSidechain: false } : { isSidechain: true, agentId: agent }
      const line = { parentUuid: null, ...side, cwd: '/work', sessionId: session, version: '2.1.0', type: 'user', uuid: `u-${agent ?? session}` }
      mkdirSync(dirname(path), { recursive: true })
      writeFileSync(path, `${JSON.stringify({ ...line, timestamp: '2026-01-02T03:04:05.000Z', message: { role: 'user', content: text } })}\n`)
      utimesSync(path, 1_767_323_045, 1_767_323_045)
    },
    [Symbol.dispose]: () => folder[Symbol.dispose](),
  }
}

describe('a session that started others', () => {
  it('is forgotten with them, those that come later too, and comes back with them', () => {
    using at = home()
    at.write('penguin one', ROOT)
    at.write('penguin two', ROOT, 'abc')
    at.write('penguin three', OTHER)
    expect(at.run('index').status).toBe(0)
    const forgotten = at.run('forget', ROOT)
    expect(forgotten.stdout).toContain(`of 2 sessions removed; ${ROOT} stays out of the index from now on, with all sessions that it starts.`)
    const list = join(at.path, 'spanleaf', 'exclude.jsonl')
    expect(readFileSync(list, 'utf8')).toContain('agent-abc')
    at.write('penguin four', ROOT, 'def')
    at.run('index')
    expect(at.found()).toEqual(['penguin three'])
    const child = at.run('index', '--include', `${ROOT}.agent-abc`)
    expect(child.stderr).toContain(`${ROOT}.agent-abc stays out, as it was started by ${ROOT}, which is excluded`)
    // As versions before this one did.
    appendFileSync(list, `${JSON.stringify({ op: 'exclude', kind: 'sessions', value: `${ROOT}.agent-abc` })}\n`)
    expect(at.run('index', '--include', ROOT).stderr).toContain(`with ${ROOT}, 2 sessions that it started are back`)
    expect([...at.found()].sort()).toEqual(['penguin four', 'penguin one', 'penguin three', 'penguin two'])
    expect(at.run('index', '--exclude', ROOT).stderr).toContain(`with ${ROOT}, 2 sessions that it started are out, and any that it starts later`)
    expect(at.found()).toEqual(['penguin three'])
  })
})

describe('a session between, whose record is damaged later,', () => {
  const session = (at: Home, id: string, parent?: string): string => {
    const path = join(at.path, 'data', 'storage', 'session', 'proj1', `${id}.json`)
    const time = { created: 1_760_000_000_000, updated: 1_760_000_001_000 }
    writeJson(path, { id, version: '1.1.65', projectID: 'proj1', directory: '/work', title: id, ...(parent && { parentID: parent }), time })
    const message = `msg_${id.slice(4)}`
    const answer = { id: message, sessionID: id, role: 'assistant', time: { created: time.created, completed: time.updated }, finish: 'stop' }
    writeJson(join(at.path, 'data', 'storage', 'message', id, `${message}.json`), answer)
    const part = { id: `prt_${id.slice(4)}`, sessionID: id, messageID: message, type: 'text', text: `penguin of ${id}` }
    writeJson(join(at.path, 'data', 'storage', 'part', message, `prt_${id.slice(4)}.json`), part)
    return path
  }

  it.each([
    ['forget', (at: Home) => at.run('forget', '--data', join(at.path, 'data'), 'ses_A')],
    ['--exclude', (at: Home) => at.run('index', '--data', join(at.path, 'data'), '--exclude', 'ses_A')],
  ])('brings nothing back of what went with the first one, before that is taken back: %s', (_name, exclude) => {
    using at = home()
    session(at, 'ses_A')
    const between = session(at, 'ses_B', 'ses_A')
    session(at, 'ses_C', 'ses_B')
    const index = (...args: readonly string[]): CliResult => at.run('index', '--data', join(at.path, 'data'), ...args)
    index()
    expect(at.found()).toHaveLength(3)
    exclude(at)
    writeFileSync(between, '{"id":"ses_B", "pare')
    index()
    expect(at.found()).toEqual([])
    expect(index('--include', 'ses_A').stderr).toContain('with ses_A, 2 sessions that it started are back')
    expect(at.found()).toHaveLength(3)
  })

  it('stays out with what it started, should one of these be included alone', () => {
    using at = home()
    session(at, 'ses_A')
    const between = session(at, 'ses_B', 'ses_A')
    session(at, 'ses_C', 'ses_B')
    const index = (...args: readonly string[]): CliResult => at.run('index', '--data', join(at.path, 'data'), ...args)
    index('--exclude', 'ses_A')
    expect(index('--include', 'ses_C').stderr).toContain('ses_C stays out, as it was started by')
    rmSync(between)
    index()
    expect(at.found()).toEqual([])
  })
})

describe('wal --recover', () => {
  it('sends nothing of what an excluded session started', () => {
    using at = home()
    at.write('penguin two', ROOT, 'abc')
    const env = { HOME: at.path, SPANLEAF_HOME: join(at.path, 'spanleaf') }
    expect(runCli(['index'], { ...env, SPANLEAF_FAILPOINT: 'e:1' }).status).toBe(null)
    appendFileSync(join(at.path, 'spanleaf', 'exclude.jsonl'), `${JSON.stringify({ op: 'exclude', kind: 'sessions', value: ROOT })}\n`)
    expect(jsonLines(at.run('wal', '--recover', '--json'))).toEqual([{ records: 1, documents: 0, left: 0 }])
    expect(at.found()).toEqual([])
  })
})

describe('search', () => {
  it('says how many sessions were deleted since', () => {
    using at = home()
    at.write('penguin one', ROOT)
    at.write('penguin three', OTHER)
    at.run('index')
    expect(at.run('search', 'penguin').stderr).toBe('')
    rmSync(at.logOf(OTHER))
    expect(at.run('search', 'penguin').stderr).toContain('the index is behind: 1 session deleted since; run `spanleaf index`')
    at.run('index')
    expect(at.run('search', 'penguin').stderr).toBe('')
  })

  it('looks among the sessions of --data alone, and refuses a path without a store', () => {
    using at = home()
    at.write('penguin one', ROOT)
    at.write('penguin three', OTHER)
    at.run('index')
    expect(at.found('--data', at.logOf(OTHER))).toEqual(['penguin three'])
    expect([...at.found('--data', join(at.path, '.claude'))].sort()).toEqual(['penguin one', 'penguin three'])
    expect(at.run('search', '--data', join(at.path, 'none'), 'penguin')).toMatchObject({ status: 1, stdout: '' })
  })

  it('names twenty copies, and how many there are', () => {
    using at = home()
    const ids = Array.from({ length: 24 }, (_, i) => `${ROOT.slice(0, -2)}${10 + i}`)
    for (const id of ids) at.write('penguin one', id)
    at.run('index')
    const [hit] = jsonLines(at.run('search', '--json', 'penguin'))
    expect([hit?.copied, hit?.copies]).toEqual([23, expect.objectContaining({ length: 20 })])
    expect(at.run('search', 'penguin').stdout).toContain('(also in 23 sessions)')
  })

  it('gives one hit for a text that a resumed session copied, and names the others', () => {
    using at = home()
    at.write('penguin one', ROOT)
    at.write('penguin one', OTHER)
    at.run('index')
    const [hit, ...others] = jsonLines(at.run('search', '--json', 'penguin'))
    expect([others, hit?.copies]).toEqual([[], [expect.objectContaining({ agent: 'claude', directory: '/work', source: 'claude-jsonl' })]])
    expect(at.run('search', 'penguin').stdout).toContain('--agent claude  (also in 1 session)')
  })
})
