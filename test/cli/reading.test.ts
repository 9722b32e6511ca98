import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Ajv } from 'ajv'
import { afterAll, describe, expect, it } from 'vitest'
import { DEMO, jsonLines, MAIN, REPOSITORY, runCli } from '../support/cli.js'
import { conversation, corpusSession } from '../support/corpus.js'
import { jsonFixture, sqliteFixture } from '../support/store-fixtures.js'

const contents = JSON.parse(readFileSync(`${REPOSITORY}examples/demo-store/contents.json`, 'utf8'))
const folder = mkdtempSync(join(tmpdir(), 'spanleaf-cli-'))
const data = ['--data', DEMO]
const START = Date.parse('2026-03-01T10:00:00Z')
const sessions = jsonLines(runCli(['ls', '--all', '--json', ...data])) as {
  session: string
  parent: string | null
  archived: number | null
  messages: number
  source: { kind: string }
}[]
const ajv = new Ajv({ allowUnionTypes: true })

afterAll(() => rmSync(folder, { recursive: true, force: true }))

function expectValid(schema: string, values: readonly object[]): void {
  const validate = ajv.compile(JSON.parse(readFileSync(`${REPOSITORY}docs/schemas/${schema}.schema.json`, 'utf8')))
  expect(values.length).toBeGreaterThan(0)
  for (const value of values) expect(validate(value), JSON.stringify(validate.errors)).toBe(true)
}

describe('ls', () => {
  it('lists every session of both stores with --all, newest first', () => {
    expectValid('ls', sessions)
    const { json, sqlite } = contents
    expect(sessions).toHaveLength(json.sessions + sqlite.sessions)
    expect(sessions.filter(({ source }) => source.kind === 'opencode-sqlite')).toHaveLength(sqlite.sessions)
    const updated = sessions.map((session) => (session as unknown as { updated: number }).updated)
    expect(updated).toEqual([...updated].sort((a, b) => b - a))
  })

  it('leaves out children and archived ones without --all', () => {
    const shown = jsonLines(runCli(['ls', '--json', ...data]))
    expect(shown.map(({ session }) => session)).toEqual(
      sessions.filter(({ parent, archived }) => parent === null && archived === null).map(({ session }) => session),
    )
    expect(shown.length).toBeLessThan(sessions.length)
  })

  it('narrows by folder and limits', () => {
    const checkout = jsonLines(runCli(['ls', '--all', '--json', '--project', '/home/dev/projects/checkout', ...data]))
    expect(checkout.length).toBeGreaterThan(2)
    expect(checkout.every(({ directory }) => String(directory).startsWith('/home/dev/projects/checkout'))).toBe(true)
    expect(jsonLines(runCli(['ls', '--json', '--limit', '3', ...data]))).toHaveLength(3)
    expect(runCli(['ls', '--project', '/home/dev/projects/check', ...data]).stdout).toBe('No sessions.\n')
  })
})

describe('show, plan, spans', () => {
  it.each(['opencode-json', 'opencode-sqlite'])('gives a session of %s in the shape of its schema, and streams the same records', (kind) => {
    const session = sessions.filter(({ source }) => source.kind === kind).sort((a, b) => b.messages - a.messages)[0]
    const id = session?.session ?? ''
    const [shown] = jsonLines(runCli(['show', id, '--json', ...data])) as [{ session: string; info: object; messages: object[] }]
    expectValid('show', [shown])
    expect(shown.messages).toHaveLength(session?.messages ?? -1)
    const lines = jsonLines(runCli(['show', id, '--jsonl', ...data]))
    expectValid('show-jsonl', lines)
    const of = { type: 'message', agent: 'opencode', session: id }
    expect(lines.filter(({ type }) => type === 'message')).toEqual(shown.messages.map((message) => ({ ...of, ...message })))
    expect([shown.session, lines[0]?.session, lines[0]?.info]).toEqual([id, id, shown.info])
    const [last] = jsonLines(runCli(['show', id, '--json', '--last', '2', ...data])) as [{ messages: object[] }]
    expect(last.messages).toEqual(shown.messages.slice(-2))
  })

  it('shows child sessions with --children', () => {
    const child = sessions.find(({ parent }) => parent !== null)
    const [shown] = jsonLines(runCli(['show', child?.parent ?? '', '--json', '--children', ...data])) as [{ children: { session: string }[] }]
    expect(shown.children.map(({ session }) => session)).toContain(child?.session)
  })

  it('prints readable text, with the damage named', () => {
    const { stdout, status } = runCli(['show', damagedSession(), ...data])
    expect(status).toBe(0)
    expect(stdout).toMatch(/── user/)
    expect(stdout).toContain('1 damaged part')
    expect(stdout).toContain('CORRUPT_RECORD: truncated')
  })

  it('keeps the price of the plan: the spans are its reads, byte for byte', () => {
    for (const { session: id } of sessions.slice(0, 6)) {
      const [plan] = jsonLines(runCli(['plan', id, '--json', ...data])) as [{ reads: { kind: string; id: string; bytes: number }[]; bytes: number }]
      const spans = jsonLines(runCli(['spans', id, '--json', ...data])) as { kind: string; id: string; bytes: number }[]
      expectValid('plan', [plan])
      expectValid('spans', spans)
      expect(spans.map(({ kind, id, bytes }) => ({ kind, id, bytes }))).toEqual(plan.reads.map(({ kind, id, bytes }) => ({ kind, id, bytes })))
      expect(plan.bytes).toBe(plan.reads.reduce((sum, read) => sum + read.bytes, 0))
    }
  })

  it('takes control characters out of what a terminal shows', () => {
    const tree = join(folder, 'tree')
    cpSync(`${DEMO}/storage`, tree, { recursive: true })
    const text = '\u001b]0;owned\u0007\u001b[2Jevil\u202etxt'
    const [id = ''] = execFileSync('ls', [join(tree, 'message')], { encoding: 'utf8' }).split('\n')
    const message = { id: 'msg_z', sessionID: id, role: 'user', time: { created: 1795000000000 } }
    writeFileSync(join(tree, 'message', id, 'msg_z.json'), JSON.stringify(message))
    execFileSync('mkdir', [join(tree, 'part', 'msg_z')])
    writeFileSync(join(tree, 'part', 'msg_z', 'prt_z.json'), JSON.stringify({ id: 'prt_z', sessionID: id, messageID: 'msg_z', type: 'text', text }))
    const { stdout } = runCli(['show', id, '--data', tree])
    expect(stdout).toContain('eviltxt')
    // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what must not be there
    expect(stdout).not.toMatch(/[\u0000-\u0008\u000b-\u001f\u202e]/)
  })
})

function damagedSession(): string {
  const [found] = jsonLines(runCli(['verify', '--json', ...data])) as [{ stores: { damaged: { key: string }[] }[] }]
  return found.stores.flatMap(({ damaged }) => damaged)[0]?.key.split('/')[0] ?? ''
}

describe('verify', () => {
  it('accounts for every record of the demo store and exits with 3', () => {
    const result = runCli(['verify', '--json', ...data])
    const [ledger] = jsonLines(result) as [
      {
        stores: {
          kind: string
          sessions: number
          messages: number
          parts: number
          orphans: { messages: number; parts: number }
          damaged: { path: string }[]
        }[]
      },
    ]
    expectValid('verify', [ledger])
    expect(result.status).toBe(3)
    for (const [name, kind] of [
      ['json', 'opencode-json'],
      ['sqlite', 'opencode-sqlite'],
    ] as const) {
      const { sessions, messages, parts, orphans } = contents[name]
      expect(ledger.stores.find((store) => store.kind === kind)).toMatchObject({
        sessions,
        messages,
        parts,
        orphans: { messages: 0, parts: orphans },
      })
    }
    expect(ledger.stores.flatMap(({ damaged }) => damaged).map(({ path }) => path)).toEqual(contents.damaged.map((path: string) => join(DEMO, path)))
  })

  it('prints each column on a line of its own, damage with its byte, and names orphans when asked', () => {
    const tree = join(folder, 'spoiled')
    cpSync(`${DEMO}/storage`, tree, { recursive: true })
    mkdirSync(join(tree, 'message', 'ses_gone'))
    writeFileSync(join(tree, 'message', 'ses_gone', 'msg_1.json'), '{"role":"user","time":{"created":1}}')
    writeFileSync(join(tree, 'message', 'ses_gone', 'msg_2.json'), '{"role":"user",}')
    mkdirSync(join(tree, 'permission'))
    writeFileSync(join(tree, 'permission', 'p.json'), '[')
    const { stdout, status } = runCli(['verify', '--data', tree])
    expect(status).toBe(3)
    expect(stdout).toContain('without their session or message: 1 message, 8 parts, 1 diff (--orphans names them)\n')
    expect(stdout).toContain('  1 left alone: permission\n')
    expect(stdout).toContain(`! CORRUPT_RECORD message not JSON at byte 15: ${join(tree, 'message', 'ses_gone', 'msg_2.json')} ses_gone/msg_2\n`)
    const deep = runCli(['verify', '--deep', '--orphans', '--data', tree])
    expect(deep.stdout).toContain(`! CORRUPT_RECORD document truncated at byte 1: ${join(tree, 'permission', 'p.json')} p\n`)
    expect(deep.stdout).toContain(`    ${join(tree, 'message', 'ses_gone', 'msg_1.json')} ses_gone/msg_1\n`)
    expectValid('verify', jsonLines(runCli(['verify', '--deep', '--orphans', '--json', '--data', tree])))
  })

  it('says what only a hidden copy has, and how to read it', () => {
    const session = corpusSession(START, conversation(START + 1000, 2))
    using shown = sqliteFixture('1.18')([{ ...session, messages: session.messages.slice(1) }])
    using hidden = jsonFixture([session])
    const { stdout } = runCli(['verify', '--data', shown.path, '--data', hidden.path])
    expect(stdout).toContain(
      '11 records of sessions that are read from another store; 1 message and 2 parts of them only here: read them with --store opencode-json\n',
    )
  })

  it('exits with 0 on an intact store', () => {
    expect(runCli(['verify', '--data', `${DEMO}/opencode.db`]).status).toBe(0)
  })
})

describe('wrong use', () => {
  it.each([
    [['ls', '--limit', 'three', ...data], 2, /whole number/],
    [['ls', '--data', ''], 2, /--data <path>.* must not be empty/],
    [['ls', '--nonsense', ...data], 2, /unknown option/],
    [['frobnicate'], 2, /unknown command/],
    [['help', 'frobnicate'], 2, /unknown command 'frobnicate'/],
    [['help', 'lss'], 2, /Did you mean ls\?/],
    [['ls', '--limit', '0', ...data], 2, /whole number from 1 up/],
    [['search', 'x', '--limit', '0', ...data], 2, /whole number from 1 up/],
    [['search', ' ', ...data], 2, /there is no word to look for/],
    [['grep', 'x', '--limit', '0', ...data], 2, /whole number from 1 up/],
    [['tail', 'ses_none', '--poll', '0', ...data], 2, /whole number from 1 up/],
    [['watch', '--poll', '0', ...data], 2, /whole number from 1 up/],
    [['show', ...data], 2, /missing required argument/],
    [['search', 'x', '--since', 'someday', ...data], 2, /date/],
    [['show', 'ses_none', ...data], 1, /there is no session "ses_none"/],
    [['show', '../../etc/passwd', ...data], 1, /there is no session/],
    [['ls', '--data', '/nonexistent/data'], 1, /nonexistent\/data/],
    [
      ['ls', '--data', '/etc/passwd'],
      1,
      /this file is no store: no database of OpenCode, and by its name no log of pi, Claude Code, Codex or jcode \(\/etc\/passwd\)/,
    ],
    [['ls', '--data', '/etc'], 1, /this folder holds no store/],
    [['ls'], 1, /no store of a coding agent was found/],
    [['forget', '--home', '/nonexistent'], 2, /either the id/],
  ])('%j ends with %i and one clear sentence', (args, status, sentence) => {
    const result = runCli(args)
    expect(result.stderr).toMatch(sentence)
    expect(result.stderr).not.toMatch(/\n\s+at /)
    expect(result.stdout).toBe('')
    expect(result.status).toBe(status)
  })

  it('names the sessions that begin as what was given', () => {
    const ids = sessions.map(({ session }) => session)
    const begun = ids[0]?.slice(0, -4) ?? ''
    const { status, stderr } = runCli(['show', begun, ...data])
    expect([status, stderr]).toEqual([1, `spanleaf: there is no session "${begun}". Did you mean ${ids[0]}?\n`])
    const many = runCli(['plan', 'ses_', ...data]).stderr
    expect(many).toBe(`spanleaf: there is no session "ses_". Did you mean ${ids.slice(0, 3).join(' or ')} or one of ${ids.length - 3} more?\n`)
    expect(runCli(['plan', 'ses', ...data]).stderr).toContain('List what exists')
  })

  it('helps and tells its version', () => {
    expect(runCli(['--version']).stdout.trim()).toBe(JSON.parse(readFileSync(`${REPOSITORY}package.json`, 'utf8')).version)
    for (const args of [['--help'], ['ls', '--help'], ['index', '--help']]) {
      const { status, stdout } = runCli(args)
      expect(status).toBe(0)
      expect(stdout).toContain('Usage: spanleaf')
    }
  })

  it.skipIf(process.getuid?.() !== 0)('says that a folder cannot be read', () => {
    const closed = join(folder, 'closed')
    cpSync(DEMO, closed, { recursive: true })
    execFileSync('chmod', ['700', closed])
    const script = `import { setuid } from 'node:process'; setuid(65534); process.argv = ['node', 'spanleaf', 'ls', '--data', ${JSON.stringify(closed)}]; await import(${JSON.stringify(MAIN)})`
    let failed: { status: number; stderr: string } | undefined
    try {
      execFileSync('chmod', ['755', folder])
      execFileSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8', stdio: 'pipe' })
    } catch (error) {
      failed = error as { status: number; stderr: string }
    }
    expect(failed?.status).toBe(1)
    expect(failed?.stderr).toContain(closed)
  })

  it('takes a closed pipe for the end, not for an error', () => {
    const script = `${process.execPath} ${MAIN} show ${sessions[0]?.session} --json --data ${DEMO} | head -c 10; echo "\${PIPESTATUS[0]}"`
    const output = execFileSync('bash', ['-c', script], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
    expect(output.split('\n').at(-2)).toMatch(/0$/)
  })
})
