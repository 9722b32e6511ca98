/** Sessions as lines of a table: no wider than the terminal, whatever is written in them. */
import stringWidth from 'string-width'
import { describe, expect, it } from 'vitest'
import { hitText, sessionText } from '../../src/cli/grep-text.js'
import { sessionTable, titleAndFolder } from '../../src/cli/session-lines.js'
import { changeText } from '../../src/cli/watch-sessions.js'
import { type Agent, type GrepHit, type SessionId, type SessionMeta, sessionKey } from '../../src/index.js'

const START = Date.parse('2026-03-01T10:00:00Z')
const FOLDER = '/home/francis/プロジェクト/opencode.nvim'

function meta(agent: Agent, id: string, title: string, directory = FOLDER): SessionMeta {
  return {
    key: sessionKey(agent, id as SessionId),
    id: id as SessionId,
    title,
    directory,
    project: 'p',
    parent: undefined,
    version: '1',
    created: START,
    updated: START,
    archived: undefined,
    revert: undefined,
    model: undefined,
    damaged: false,
    source: { kind: 'opencode-json', path: '/data' },
    hides: [],
  } as unknown as SessionMeta
}

const SEVERAL = [
  meta('claude', '130d7b7e-5801-4345-9bd6-f32fd9b8429b', 'Add agent name to logging context, and say which of them it was'),
  meta('opencode', 'ses_3520e0b48ffeYkk02CKdPV1gUd', 'Filecoin 价格历史查询与链接分析 以及一些其他的东西'),
  meta('pi', 'pi-일본', '👩‍👩‍👧 family, e\u0301te\u0301'),
  meta('codex', 'session-alpha', ''),
]
const WIDTHS = [200, 120, 100, 96, 95, 80, 72, 60, 50]

function linesOf(metas: readonly SessionMeta[], width: number): readonly string[] {
  const table = sessionTable(metas, { width })
  return [table.head, ...metas.map((one) => table.line(one, 12))]
}

describe('the table of sessions', () => {
  it.each(WIDTHS)('is at most %i columns wide, with every id as a whole', (width) => {
    const lines = linesOf(SEVERAL, width)
    for (const line of lines) expect(stringWidth(line)).toBeLessThanOrEqual(width)
    for (const [at, { id }] of SEVERAL.entries()) expect(lines[at + 1]).toContain(id)
  })

  it.each([200, 80])('has titles one below the other at %i columns', (width) => {
    const [head = '', first = '', ...others] = linesOf(SEVERAL, width)
    const column = stringWidth(head.slice(0, head.indexOf('TITLE')))
    expect(stringWidth(first.slice(0, first.indexOf('Add agent')))).toBe(column)
    for (const [at, words] of ['Filecoin', '👩‍👩‍👧', '(no title)'].entries()) {
      const line = others[at] ?? ''
      expect(stringWidth(line.slice(0, line.indexOf(words)))).toBe(column)
    }
  })

  it('lets one long id push its own line alone', () => {
    const long = meta('claude', `session-${'x'.repeat(70)}`, 'Long')
    const others = linesOf(SEVERAL.slice(0, 3), 100)
    expect(linesOf([...SEVERAL.slice(0, 3), long], 100)[1]).toContain('Add agent name')
    expect(linesOf([...SEVERAL.slice(0, 3), long], 100)[0]).toMatch(/^UPDATED .* AGENT .* SESSION/)
    expect(others[0]).toMatch(/^UPDATED .* AGENT .* SESSION/)
  })

  it('measures nothing of a line that may have any width', () => {
    const title = '日本語'.repeat(500_000)
    expect(titleAndFolder(meta('claude', 's', title, `/${title}`), Number.POSITIVE_INFINITY)).toBe(`${title} · /${title}`)
  })

  it('leaves out what tells least where there is little room, and cuts titles', () => {
    expect(linesOf(SEVERAL, 200)[0]).toBe('UPDATED           MESSAGES  AGENT     SESSION                               TITLE · FOLDER')
    expect(linesOf(SEVERAL, 200)[2]).toContain(`Filecoin 价格历史查询与链接分析 以及一些其他的东西 · ${FOLDER}`)
    expect(linesOf(SEVERAL, 92)[0]).toMatch(/^UPDATED +MESSAGES +AGENT +SESSION +TITLE/)
    expect(linesOf(SEVERAL, 80)).toEqual([
      'UPDATED     AGENT     SESSION                               TITLE · FOLDER',
      '2026-03-01  claude    130d7b7e-5801-4345-9bd6-f32fd9b8429b  Add agent name to l…',
      '2026-03-01  opencode  ses_3520e0b48ffeYkk02CKdPV1gUd        Filecoin 价格历史查…',
      '2026-03-01  pi        pi-일본                               👩‍👩‍👧 family, e\u0301te\u0301',
      '2026-03-01  codex     session-alpha                         (no title)',
    ])
    expect(linesOf(SEVERAL, 60)[0]).toMatch(/^SESSION +TITLE/)
    expect(linesOf(SEVERAL, 36)[1]).toBe(SEVERAL[0]?.id)
  })

  it('names no agent where there is one', () => {
    const [head] = linesOf(SEVERAL.slice(1, 2), 200)
    expect(head).toBe('UPDATED           MESSAGES  SESSION                         TITLE · FOLDER')
  })
})

describe('a title and its folder', () => {
  it('share the room in columns; a folder of which next to nothing would be seen is left out', () => {
    const title = '価格履歴の照会とリンクの分析'
    expect(titleAndFolder(meta('pi', 'a', title, '/srv/sky'), 60)).toBe(`${title} · /srv/sky`)
    expect(titleAndFolder(meta('pi', 'a', title, '/srv/sky/deep/down'), 40)).toBe('価格履歴の照会とリ… · /srv/sky/deep/down')
    expect(titleAndFolder(meta('pi', 'a', title, '/srv/sky/deep/down'), 20)).toBe('価格履歴の照会とリ…')
    expect(titleAndFolder(meta('pi', 'a', 'short', '/srv/sky/deep/down'), 20)).toBe('short · …y/deep/down')
    expect(titleAndFolder(meta('pi', 'a', 'short', ''), 20)).toBe('short')
  })
})

describe('other lines with a title', () => {
  it.each(WIDTHS.filter((width) => width >= 60))('are at most %i columns wide', (width) => {
    for (const session of SEVERAL) {
      expect(stringWidth(sessionText(session, width))).toBeLessThanOrEqual(width)
      const change = { session: session.key, kind: 'changed', generation: 'g' } as unknown as Parameters<typeof changeText>[0]
      expect(stringWidth(changeText(change, session, 1234, width))).toBeLessThanOrEqual(width)
    }
  })

  it.each([120, 80, 60])('hits too, of wide characters and long names of tools: %i', (width) => {
    const text = '日本語の文章がここにあり、探している言葉が真ん中にあります。そして、まだまだ続きます。'.repeat(3)
    const start = text.indexOf('探している')
    const hit = {
      session: SEVERAL[0],
      message: {},
      role: 'assistant',
      kind: 'tool',
      field: 'output',
      tool: 'mcp__chrome-devtools__take_screenshot_of_the_page',
      created: START,
      line: 12,
      text,
      match: { start, end: start + 5 },
      cut: { start: false, end: true },
    } as unknown as GrepHit
    const line = hitText(hit, width, false)
    expect(stringWidth(line)).toBeLessThanOrEqual(width)
    expect(line).toContain('探している')
    expect(line).toContain(':12: ')
    expect(stringWidth(hitText(hit, width, true))).toBe(stringWidth(line))
  })
})
