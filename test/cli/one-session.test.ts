/** Commands of one session: what was listed before names its store, and they say what they would say without. */
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { agentHome, LOGS, SHARED_ID } from '../support/agent-homes.js'
import { DEMO, jsonLines, outputOf, runCli, startCli } from '../support/cli.js'
import { tempFolder } from '../support/temp.js'

const folder = tempFolder()
afterAll(() => folder[Symbol.dispose]())
const agents = agentHome()
afterAll(() => agents[Symbol.dispose]())

const data = join(folder.path, 'opencode')
cpSync(DEMO, data, { recursive: true })
const home = join(folder.path, 'home')
const at = ['--data', data, '--data', agents.path]
const listed = jsonLines(runCli(['ls', '--all', '--json', ...at, '--home', home])) as {
  session: string
  parent: string | null
  agent: string
  source: { kind: string }
}[]
const catalog = (): string => `${statSync(join(home, 'sessions.idx.db')).mtimeMs}`

/** The same words with what was listed before and without; of JSON all but how long it took. */
function expectSame(...args: readonly string[]): ReturnType<typeof runCli> {
  const timeless = ({ stdout, stderr, status }: ReturnType<typeof runCli>) => ({
    status,
    stderr,
    stdout: stdout.replaceAll(/"durationMs":[\d.]+/g, ''),
  })
  const [kept, anew] = [runCli([...args, ...at, '--home', home]), runCli([...args, ...at, '--no-catalog'])]
  expect(timeless(kept), args.join(' ')).toEqual(timeless(anew))
  return kept
}

/** One that stands in files. */
const parent = listed.find((line) => line.parent !== null && line.source.kind === 'opencode-json')?.parent ?? ''
const plain = listed.find(({ session, agent }) => agent === 'codex' && session !== parent)?.session ?? ''

describe('show, tail, plan and spans', () => {
  it('say the same with a catalog and without, and leave it as it is', () => {
    const before = catalog()
    for (const [command, id] of [
      ['show', plain],
      ['tail', parent],
      ['plan', plain],
      ['spans', parent],
    ] as const)
      expect(expectSame(command, id).stdout).not.toBe('')
    const [shown] = jsonLines(expectSame('show', parent, '--json', '--children')) as [{ children: object[] }]
    expect(shown.children.length).toBeGreaterThan(0)
    expectSame('show', parent, '--jsonl')
    expect(catalog()).toBe(before)
  })

  it('list the stores where the catalog does not tell: of an unknown id, and of one that two agents have', () => {
    expect(expectSame('show', 'ses_nope').stderr).toMatch(/there is no session "ses_nope"/)
    expect(expectSame('plan', SHARED_ID).stderr).toMatch(/exists for .*Name one of them with --agent/)
    expect(expectSame('plan', SHARED_ID, '--agent', 'pi').status).toBe(0)
  })

  it('see what happened to the stores since', () => {
    const sessions = join(data, 'storage', 'session')
    const pathOf = (id: string): string =>
      join(sessions, readdirSync(sessions, { recursive: true, encoding: 'utf8' }).find((name) => name.endsWith(`${id}.json`)) ?? '')
    const id = listed.find((line) => line.parent === parent)?.session ?? ''
    const path = pathOf(id)
    const document = { id, title: 'Renamed', version: '1', projectID: 'p', directory: '/srv', time: { created: 1, updated: 2 } }
    writeFileSync(path, JSON.stringify({ ...document, parentID: parent }))
    expect(expectSame('show', id).stdout).toMatch(/^Renamed/)
    writeFileSync(path.replace(id, 'ses_fresh'), JSON.stringify({ ...document, id: 'ses_fresh', parentID: parent }))
    expect(expectSame('show', parent).stdout).toContain('started ses_fresh')
    rmSync(path)
    expect(expectSame('show', id).status).toBe(1)
    expect(expectSame('show', parent).stdout).toContain(`started ${id}, which no store holds`)
  })

  it('leave a catalog whole that the next list begins with when they are interrupted', async () => {
    const child = startCli(['tail', plain, '--follow', ...at, '--home', home])
    const { ended, wrote } = outputOf(child)
    await wrote(/──/)
    child.kill('SIGINT')
    expect((await ended).code).toBe(0)
    expect(jsonLines(runCli(['ls', '--all', '--json', ...at, '--home', home]))).toEqual(
      jsonLines(runCli(['ls', '--all', '--json', ...at, '--no-catalog'])),
    )
  })
})

describe('what people read', () => {
  it('has units', () => {
    expect(runCli(['plan', plain, ...at]).stdout).toMatch(/^message +\d+ B {2}\S+$/m)
    expect(runCli(['spans', plain, ...at]).stdout).toMatch(/^message +\d+ B {2}[0-9a-f]{16} {2}\S+/m)
  })

  it('names no more than some lines of one log that are damaged, and counts the others', () => {
    const logs = join(folder.path, 'logs')
    mkdirSync(logs)
    writeFileSync(join(logs, 'broken.jsonl'), readFileSync(join(agents.path, LOGS.claude), 'utf8') + 'no JSON\n'.repeat(50))
    const where = ['verify', '--data', logs]
    const { stdout, status } = runCli(where)
    expect(status).toBe(3)
    expect(stdout.match(/CORRUPT_RECORD/g)).toHaveLength(20)
    expect(stdout).toContain('! and 30 more lines of ')
    const [told] = jsonLines(runCli([...where, '--json'])) as [{ stores: { damaged: object[] }[] }]
    expect(told.stores[0]?.damaged).toHaveLength(50)
  })

  it('says before it shows anything that a cursor cannot be kept', () => {
    const { status, stdout, stderr } = runCli(['tail', plain, ...at, '--cursor', join(folder.path, 'nowhere', 'cursor')])
    expect([status, stdout]).toEqual([2, ''])
    expect(stderr).toMatch(/--cursor lies in a folder that does not exist/)
  })
})
