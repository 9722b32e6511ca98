/** spanleaf tail: what is there, what is new since a cursor file, and what comes. */
import { once } from 'node:events'
import { appendFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Ajv } from 'ajv'
import { afterAll, afterEach, describe, expect, it } from 'vitest'
import { agentHome, CODEX_ID, JCODE_ID, LOGS, SHARED_ID } from '../support/agent-homes.js'
import { type CliResult, jsonLines, outputOf, REPOSITORY, runCli, startCli } from '../support/cli.js'
import { tempFolder } from '../support/temp.js'

const folder = tempFolder()
const children: ReturnType<typeof startCli>[] = []
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL')
})
afterAll(() => folder[Symbol.dispose]())

const validate = new Ajv({ allowUnionTypes: true }).compile(JSON.parse(readFileSync(`${REPOSITORY}docs/schemas/tail.schema.json`, 'utf8')))

/** What the command printed, each line held against the schema. */
function valid(result: CliResult): Record<string, unknown>[] {
  const lines = jsonLines(result)
  for (const line of lines) expect(validate(line), JSON.stringify([line, validate.errors])).toBe(true)
  return lines
}

const START = Date.parse('2026-03-01T10:00:00.000Z')
const at = (n: number): string => new Date(START + n * 1000).toISOString()
const textOf = (lines: readonly object[]): string => lines.map((line) => `${JSON.stringify(line)}\n`).join('')
const HEAD = { type: 'session', version: 3, id: 's1', timestamp: at(0), cwd: '/w' }
const said = (n: number, text = `number ${n}`): object => entry(n, { role: 'user', content: text })
const entry = (n: number, message: object): object => ({
  type: 'message',
  id: `m${n}`,
  parentId: n === 0 ? null : `m${n - 1}`,
  timestamp: at(n),
  message: { ...message, timestamp: START + n * 1000 },
})

let made = 0
/** A log of pi of so many messages, and a place for a cursor. */
function piLog(count: number): { readonly data: string; readonly path: string; readonly cursor: string; add(...lines: readonly object[]): void } {
  const data = join(folder.path, `pi-${made++}`)
  const path = join(data, '--w--', '2026-03-01T10-00-00-000Z_s1.jsonl')
  mkdirSync(join(data, '--w--'), { recursive: true })
  writeFileSync(path, textOf([HEAD, ...Array.from({ length: count }, (_, n) => said(n))]))
  return { data, path, cursor: join(folder.path, `cursor-${made}`), add: (...lines) => appendFileSync(path, textOf(lines)) }
}

const idsIn = (lines: readonly Record<string, unknown>[]): unknown[] =>
  lines.filter(({ type }) => type === 'message').map(({ info }) => (info as { id: string }).id)

describe('tail', () => {
  it('shows the last messages, ten or as many as are asked for', () => {
    const { data } = piLog(12)
    const result = runCli(['tail', 's1', '--data', data])
    expect([result.status, result.stderr]).toEqual([0, ''])
    expect(result.stdout.match(/number \d+/g)).toEqual(Array.from({ length: 10 }, (_, n) => `number ${n + 2}`))
    expect(runCli(['tail', 's1', '--data', data, '--last', '1']).stdout).toBe('── user  2026-03-01 10:00  m11\nnumber 11\n\n')
    expect(runCli(['tail', 's1', '--data', data, '--last', '0']).stdout).toBe('')
    expect(idsIn(valid(runCli(['tail', 's1', '--data', data, '--json', '--last', '2'])))).toEqual(['m10', 'm11'])
  })

  it('speaks of every agent in the same way', () => {
    using home = agentHome()
    const env = { HOME: home.path }
    for (const [agent, id] of [
      ['pi', SHARED_ID],
      ['claude', SHARED_ID],
      ['codex', CODEX_ID],
      ['jcode', JCODE_ID],
      ['opencode', home.opencode],
    ] as const) {
      const args = ['tail', id, '--agent', agent, '--cursor', join(folder.path, `cursor-${agent}-${made++}`), '--json']
      const first = runCli(args, env)
      expect([first.status, first.stderr], agent).toEqual([0, ''])
      expect(valid(first).length, agent).toBeGreaterThan(1)
      for (const line of valid(first)) expect(line).toMatchObject({ agent, session: id })
      if (agent === 'jcode' || agent === 'opencode') expect(runCli(args, env), agent).toEqual({ status: 0, stdout: '', stderr: '' })
    }
  })

  it('names damage, and what was read from its start', () => {
    const { data, path, cursor, add } = piLog(3)
    appendFileSync(path, '{"type":"mess\n')
    const args = ['tail', 's1', '--data', data, '--cursor', cursor]
    const first = runCli(args)
    expect(first.stdout).toMatch(/^! CORRUPT_RECORD: .*jsonl:5 \(byte \d+\)\)$/m)
    truncateSync(path, statSync(path).size - 14)
    add(said(3))
    rmSync(`${cursor}.x`, { force: true })
    const again = runCli([...args, '--json'])
    const [reread, ...rest] = valid(again)
    expect(reread).toEqual({ type: 'reread', agent: 'pi', session: 's1', reason: expect.any(String) })
    expect(idsIn(rest)).toEqual(['m0', 'm1', 'm2', 'm3'])
    appendFileSync(path, 'no line\n')
    expect(valid(runCli([...args, '--json'])).map(({ type, agent, session }) => [type, agent, session])).toEqual([
      ['message', 'pi', 's1'],
      ['issue', 'pi', 's1'],
    ])
    truncateSync(path, 300)
    expect(runCli(args).stderr).toBe('spanleaf: the log was read from its start: the file was truncated\n')
  })

  it('refuses what is no session, and no number', () => {
    const { data } = piLog(1)
    expect(runCli(['tail', 'nobody', '--data', data])).toMatchObject({
      status: 1,
      stdout: '',
      stderr: expect.stringContaining('there is no session "nobody"'),
    })
    for (const args of [
      ['--poll', '0'],
      ['--poll', 'x'],
      ['--last', '-1'],
      ['--follow', '--poll', '99999999999'],
    ]) {
      expect(runCli(['tail', 's1', '--data', data, ...args]), args.join(' ')).toMatchObject({ status: 2, stdout: '' })
    }
  })
})

describe('tail --cursor', () => {
  it('gives nothing the second time, and what is new after an append', () => {
    const { data, cursor, add } = piLog(12)
    const args = ['tail', 's1', '--data', data, '--cursor', cursor]
    expect(runCli(args).stdout.match(/number/g)).toHaveLength(10)
    expect(statSync(cursor).mode & 0o777).toBe(0o600)
    expect(runCli(args)).toEqual({ status: 0, stdout: '', stderr: '' })
    add(...Array.from({ length: 15 }, (_, n) => said(12 + n)))
    expect(runCli(args).stdout.match(/number \d+/g)).toEqual(Array.from({ length: 15 }, (_, n) => `number ${12 + n}`))
    add(said(27), said(28))
    expect(runCli([...args, '--last', '1']).stdout.match(/number \d+/g)).toEqual(['number 28'])
    expect(runCli(args).stdout).toBe('')
    expect(statSync(cursor).mode & 0o777).toBe(0o600)
    expect(readdirSync(folder.path).filter((name) => name.startsWith(`${cursor.split('/').at(-1)}.`))).toEqual([])
  })

  it('is refused with one sentence when the file holds none, is of another session, or cannot be', () => {
    const { data, cursor, path } = piLog(2)
    writeFileSync(join(path, '..', '2026-03-01T10-00-00-000Z_s2.jsonl'), textOf([{ ...HEAD, id: 's2' }, said(0)]))
    const args = ['tail', 's1', '--data', data, '--cursor']
    runCli(['tail', 's2', '--data', data, '--cursor', cursor])
    expect(runCli([...args, cursor])).toEqual({ status: 2, stdout: '', stderr: `spanleaf: --cursor was written for the session "s2" (${cursor})\n` })
    for (const damage of ['', '{"kind":"log"', '{"kind":"log","session":"s1","files":[]}']) {
      writeFileSync(cursor, damage)
      const stderr = `spanleaf: --cursor names a file that spanleaf did not write, or that is damaged (${cursor})\n`
      expect(runCli([...args, cursor]), damage).toEqual({ status: 2, stdout: '', stderr })
      expect(readFileSync(cursor, 'utf8')).toBe(damage)
    }
    expect(runCli([...args, folder.path])).toMatchObject({
      status: 2,
      stdout: '',
      stderr: expect.stringMatching(/^spanleaf: --cursor must be the path of a file \(.*\)\n$/),
    })
    expect(runCli([...args, ''])).toMatchObject({ status: 2, stdout: '' })
    const nowhere = join(folder.path, 'nowhere', 'cursor')
    expect(runCli([...args, nowhere])).toMatchObject({ status: 2, stderr: `spanleaf: --cursor lies in a folder that does not exist (${nowhere})\n` })
  })

  it('may not stand in the store of an agent, links followed', () => {
    using home = agentHome()
    const link = join(folder.path, `link-${made++}`)
    symlinkSync(join(home.path, '.pi', 'agent', 'sessions'), link)
    const places: readonly (readonly [session: readonly string[], place: string])[] = [
      [[SHARED_ID, '--agent', 'pi'], join(link, 'new', 'cursor')],
      [[SHARED_ID, '--agent', 'claude'], join(home.path, '.claude/projects/cursor')],
      [[CODEX_ID], join(home.path, '.codex/cursor')],
      [[JCODE_ID], join(home.path, '.claude/projects/x/cursor')],
      [[home.opencode], join(home.path, '.local/share/opencode/storage/cursor')],
    ]
    for (const [session, place] of places) {
      const stderr = `spanleaf: --cursor lies inside an agent's store, where nothing may be written (${place})\n`
      expect(runCli(['tail', ...session, '--cursor', place], { HOME: home.path })).toEqual({ status: 2, stdout: '', stderr })
      expect(existsSync(place), place).toBe(false)
    }
    // Beside a single log that somebody names, too.
    const log = join(home.path, LOGS.claude)
    const beside = join(log, '..', 'cursor')
    expect(runCli(['tail', SHARED_ID, '--data', log, '--cursor', beside])).toMatchObject({
      status: 2,
      stderr: expect.stringContaining("lies inside an agent's store"),
    })
    expect(existsSync(beside)).toBe(false)
  })

  it('keeps what a link leads to', () => {
    const { data, cursor } = piLog(2)
    const link = `${cursor}-link`
    writeFileSync(cursor, 'x')
    rmSync(cursor)
    symlinkSync(cursor, link)
    runCli(['tail', 's1', '--data', data, '--cursor', link])
    expect(runCli(['tail', 's1', '--data', data, '--cursor', link]).stdout).toBe('')
  })
})

describe('tail --follow', () => {
  function start(args: readonly string[]): { readonly child: ReturnType<typeof startCli> } & ReturnType<typeof outputOf> {
    const child = startCli(['tail', 's1', '--follow', '--poll', '20', ...args])
    children.push(child)
    return { child, ...outputOf(child) }
  }

  it('shows what comes, and of a message that goes on only what is new; Ctrl-C ends it', async () => {
    const { data, add, path } = piLog(1)
    const tail = start(['--data', data])
    await tail.wrote(/number 0/)
    add(
      entry(1, {
        role: 'assistant',
        model: 'model-1',
        content: [
          { type: 'text', text: 'let me see' },
          { type: 'toolCall', id: 'c1', name: 'look', arguments: { at: 'it' } },
        ],
      }),
    )
    await tail.wrote(/look: running/)
    add(entry(2, { role: 'toolResult', toolCallId: 'c1', toolName: 'look', content: [{ type: 'text', text: 'what was found' }] }))
    await tail.wrote(/what was found/)
    // The same text as another file: nothing of it is new.
    const text = readFileSync(path, 'utf8')
    writeFileSync(path, text)
    await tail.said(/the file was written in place|the file was truncated|read from its start/)
    add(said(3))
    await tail.wrote(/number 3/)
    tail.child.kill('SIGINT')
    expect(await tail.ended).toEqual({ code: 0, signal: null })
    expect(tail.stdout().match(/let me see|number \d|look: \w+|\[goes on\]|what was found/g)).toEqual([
      'number 0',
      'let me see',
      'look: running',
      '[goes on]',
      'look: completed',
      'what was found',
      'number 3',
    ])
    expect(tail.stderr()).not.toMatch(/Error|at .*\.js/)
  })

  it('with --json gives every line by the schema, keeps the cursor, and ends with SIGTERM', async () => {
    const { data, cursor, add } = piLog(3)
    const tail = start(['--data', data, '--json', '--cursor', cursor])
    await tail.wrote(/m2/)
    add(said(3))
    await tail.wrote(/m3/)
    await expect.poll(() => runCli(['tail', 's1', '--data', data, '--json', '--cursor', cursor]).stdout, { timeout: 100_000 }).toBe('')
    tail.child.kill('SIGTERM')
    expect(await tail.ended).toEqual({ code: 0, signal: null })
    expect(idsIn(valid({ status: 0, stdout: tail.stdout(), stderr: '' }))).toEqual(['m0', 'm1', 'm2', 'm3'])
    expect(tail.stderr()).toBe('')
  })

  it('ends quietly when nobody reads it any more, and does not take for read what was not', async () => {
    const { data, cursor, add } = piLog(2)
    const child = startCli(['tail', 's1', '--follow', '--poll', '20', '--data', data, '--cursor', cursor])
    children.push(child)
    const ended = once(child, 'exit')
    let errors = ''
    child.stderr?.on('data', (text) => {
      errors += text
    })
    await once(child.stdout as NodeJS.ReadableStream, 'data')
    await expect.poll(() => existsSync(cursor), { timeout: 100_000 }).toBe(true)
    child.stdout?.destroy()
    add(said(2, 'nobody reads this'))
    expect(await ended).toEqual([0, null])
    expect(errors).toBe('')
    expect(runCli(['tail', 's1', '--data', data, '--cursor', cursor]).stdout).toContain('nobody reads this')
  })
})
