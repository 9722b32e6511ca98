/** show: where a session comes from, whom it is linked with, its originals, and what is left of damaged ones. */
import { cpSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { Ajv } from 'ajv'
import { afterAll, describe, expect, it } from 'vitest'
import type { Document } from '../../src/core/documents.js'
import { DEMO, jsonLines, REPOSITORY, runCli } from '../support/cli.js'
import { assistantMessage, type CorpusSession, corpusSession, userMessage } from '../support/corpus.js'
import { tamper } from '../support/databases.js'
import { eraAFixture, jsonFixture, sqliteFixture, writeFileAt } from '../support/store-fixtures.js'
import { tempFolder } from '../support/temp.js'

const START = Date.parse('2026-03-01T10:00:00Z')
const folder = tempFolder()
afterAll(() => folder[Symbol.dispose]())
const ajv = new Ajv({ allowUnionTypes: true })
const isValid = {
  show: ajv.compile(JSON.parse(readFileSync(`${REPOSITORY}docs/schemas/show.schema.json`, 'utf8'))),
  'show-jsonl': ajv.compile(JSON.parse(readFileSync(`${REPOSITORY}docs/schemas/show-jsonl.schema.json`, 'utf8'))),
}

interface Shown {
  readonly agent: string
  readonly session: string
  readonly info: Document
  readonly damaged?: true
  readonly source: { readonly kind: string; readonly path: string }
  readonly hides: readonly { readonly kind: string }[]
  readonly native?: Document
  readonly messages: readonly { readonly info: Document; readonly parts: readonly Document[]; readonly damaged?: true; readonly native?: Document }[]
  readonly links: { readonly parent?: Document; readonly children: readonly Document[] }
  readonly copies?: readonly Document[]
  readonly issues: readonly { readonly code: string }[]
  readonly children?: readonly Shown[]
}

function shown(id: string, ...args: readonly string[]): Shown {
  const [value] = jsonLines(runCli(['show', id, '--json', ...args]))
  expect(isValid.show(value), JSON.stringify(isValid.show.errors)).toBe(true)
  return value as unknown as Shown
}

function streamed(id: string, ...args: readonly string[]): Record<string, unknown>[] {
  const lines = jsonLines(runCli(['show', id, '--jsonl', ...args]))
  for (const line of lines) expect(isValid['show-jsonl'](line), JSON.stringify(isValid['show-jsonl'].errors)).toBe(true)
  expectOwned(lines)
  return lines
}

/** Every line names the agent and the session of the line of this type that is above it. */
function expectOwned(lines: readonly Record<string, unknown>[]): void {
  let head: Record<string, unknown> = {}
  for (const line of lines) {
    if (line.type === 'session') head = line
    expect(line).toMatchObject({ agent: head.agent, session: head.session })
  }
}

/** What --json gives, put together from what --jsonl gives; without the reports, which differ. */
function fromLines([head, ...lines]: readonly Record<string, unknown>[]): unknown {
  const { type: _, report: __, ...end } = lines.at(-1) ?? {}
  const { type: ___, ...first } = head ?? {}
  return { ...first, messages: lines.slice(0, -1).map(({ type: ____, agent: _____, session: ______, ...message }) => message), ...end }
}

function task(child: string): Document {
  const state = { status: 'completed', input: {}, output: 'done', title: '', metadata: { sessionId: child }, time: { start: 1, end: 2 } }
  return { type: 'tool', callID: 'call_1', tool: 'task', state }
}

function session(id: string, parts: readonly Document[], info: Document = {}): CorpusSession {
  const messages = [userMessage(START), assistantMessage(START + 1000, { parts })].map((message) => ({
    ...message,
    id: `msg_${id}_${message.data.role}`,
    parts: message.parts.map((part, at) => ({ ...part, id: `prt_${id}_${message.data.role}_${at}` })),
  }))
  return corpusSession(START, messages, { id, info: { slug: 's', directory: '/srv', title: `Title of ${id}`, version: '1.1.65', ...info } })
}

const FAMILY = [
  session('parent', [task('lost'), task('child'), task('nowhere')]),
  session('child', [task('grandchild')], { parentID: 'parent' }),
  session('grandchild', [task('parent')], { parentID: 'child' }),
  session('lost', []),
  session('stray', [], { parentID: 'deleted' }),
]

describe('links', () => {
  it('are told of every session: its parent, its children, and what is missing', () => {
    using fixture = jsonFixture(FAMILY)
    const data = ['--data', fixture.path]
    expect(shown('parent', ...data).links).toEqual({
      children: [
        { session: 'child', by: 'both', missing: false, message: 'msg_parent_assistant', part: 'prt_parent_assistant_1' },
        { session: 'lost', by: 'tool', missing: false, message: 'msg_parent_assistant', part: 'prt_parent_assistant_0' },
        { session: 'nowhere', by: 'tool', missing: true, message: 'msg_parent_assistant', part: 'prt_parent_assistant_2' },
      ],
    })
    expect(shown('child', ...data).links).toMatchObject({ parent: { session: 'parent', missing: false }, children: [{ session: 'grandchild' }] })
    expect(shown('stray', ...data).links).toEqual({ parent: { session: 'deleted', missing: true }, children: [] })
    expect(runCli(['show', 'stray', ...data]).stdout).toContain('started by deleted, which no store holds')
    const text = runCli(['show', 'parent', ...data]).stdout
    expect(text).toContain('└ started child\n└ started lost\n└ started nowhere, which no store holds')
    expect(text).not.toContain('Title of child')
  })

  it('lead --children on, each session once, in all three outputs', () => {
    using fixture = jsonFixture(FAMILY)
    const data = ['--children', '--data', fixture.path]
    const tree = ({ session, children = [] }: Shown): unknown => [session, ...children.map(tree)]
    expect(tree(shown('parent', ...data))).toEqual(['parent', ['child', ['grandchild']], ['lost']])
    const lines = streamed('parent', ...data)
    expect(lines.flatMap(({ type, session }) => (type === 'end' ? [session] : []))).toEqual(['parent', 'child', 'grandchild', 'lost'])
    const { stdout } = runCli(['show', 'parent', ...data])
    expect(stdout.match(/Title of \w+/g)).toEqual(['parent', 'child', 'grandchild', 'lost'].map((id) => `Title of ${id}`))
  })
})

describe('a session in two stores', () => {
  it('tells its source and what it hides', () => {
    using rows = sqliteFixture('1.18')(FAMILY)
    using tree = jsonFixture(FAMILY.slice(0, 1))
    const data = dirname(rows.path)
    cpSync(tree.path, join(data, 'storage'), { recursive: true })
    const both = shown('parent', '--data', data)
    expect([both.source, both.hides]).toEqual([
      { kind: 'opencode-sqlite', path: rows.path },
      [{ kind: 'opencode-json', path: join(data, 'storage') }],
    ])
    expect(fromLines(streamed('parent', '--data', data))).toEqual({ ...both, report: undefined })
    expect(runCli(['show', 'parent', '--data', data]).stdout).toContain(`also in: opencode-json (${join(data, 'storage')}), hidden`)
    const one = shown('child', '--data', data)
    expect([one.hides, one.damaged, one.native, one.copies]).toEqual([[], undefined, undefined, undefined])
    expect(runCli(['show', 'child', '--data', data]).stdout).not.toContain('also in')
  })
})

describe('what only a hidden copy holds', () => {
  it('is told, and so is what it says otherwise', () => {
    using rows = sqliteFixture('1.18')(FAMILY)
    using tree = jsonFixture(FAMILY.slice(0, 2))
    const data = dirname(rows.path)
    tree.write({ session: 'parent', message: 'msg_parent_early' }, JSON.stringify({ role: 'user', time: { created: START - 5 } }), START - 5)
    tree.write({ session: 'parent', message: 'msg_parent_user', part: 'prt_parent_user_9' }, '{"type":"text","text":"kept"}', START)
    tree.write({ session: 'parent', message: 'msg_parent_user', part: 'prt_parent_user_0' }, '{"type":"text","text":"other"}', START)
    cpSync(tree.path, join(data, 'storage'), { recursive: true })
    const source = { kind: 'opencode-json', path: join(data, 'storage') }
    const part = { kind: 'part', agent: 'opencode', session: 'parent', message: 'msg_parent_user' }
    const { copies } = shown('parent', '--data', data)
    expect(copies).toEqual([
      {
        source,
        messages: 3,
        parts: 5,
        onlyIn: { messages: ['msg_parent_early'], parts: [{ ...part, part: 'prt_parent_user_9' }] },
        conflicts: [{ ...part, part: 'prt_parent_user_0' }],
      },
    ])
    expect(streamed('parent', '--data', data).at(-1)?.copies).toEqual(copies)
    const text = (id: string, ...args: readonly string[]): string => runCli(['show', id, '--data', data, ...args]).stdout
    expect(text('parent')).toContain(`(${source.path}), hidden: 1 message only there, 1 part only there, 1 record different there\n`)
    expect(text('child')).toContain(`(${source.path}), hidden: it holds nothing else\n`)
    expect(text('parent', '--last', '1')).toContain(`(${source.path}), hidden\n`)
    expect(shown('parent', '--data', data, '--last', '1').copies).toBeUndefined()
  })
})

describe('--native', () => {
  it('adds the originals, and changes nothing else', () => {
    using fixture = sqliteFixture('1.18')(FAMILY)
    tamper(fixture.path, (database) => database.exec("ALTER TABLE session ADD COLUMN fork_note text; UPDATE session SET fork_note = 'kept'"))
    const data = ['--data', fixture.path]
    const bare = shown('parent', ...data)
    const { native, messages, ...rest } = shown('parent', '--native', ...data)
    expect(native).toMatchObject({ id: 'parent', project_id: FAMILY[0]?.project, parent_id: null, fork_note: 'kept' })
    expect(messages.map(({ native: _, ...message }) => message)).toEqual(bare.messages)
    expect({ ...rest, report: undefined }).toEqual({ ...bare, messages: undefined, report: undefined })
    expect(messages[1]?.native).toEqual({
      message: {
        id: 'msg_parent_assistant',
        session_id: 'parent',
        time_created: START + 1000,
        time_updated: START + 1000,
        data: FAMILY[0]?.messages[1]?.data,
      },
      parts: FAMILY[0]?.messages[1]?.parts.map(({ id, data, time }) => ({
        id,
        document: { id, message_id: 'msg_parent_assistant', session_id: 'parent', time_created: time, time_updated: time, data },
      })),
    })
    expect(fromLines(streamed('parent', '--native', ...data))).toEqual({ ...rest, native, messages, report: undefined })
    const last = shown('parent', '--native', '--last', '1', ...data)
    expect(last.messages).toEqual(messages.slice(-1))
  })

  it('needs an output for programs', () => {
    const { status, stdout, stderr } = runCli(['show', 'parent', '--native', '--data', DEMO])
    expect([status, stdout]).toEqual([2, ''])
    expect(stderr).toMatch(/--native .*--json or --jsonl/)
  })
})

describe('control characters', () => {
  it('reach no terminal, and programs get them all the same', () => {
    const title = 'a\u009b31m\u202eb\u001b[2J\u007f'
    using fixture = jsonFixture([corpusSession(START, [], { id: 'ses_red', info: { title } })])
    for (const args of [['show', 'ses_red'], ['show', 'ses_red', '--json'], ['ls'], ['ls', '--json']]) {
      const result = runCli([...args, '--data', fixture.path])
      // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what must not be there
      expect(result.stdout).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202a-\u202e]/)
    }
    expect(shown('ses_red', '--data', fixture.path).info.title).toBe(title)
  })

  it('does so with ids, which may hold characters that a terminal obeys', () => {
    const id = 'ses_\u009b31m\u202e'
    using fixture = jsonFixture([corpusSession(START, [userMessage(START, ['red'])], { id })])
    for (const args of [['show', id], ['plan', id], ['spans', id], ['ls'], ['grep', 'red']]) {
      const { status, stdout } = runCli([...args, '--data', fixture.path])
      expect([status, stdout]).toEqual([0, expect.stringContaining('ses_31m')])
      expect(stdout).not.toMatch(/[\u0080-\u009f\u202a-\u202e]/)
    }
  })
})

describe('damage', () => {
  it('of a message hides none of its parts', () => {
    using fixture = jsonFixture(FAMILY)
    fixture.write({ session: 'parent', message: 'msg_parent_user' }, '{"role":', START)
    const data = ['--data', fixture.path]
    const value = shown('parent', ...data)
    expect(value.messages[0]).toMatchObject({
      info: { id: 'msg_parent_user', sessionID: 'parent' },
      damaged: true,
      parts: [{ text: 'Why is the sky blue?' }],
    })
    expect(Object.keys(value.messages[0]?.info ?? {})).toEqual(['id', 'sessionID'])
    expect(value.messages[1]).not.toHaveProperty('damaged')
    expect(fromLines(streamed('parent', ...data))).toEqual({ ...value, report: undefined })
    const native = shown('parent', '--native', ...data).messages[0]?.native
    expect(native).toEqual({ parts: [{ id: 'prt_parent_user_0', document: expect.objectContaining({ text: 'Why is the sky blue?' }) }] })
    expect(runCli(['show', 'parent', ...data]).stdout).toMatch(/── damaged message .*msg_parent_user\nWhy is the sky blue\?/)
  })

  it('of a row is named by its id, which no path tells', () => {
    using fixture = sqliteFixture('1.18')(FAMILY)
    tamper(fixture.path, (database) => database.exec(`UPDATE part SET data = '{' WHERE id = 'prt_parent_user_0'`))
    expect(runCli(['show', 'parent', '--data', fixture.path]).stdout).toContain(`! CORRUPT_RECORD: truncated (${fixture.path} prt_parent_user_0)\n`)
  })

  it('of a session shows what is left of it, with all its messages', () => {
    using fixture = jsonFixture(FAMILY)
    writeFileAt(join(fixture.path, 'session', FAMILY[0]?.project ?? '', 'parent.json'), '{"id":"par', START)
    const value = shown('parent', '--data', fixture.path)
    expect([value.damaged, value.messages.length, value.issues.length]).toEqual([true, 2, 1])
    expect(value).toMatchObject({ agent: 'opencode', session: 'parent' })
    expect(value.info).toEqual({
      id: 'parent',
      projectID: FAMILY[0]?.project,
      directory: '/srv/sky',
      title: '',
      version: '',
      time: { created: START, updated: START + 1000 },
    })
    expect(runCli(['show', 'parent', '--data', fixture.path]).stdout).toMatch(/parent {2}· {2}\/srv\/sky\n[\s\S]*record is damaged/)
  })

  it('is not what a session of 0.x has, which tells its folder by its messages', () => {
    using fixture = eraAFixture()(FAMILY)
    const value = shown('parent', '--data', fixture.path, '--native')
    expect([value.damaged, value.info.directory, value.info.title]).toEqual([undefined, '/srv/sky', 'Title of parent'])
    expect(value.native).not.toHaveProperty('directory')
  })
})
