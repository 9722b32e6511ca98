/** Logs of Claude Code, Codex and pi from public repositories: recorded, cut down, or written for tests. All lines are accounted for, as counted before. */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openSessions } from '../../src/open.js'
import { Slab } from '../../src/storage/slab.js'
import { runSessionTreeFlow } from '../../src/tree/flow.js'
import type { Sessions } from '../../src/tree/sessions/sessions.js'
import { verifyStores } from '../../src/tree/verify.js'
import { linesIn } from '../contracts/log-store-damage.js'
import { piecesOf } from '../support/log-pieces.js'
import { manifestOf } from '../support/manifest.js'
import { SHARED } from '../support/real-sets.js'
import { tempFolder } from '../support/temp.js'
import { issuesIn, resultOf } from '../support/trees.js'

interface LogFacts {
  readonly nonempty_lines: number
  readonly bad_line_count: number
  /** The first 20. */
  readonly bad_lines: readonly number[]
  readonly non_object_lines: number
  readonly types: Readonly<Record<string, number>>
}

const ARCHIVE = join(SHARED, 'data', 'samples.tar.gz')
const here = existsSync(ARCHIVE) ? describe : describe.skip
const folder = tempFolder()
const SAMPLES = join(folder.path, 'samples')
afterAll(() => folder[Symbol.dispose]())

/** One JSON text on many lines, of an agent whose logs are not read. */
const NO_LOG = 'entireio+cli/12_cbfeaa512b_0.jsonl'
/** Tests are named before anything is unpacked; the last test checks that these are all. */
const LOGS: Readonly<Record<string, string>> = {
  'junhoyeo+tokscale/.claude/projects/test-project/conversation.jsonl': 'claude',
  'entireio+cli/03_82579310fc_0.jsonl': 'claude',
  'entireio+cli/37_995ebed6e4_2.jsonl': 'claude',
  'entireio+cli/4c_02af2759b6_0.jsonl': 'claude',
  'daaain+claude-code-log/edge_cases.jsonl': 'claude',
  'daaain+claude-code-log/representative_messages.jsonl': 'claude',
  'daaain+claude-code-log/session_b.jsonl': 'claude',
  'daaain+claude-code-log/todowrite_examples.jsonl': 'claude',
  'badlogic+pi-mono/before-compaction.jsonl': 'pi',
  'jazzyalex+agent-sessions/pi/small.jsonl': 'pi',
  'ryoppippi+ccusage/test-transcript.jsonl': 'claude',
  'ryoppippi+ccusage/fixtures/codex/sessions/project-alpha/session-alpha.jsonl': 'codex',
  'ryoppippi+ccusage/fixtures/claude/projects/project-beta/session-beta/chat.jsonl': 'claude',
  'ryoppippi+ccusage/fixtures/claude/projects/project-alpha/session-alpha/chat.jsonl': 'claude',
  'git-ai-project+git-ai/codex-session-simple.jsonl': 'codex',
  'git-ai-project+git-ai/codex-session-updated.jsonl': 'codex',
  'git-ai-project+git-ai/example-claude-code.jsonl': 'claude',
  'git-ai-project+git-ai/pi-session-ignorable.jsonl': 'pi',
  'git-ai-project+git-ai/pi-session-simple.jsonl': 'pi',
  'git-ai-project+git-ai/pi-session-tool.jsonl': 'pi',
}

/** The types of the lines that a census gives, by the name of the facts: of an object without one 'None'. */
async function typesIn(set: Sessions): Promise<Readonly<Record<string, number>>> {
  const types: Record<string, number> = {}
  for (const store of set.stores) {
    using slab = new Slab()
    for await (const entry of store.census(() => slab, { deep: true })) {
      if (entry.what !== 'record' || entry.kind === 'session') continue
      const document = documentIn(entry.leaf.span?.text() ?? '')
      if (document !== undefined) types[String(document.type ?? 'None')] = (types[String(document.type ?? 'None')] ?? 0) + 1
    }
  }
  return types
}

function documentIn(text: string): { readonly type?: unknown } | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : undefined
  } catch {
    return undefined
  }
}

here('logs from public repositories (../shared/data/samples.tar.gz)', () => {
  let facts: Readonly<Record<string, LogFacts>> = {}
  let before: Readonly<Record<string, string>> = {}
  beforeAll(() => {
    mkdirSync(SAMPLES)
    execFileSync('tar', ['-xzf', ARCHIVE, '-C', SAMPLES])
    facts = JSON.parse(readFileSync(join(SAMPLES, 'FACTS.json'), 'utf8')).jsonl
    before = manifestOf(SAMPLES)
  })

  it.each(Object.entries(LOGS))('%s, of %s: lines, bad lines and types are as counted', async (path, agent) => {
    const fact = facts[path]
    const data = join(SAMPLES, path)
    await using set = await openSessions({ data })
    const [meta] = set.index.sessionsByTime()
    expect([set.stores.length, set.index.stats().sessions, meta?.key.agent, meta?.entries]).toEqual([1, 1, agent, fact?.nonempty_lines])
    expect(await typesIn(set)).toEqual(fact?.types)
    for (const deep of [false, true]) {
      const { stores } = await verifyStores(set, { deep })
      const damaged = stores[0]?.damaged ?? []
      expect(stores[0] && linesIn(stores[0])).toBe(fact?.nonempty_lines)
      const bad = damaged.filter(({ damage }) => damage !== 'wrong shape')
      expect([bad.length, damaged.length - bad.length]).toEqual([fact?.bad_line_count, fact?.non_object_lines])
      expect(bad.slice(0, 20).map(({ line }) => line)).toEqual(fact?.bad_lines)
      expect(damaged.map(({ line, path: own, offset = -1 }) => [line, own, offset >= 0])).toEqual(
        piecesOf(data).flatMap(({ document, line }) => (document === undefined ? [[line, data, true]] : [])),
      )
    }
    const result = await runSessionTreeFlow(set, { session: meta?.key ?? ('' as never), native: true })
    const corrupt = issuesIn(result).filter(({ code }) => code === 'CORRUPT_RECORD')
    expect(corrupt.length).toBe((fact?.bad_line_count ?? 0) + (fact?.non_object_lines ?? 0))
    expect(resultOf(result).messages.length).toBe(await set.index.messageCount(meta?.key ?? ('' as never)))
  })

  it('tells of JSON on many lines that it is no log, and of a folder with it that every line is damaged', async () => {
    const data = join(SAMPLES, NO_LOG)
    await expect(openSessions({ data })).rejects.toMatchObject({ code: 'STORE_MISSING', path: data })
    await using set = await openSessions({ data: join(data, '..') })
    const meta = set.index.sessionsByTime().find(({ id }) => NO_LOG.includes(id))
    expect(meta?.entries).toBe(facts[NO_LOG]?.nonempty_lines)
    const result = await runSessionTreeFlow(set, { session: meta?.key ?? ('' as never) })
    expect(issuesIn(result).length).toBe(facts[NO_LOG]?.bad_line_count)
  })

  it('are all that there are, and were not written to', () => {
    expect(Object.keys(facts).sort()).toEqual([...Object.keys(LOGS), NO_LOG].sort())
    expect(manifestOf(SAMPLES)).toEqual(before)
  })
})
