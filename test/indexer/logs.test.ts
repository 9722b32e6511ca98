/** Logs of other agents in the index: what is appended is embedded alone, what is gone leaves it, what only moved stays. */
import { spawnSync } from 'node:child_process'
import { appendFileSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { openSessions } from '../../src/index.js'
import { createIndexer, openIndexHome, searchIndex } from '../../src/indexer/index.js'

const folder = mkdtempSync(join(tmpdir(), 'spanleaf-index-logs-'))
afterAll(() => rmSync(folder, { recursive: true }))

const THREAD = '019c4b43-1451-7af3-be4c-5576369bf1ba'
const time = (second: number): string => new Date(Date.UTC(2026, 0, 2, 3, 4, second)).toISOString()
const HOUR = 3_600_000

interface Log {
  readonly path: (home: string) => string
  readonly lines: readonly object[]
  readonly more: readonly object[]
}

const codexItem = (second: number, payload: object): object => ({ timestamp: time(second), type: 'response_item', payload })
const said = (role: string, text: string): object => ({
  type: 'message',
  role,
  content: [{ type: role === 'user' ? 'input_text' : 'output_text', text }],
})
const claudeLine = (uuid: string, parentUuid: string | null, type: string, message: object): object => ({
  parentUuid,
  isSidechain: false,
  cwd: '/work',
  sessionId: 'c1',
  version: '2.1.0',
  type,
  message: { role: type, ...message },
  uuid,
  timestamp: time(Number(uuid.slice(1))),
})

const LOGS: Readonly<Record<'pi' | 'claude' | 'codex' | 'jcode', Log>> = {
  pi: {
    path: (home) => join(home, '.pi', 'agent', 'sessions', '--work--', '2026-01-02T03-04-05-000Z_p1.jsonl'),
    lines: [
      { type: 'session', version: 3, id: 'p1', timestamp: time(0), cwd: '/work' },
      { type: 'message', id: 'a1', parentId: null, timestamp: time(1), message: { role: 'user', content: 'a question of pi' } },
      {
        type: 'message',
        id: 'a2',
        parentId: 'a1',
        timestamp: time(2),
        message: { role: 'assistant', content: [{ type: 'text', text: 'an answer of pi' }] },
      },
    ],
    more: [{ type: 'message', id: 'a3', parentId: 'a2', timestamp: time(3), message: { role: 'user', content: 'marmots for pi' } }],
  },
  claude: {
    path: (home) => join(home, '.claude', 'projects', '-work', 'c1.jsonl'),
    lines: [
      claudeLine('u1', null, 'user', { content: 'a question of claude' }),
      claudeLine('u2', 'u1', 'assistant', { id: 'msg_1', content: [{ type: 'text', text: 'an answer of claude' }], stop_reason: null }),
      claudeLine('u3', 'u2', 'assistant', {
        id: 'msg_1',
        content: [{ type: 'tool_use', id: 't1', name: 'Bash', input: { command: 'ls claude' } }],
        stop_reason: null,
      }),
      claudeLine('u4', 'u3', 'user', { content: [{ type: 'tool_result', tool_use_id: 't1', content: 'files of claude' }] }),
    ],
    more: [claudeLine('u5', 'u4', 'user', { content: 'marmots for claude' })],
  },
  codex: {
    path: (home) => join(home, '.codex', 'sessions', '2026', '01', '02', `rollout-2026-01-02T03-04-05-${THREAD}.jsonl`),
    lines: [
      { timestamp: time(0), type: 'session_meta', payload: { id: THREAD, timestamp: time(0), cwd: '/work', cli_version: '0.99.0' } },
      codexItem(1, said('user', 'a question of codex')),
      { timestamp: time(1), type: 'event_msg', payload: { type: 'user_message', message: 'a question of codex' } },
      codexItem(2, said('assistant', 'an answer of codex')),
      { timestamp: time(2), type: 'event_msg', payload: { type: 'agent_message', message: 'an answer of codex' } },
    ],
    more: [codexItem(3, said('user', 'marmots for codex'))],
  },
  jcode: {
    path: (home) => join(home, '.jcode', 'sessions', 'session_fox_1767323045000.journal.jsonl'),
    lines: [
      {
        meta: { title: 'fox', working_dir: '/work', updated_at: time(2) },
        append_messages: [
          { id: 'm1', role: 'user', timestamp: time(1), content: [{ type: 'text', text: 'a question of jcode' }] },
          { id: 'm2', role: 'assistant', timestamp: time(2), content: [{ type: 'text', text: 'an answer of jcode' }] },
        ],
      },
    ],
    more: [
      {
        meta: { title: 'fox', working_dir: '/work', updated_at: time(3) },
        append_messages: [{ id: 'm3', role: 'user', timestamp: time(3), content: [{ type: 'text', text: 'marmots for jcode' }] }],
      },
    ],
  },
}

/** Long ago, so that nothing waits for more of it. */
function settle(path: string): void {
  const written = new Date(Date.now() - HOUR)
  utimesSync(path, written, written)
}

function write(path: string, lines: readonly object[]): void {
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, lines.map((line) => `${JSON.stringify(line)}\n`).join(''))
  settle(path)
}

function append(path: string, lines: readonly object[]): void {
  appendFileSync(path, lines.map((line) => `${JSON.stringify(line)}\n`).join(''))
  settle(path)
}

let homes = 0
async function indexed(prepare: (home: string) => void) {
  const home = join(folder, `home-${homes++}`)
  prepare(home)
  const sessions = await openSessions({ data: home })
  const index = await openIndexHome({ home: join(folder, `index-${homes}`), sessions })
  const indexer = createIndexer({ ...index, sessions })
  const run = async () => {
    await indexer.observe()
    return indexer.drain()
  }
  const texts = async (): Promise<readonly string[]> =>
    (await searchIndex(index.searched(), 'question answer marmots files', { limit: 50 })).flatMap(({ text, copies }) => [
      text,
      ...copies.map(() => text),
    ])
  const isExact = async (): Promise<boolean> => (await indexer.verify()).differences.length === 0
  const close = async (): Promise<void> => {
    await indexer[Symbol.asyncDispose]()
    await index.close()
    await sessions.close()
  }
  /** What the slow scan does to every session in the course of time. */
  const scan = async () => {
    await index.state.slowScan({ limit: 100, minAgeMs: 0 })
    return indexer.drain()
  }
  return { home, run, scan, texts, isExact, [Symbol.asyncDispose]: close }
}

describe.each(Object.entries(LOGS))('the log of %s', (agent, { path, lines, more }) => {
  it('is indexed, and what is appended is embedded alone', async () => {
    await using rig = await indexed((home) => write(path(home), lines))
    const first = await rig.run()
    expect(first.embedded).toBeGreaterThan(1)
    expect((await rig.texts()).filter((text) => text.includes(`question of ${agent}`))).toHaveLength(1)
    expect(await rig.isExact()).toBe(true)
    append(path(rig.home), more)
    expect(await rig.run()).toMatchObject({ embedded: 1, documents: 1, deleted: 0 })
    expect(await rig.texts()).toContainEqual(expect.stringContaining(`marmots for ${agent}`))
    expect(await rig.run()).toMatchObject({ embedded: 0, documents: 0, deleted: 0 })
    expect(await rig.isExact()).toBe(true)
  })

  it('that is rewritten with other words has only these in the index', async () => {
    await using rig = await indexed((home) => write(path(home), lines))
    await rig.run()
    writeFileSync(path(rig.home), readFileSync(path(rig.home), 'utf8').replace(`a question of ${agent}`, `a marmot of ${agent}!!`))
    settle(path(rig.home))
    await rig.run()
    expect((await rig.texts()).some((text) => text.includes(`question of ${agent}`))).toBe(false)
    expect((await rig.texts()).some((text) => text.includes(`marmot of ${agent}`))).toBe(true)
    expect(await rig.isExact()).toBe(true)
  })

  it('that is deleted leaves the index; a folder of logs that is away takes nothing with it', async () => {
    const other = { ...LOGS }
    await using rig = await indexed((home) => {
      for (const log of Object.values(other)) write(log.path(home), log.lines)
      // Another session of the agent, so that its store stays.
      const second = JSON.stringify(lines).replaceAll(/p1|c1|019c4b43-1451-7af3-be4c-5576369bf1ba/g, (id) => `${id.slice(0, -1)}9`)
      write(
        path(home).replaceAll(/p1|c1|019c4b43-1451-7af3-be4c-5576369bf1ba|1767323045000/g, (id) => `${id.slice(0, -1)}9`),
        JSON.parse(second) as object[],
      )
    })
    await rig.run()
    const before = (await rig.texts()).length
    const root = join(rig.home, `.${agent}`)
    renameSync(root, `${root}-away`)
    expect(await rig.run()).toMatchObject({ deleted: 0 })
    renameSync(`${root}-away`, root)
    expect(await rig.run()).toMatchObject({ embedded: 0, deleted: 0 })
    rmSync(path(rig.home))
    await rig.run()
    const deleted = await rig.run()
    expect((await rig.texts()).length + deleted.deleted).toBeLessThanOrEqual(before)
    expect((await rig.texts()).length).toBeLessThan(before)
    expect(await rig.isExact()).toBe(true)
  })
})

describe.each(['codex', 'jcode'] as const)('the sessions of %s', (agent) => {
  it('that are away while their home is there stay in the index', async () => {
    const { path, lines } = LOGS[agent]
    await using rig = await indexed((home) => {
      write(path(home), lines)
      write(LOGS.pi.path(home), LOGS.pi.lines)
      writeFileSync(join(home, `.${agent}`, 'config.toml'), '')
    })
    await rig.run()
    const folder = join(rig.home, `.${agent}`, 'sessions')
    renameSync(folder, `${rig.home}-away`)
    expect(await rig.run()).toMatchObject({ deleted: 0 })
    expect(await rig.run()).toMatchObject({ deleted: 0 })
    renameSync(`${rig.home}-away`, folder)
    expect(await rig.run()).toMatchObject({ embedded: 0, deleted: 0 })
  })
})

describe('a line that was written over in place', () => {
  it('before others were appended is found by the slow scan, and by a comparison', async () => {
    const { path, lines } = LOGS.pi
    const filler = (n: number): object => ({
      type: 'message',
      id: `f${n}`,
      parentId: n === 0 ? 'a2' : `f${n - 1}`,
      timestamp: time(3),
      message: { role: 'user', content: `files ${n} `.repeat(2000) },
    })
    await using rig = await indexed((home) => write(path(home), [...lines, ...Array.from({ length: 12 }, (_, n) => filler(n))]))
    await rig.run()
    const text = readFileSync(path(rig.home), 'utf8')
    writeFileSync(path(rig.home), text.replace('a question of pi', 'marmots, you see'))
    append(path(rig.home), [{ ...filler(12), parentId: null }])
    await rig.run()
    expect(await rig.isExact()).toBe(false)
    await rig.scan()
    expect(await rig.isExact()).toBe(true)
  })
})

const hasZstd = spawnSync('zstd', ['--version']).status === 0

describe(`a Codex log that is compressed${hasZstd ? '' : ' (no zstd here)'}`, () => {
  it.runIf(hasZstd)('stays as it is in the index', async () => {
    const { path, lines } = LOGS.codex
    await using rig = await indexed((home) => write(path(home), lines))
    const { documents } = await rig.run()
    spawnSync('zstd', ['-q', '--rm', path(rig.home)])
    expect(await rig.run()).toMatchObject({ embedded: 0, documents: 0, deleted: 0 })
    expect(await rig.isExact()).toBe(true)
    expect(documents).toBeGreaterThan(0)
  })
})
