/** Logs of other agents among those of one: their lines would be misread, so they are named and left alone. */
import { appendFileSync, mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { claudeAdapter } from '../../../src/storage/jsonl/claude-log.js'
import { codexAdapter } from '../../../src/storage/jsonl/codex-log.js'
import type { LogAdapter } from '../../../src/storage/jsonl/log-adapter.js'
import { LogStore } from '../../../src/storage/jsonl/log-store.js'
import { piAdapter } from '../../../src/storage/jsonl/pi-log.js'
import { createFileMaps } from '../../../src/storage/maps/file-maps.js'
import { Slab, SlabPool } from '../../../src/storage/slab.js'
import { manualClock } from '../../support/clocks.js'
import { tempFolder } from '../../support/temp.js'

const folder = tempFolder()
afterAll(() => folder[Symbol.dispose]())

const TIME = '2026-03-01T10:00:00.000Z'
const textOf = (lines: readonly object[]): string => lines.map((line) => `${JSON.stringify(line)}\n`).join('')

const LOGS = {
  pi: textOf([
    { type: 'session', version: 3, id: 'p1', timestamp: TIME, cwd: '/w' },
    { type: 'message', id: 'm0', parentId: null, timestamp: TIME, message: { role: 'user', content: 'asked of pi' } },
  ]),
  claude: textOf([
    { type: 'summary', summary: 'About it', leafUuid: 'u1' },
    { type: 'user', uuid: 'u1', parentUuid: null, sessionId: 'c1', timestamp: TIME, message: { role: 'user', content: 'asked of Claude' } },
  ]),
  codex: textOf([
    { timestamp: TIME, type: 'session_meta', payload: { id: 'x1', timestamp: TIME, cwd: '/w' } },
    { timestamp: TIME, type: 'response_item', payload: { type: 'message', role: 'user', content: [{ type: 'input_text', text: 'asked of Codex' }] } },
  ]),
}
/** A line that tells nothing of who wrote it. */
const TELLS_NOTHING = textOf([{ note: 1 }])

let made = 0
function storeOf(adapter: LogAdapter, files: Readonly<Record<string, string>>): { readonly store: LogStore; readonly root: string } {
  const root = join(folder.path, `root-${made++}`)
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, name)), { recursive: true })
    writeFileSync(join(root, name), text)
  }
  const clock = manualClock(Date.parse(TIME))
  return { store: new LogStore(adapter, root, { clock, maps: createFileMaps({ map: 'never', clock }) }), root }
}

async function listed(store: LogStore): Promise<{ readonly names: readonly string[]; readonly issues: readonly string[] }> {
  const { entries, issues } = await store.sessions()
  return {
    names: entries.map(({ path }) => path.slice(store.path.length + 1)).sort(),
    issues: issues.map(({ code, path, reason }) => `${code} ${path?.slice(store.path.length + 1)}: ${reason}`).sort(),
  }
}

describe('a log of another agent', () => {
  it.each([
    ['pi', piAdapter, ['claude', 'codex']],
    ['claude', claudeAdapter, ['codex', 'pi']],
  ] as const)('is no session of %s, and named', async (own, adapter, others) => {
    const files = Object.fromEntries(Object.entries(LOGS).map(([agent, text]) => [`${agent}.jsonl`, text]))
    const { store } = storeOf(adapter, files)
    const issues = others.map((agent) => `FOREIGN_LOG ${agent}.jsonl: a log of ${agent} among those of ${own}: name it by itself to read it`)
    expect(await listed(store)).toEqual({ names: [`${own}.jsonl`], issues })
  })

  it('is left out of the census with its reason', async () => {
    const { store } = storeOf(codexAdapter, { 'sessions/rollout-a.jsonl': LOGS.codex, 'sessions/other.jsonl': LOGS.pi })
    await store.sessions()
    const left: string[] = []
    for await (const entry of store.census(() => new Slab(new SlabPool()))) if (entry.what === 'ignored') left.push(entry.reason)
    expect(left).toContain('a log of pi')
  })
})

describe('a log is the agent’s own', () => {
  it('when a later line is, whatever the first one looks like', async () => {
    const { store } = storeOf(claudeAdapter, { 'a.jsonl': `${TELLS_NOTHING}${textOf([{ type: 'x', payload: {} }])}${LOGS.claude}` })
    expect(await listed(store)).toEqual({ names: ['a.jsonl'], issues: [] })
  })

  it('when no line tells', async () => {
    const { store } = storeOf(claudeAdapter, { 'a.jsonl': TELLS_NOTHING })
    expect((await listed(store)).issues).toEqual([])
  })

  it('until its lines tell otherwise, and stays another’s when it grows', async () => {
    const { store, root } = storeOf(claudeAdapter, { 'a.jsonl': '' })
    const path = join(root, 'a.jsonl')
    writeFileSync(path, TELLS_NOTHING)
    expect((await listed(store)).issues).toEqual([])
    for (const text of [LOGS.pi, LOGS.pi]) {
      appendFileSync(path, text)
      expect((await listed(store)).issues).toEqual(['FOREIGN_LOG a.jsonl: a log of pi among those of claude: name it by itself to read it'])
    }
    writeFileSync(path, LOGS.claude)
    expect(await listed(store)).toEqual({ names: ['a.jsonl'], issues: [] })
  })
})
