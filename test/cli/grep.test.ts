/** `grep`: what was said, found without an index. */
import { readFileSync } from 'node:fs'
import { Ajv } from 'ajv'
import { describe, expect, it } from 'vitest'
import { hitText } from '../../src/cli/grep-text.js'
import type { GrepHit } from '../../src/index.js'
import { DEMO, jsonLines, REPOSITORY, runCli } from '../support/cli.js'
import { type CorpusSession, corpusSession, userMessage } from '../support/corpus.js'
import { jsonFixture } from '../support/store-fixtures.js'

const data = ['--data', DEMO]
const ajv = new Ajv({ allowUnionTypes: true })

function expectValid(schema: string, values: readonly object[]): void {
  const validate = ajv.compile(JSON.parse(readFileSync(`${REPOSITORY}docs/schemas/${schema}.schema.json`, 'utf8')))
  expect(values.length).toBeGreaterThan(0)
  for (const value of values) expect(validate(value), JSON.stringify(validate.errors)).toBe(true)
}

describe('grep', () => {
  it('prints hits under their sessions, without colours where there is no terminal', () => {
    const { status, stdout } = runCli(['grep', 'full jitter', ...data])
    expect(status).toBe(0)
    const [head, ...hits] = stdout.trimEnd().split('\n')
    expect(head).toMatch(/^2026-\d\d-\d\d \d\d:\d\d {2}ses_\w+ {2}Flaky retry test: backoff without jitter · \/home\/dev\/projects\/checkout$/)
    expect(hits).toHaveLength(2)
    expect(hits[0]).toMatch(/^ {2}2026-\d\d-\d\d \d\d:\d\d {2}user: Add full jitter and cap the delay at five seconds\.$/)
    expect(hits[1]).toMatch(/^ {2}\S+ \S+ {2}assistant: ….* full jitter .*…$/)
    expect(stdout).not.toContain('\u001b')
  })

  it('ends with 1 and says nothing when the text is nowhere', () => {
    expect(runCli(['grep', 'Full Jitter', ...data])).toMatchObject({ status: 1, stdout: '' })
    expect(runCli(['grep', 'full jitter', '--kind', 'tool', ...data])).toMatchObject({ status: 1, stdout: '' })
    expect(runCli(['grep', 'full jitter', '--agent', 'opencode', '--cwd', '/home', ...data])).toMatchObject({ status: 1, stdout: '' })
  })

  it('takes expressions, any case, kinds, folders and sessions', () => {
    const found = (...args: readonly string[]): readonly Record<string, unknown>[] => jsonLines(runCli(['grep', '--json', ...args, ...data]))
    const hits = found('-i', 'FULL jitter')
    expectValid('grep', hits)
    expect(hits).toHaveLength(2)
    expect(found('-E', '^Add (full|half) jitter').map(({ text }) => text)).toEqual(['Add full jitter and cap the delay at five seconds.'])
    const tools = found('-i', 'retry', '--kind', 'tool')
    expect(tools.length).toBeGreaterThan(2)
    expect(new Set(tools.map(({ kind }) => kind))).toEqual(new Set(['tool']))
    expect(found('jitter', '--cwd', '/home/dev/projects/').length).toBeGreaterThan(found('jitter', '--cwd', '/home/dev/projects/checkout').length)
    expect(found('jitter', '--session', String(hits[0]?.session)).every(({ session }) => session === hits[0]?.session)).toBe(true)
    expect(found('jitter', '--limit', '1')).toHaveLength(1)
  })

  it('names the sessions alone', () => {
    const sessions = jsonLines(runCli(['grep', 'jitter', '--sessions', '--json', ...data]))
    expectValid('grep-sessions', sessions)
    expect(new Set(sessions.map(({ session }) => session)).size).toBe(sessions.length)
    const lines = runCli(['grep', 'jitter', '--sessions', ...data])
      .stdout.trimEnd()
      .split('\n')
    expect(lines.map((line) => line.split(/\s+/)[2])).toEqual(sessions.map(({ session }) => session))
  })

  it('refuses what is no search', () => {
    for (const args of [['('], [''], ['a', '--kind', 'texts'], ['a', '--limit', '0'], ['a', '--cwd', '']]) {
      const { status, stdout } = runCli(['grep', ...(args[0] === '(' ? ['-E'] : []), ...args, ...data])
      expect([status, stdout]).toEqual([2, ''])
    }
    expect(runCli(['grep', 'a', '--session', 'ses_nobody', ...data]).status).toBe(1)
  })

  it('ends an expression that tries for ever, and says why', () => {
    const saying = (text: string, time: number): CorpusSession => corpusSession(time, [userMessage(time, [text])])
    const time = Date.parse('2026-03-01T10:00:00Z')
    using fixture = jsonFixture([saying('begin', time), saying(`${'a'.repeat(60)}!`, time - 60_000)])
    const { status, stdout, stderr } = runCli(['grep', '-E', '^begin$|(a+)+$', '--data', fixture.path])
    expect([status, stdout.includes('begin')]).toEqual([2, true])
    expect(stderr).toContain('the expression takes longer than')
  })

  it('tells that something could not be searched', () => {
    const session = corpusSession(Date.parse('2026-03-01T10:00:00Z'), [userMessage(Date.parse('2026-03-01T10:00:01Z'), ['needle', 'needle'])])
    using fixture = jsonFixture([session])
    const [message] = session.messages
    fixture.write({ session: session.id, message: message?.id ?? '', part: message?.parts[1]?.id ?? '' }, '{"type":"text","text":"needle', 1)
    const { status, stderr, stdout } = runCli(['grep', 'needle', '--data', fixture.path])
    expect(status).toBe(0)
    expect(stdout.trimEnd().split('\n')).toHaveLength(2)
    expect(stderr).toContain('1 record is damaged')
  })
})

describe('a hit on a terminal', () => {
  const hit = (text: string, start: number, end: number): GrepHit =>
    ({
      role: 'user',
      kind: 'text',
      field: 'text',
      line: 1,
      created: 0,
      text,
      match: { start, end },
      cut: { start: false, end: false },
    }) as unknown as GrepHit

  it('has its match in bold, and is no wider than that', () => {
    expect(hitText(hit('a needle b', 2, 8), 100, true)).toContain(': a \u001b[1;31mneedle\u001b[0m b')
    for (const [before, behind] of [
      ['x'.repeat(200), ''],
      ['', 'y'.repeat(200)],
      ['x'.repeat(200), 'y'.repeat(200)],
    ] as const) {
      const line = hitText(hit(`${before}needle${behind}`, before.length, before.length + 6), 80, false)
      expect(line).toContain('needle')
      expect(line.includes('…x')).toBe(before !== '')
      expect(line.includes('y…')).toBe(behind !== '')
      expect(line.length).toBeLessThanOrEqual(80)
    }
    expect(hitText(hit('z'.repeat(300), 0, 300), 80, false).length).toBeLessThanOrEqual(80)
  })

  it('cannot move the cursor, nor break the line', () => {
    expect(hitText(hit('\u001b[2Ja\r\nneedle\u0007', 6, 12), 100, false)).toMatch(/: \[2Ja {2}needle$/)
  })
})
