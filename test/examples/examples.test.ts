import { spawnSync } from 'node:child_process'
import { describe, expect, it } from 'vitest'
import { REPOSITORY } from '../support/cli.js'

/** Runs an example as the README tells to; no store of the machine is found. */
function run(name: string, more: Readonly<Record<string, string>> = {}): string {
  const { status, stdout, stderr } = spawnSync(process.execPath, [`examples/${name}.js`], {
    cwd: REPOSITORY,
    encoding: 'utf8',
    env: { PATH: process.env.PATH ?? '', HOME: '/nonexistent', ...more },
  })
  expect(stderr.replace(/^\d+\/\d+ sessions$/gm, '').trim()).toBe('')
  expect(status).toBe(0)
  return stdout
}

describe('examples', () => {
  it('list-sessions', () => {
    const lines = run('list-sessions').trim().split('\n')
    expect(lines).toHaveLength(28)
    for (const line of lines) expect(line).toMatch(/^ses_\w+ {2}opencode-(json|sqlite) {2}\/home\/dev\/projects\/\S+ {2}\S/)
  })

  it('one-view', () => {
    const [database, tree, total, narrowed, ...rest] = run('one-view').trim().split('\n')
    expect(database).toMatch(/^OpenCode 1\.2-1\.18 database: 13 of 13 sessions shown {2}\S+opencode\.db$/)
    expect(tree).toMatch(/^OpenCode 1\.0-1\.1 files: 15 of 15 sessions shown {2}\S+storage$/)
    expect(total).toMatch(/^28 sessions, each once, the last of them from opencode-/)
    expect([narrowed, ...rest]).toEqual(['15 of them stand in the JSON tree'])
  })

  it('raw-span-bytes', () => {
    const [plan, ...lines] = run('raw-span-bytes').trim().split('\n')
    expect(plan).toMatch(/^plan: 2 messages, 0 files, \d+ rows, \d+ bytes; nothing is open yet$/)
    expect(lines.length).toBeGreaterThan(4)
    for (const line of lines) expect(line).toMatch(/^(msg_\w+ {2}\d+ bytes, from message|prt_\w+ {2}\d+ bytes, from part): \{"/)
  })

  it('session-tree', () => {
    const output = run('session-tree')
    expect(output).toMatch(/^user: /)
    expect(output).toMatch(/^assistant: /m)
    for (const stage of ['plan', 'resolve', 'hydrate']) expect(output).toContain(`stage: '${stage}'`)
  })

  it('tail', () => {
    const [first, nothing, one] = run('tail').trim().split('\n')
    expect(first).toMatch(/^first time: [1-9]\d* messages$/)
    expect(nothing).toBe('nothing happened: 0 messages')
    expect(one).toBe('after one more: msg_example')
  })

  it('grep-sessions', () => {
    const lines = run('grep-sessions').trim().split('\n')
    expect(lines.length).toBeGreaterThan(3)
    expect(lines).toContain('Flaky retry test: backoff without jitter | user text: Add full [jitter] and cap the delay at five seconds.')
    for (const line of lines) expect(line).toMatch(/ \| (user|assistant) (text|tool): .*\[jitter\]/i)
  })

  it('follow-session', () => {
    expect(run('follow-session')).toBe('user: What is a marmot?\nassistant: A large ground squirrel.\nuser: Thank you.\n')
  })

  it('watch-sessions', () => {
    const lines = run('watch-sessions').trim().split('\n')
    expect(lines).toEqual(['added: pi second, "Where does it sleep?"', 'changed: pi first, "What is a marmot?"', 'removed: pi second'])
  })

  it('mapped-leaf', () => {
    const [place, beginning, newlines] = run('mapped-leaf').trim().split('\n')
    expect(place).toMatch(/^line 3 at byte \d+: 2500\d\d\d bytes, mapped: (true|false)$/)
    expect([beginning, newlines]).toEqual(['it begins with {"type":"message","id":"a2","parentId":"', 'newlines inside: false'])
  })

  it('index-and-search', () => {
    const output = run('index-and-search')
    expect(output).toContain('changed: 0')
    expect(output).toMatch(/^\d\.\d{4} {2}Flaky retry test.*thundering herd/m)
  })

  it('custom-embedder-and-sink', () => {
    const output = run('custom-embedder-and-sink')
    expect(output).toMatch(/^1\d\d texts embedded by "letters", 1\d\d documents in the sink "map"$/m)
    expect(output).toMatch(/token bucket/)
  })

  it('keep-indexed', () => {
    expect(run('keep-indexed').trim().split('\n')).toEqual(['the index is being kept up to date', 'what is a marmot doing here: found', '0 failures'])
  })

  it('ollama-and-chroma ends politely where there is neither', () => {
    const nowhere = { OLLAMA_API_BASE: 'http://127.0.0.1:9', CHROMA_URL: 'http://127.0.0.1:9' }
    expect(run('ollama-and-chroma', nowhere)).toMatch(/^This example needs Ollama and Chroma: Ollama does not answer/)
  })

  it('start', () => {
    const output = run('start')
    expect(output).toContain('taking the demo store')
    expect(output).toMatch(/^1\d\d documents; /m)
    expect(output).toMatch(/^ {2}Flaky retry test: backoff without jitter/m)
  })
})
