/** What it costs to use one session while everything else is as an earlier process listed it. */
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { systemClock } from '../../src/core/clock.js'
import type { SessionId } from '../../src/core/ids.js'
import { openSessions } from '../../src/open.js'
import type { StoreWork } from '../../src/storage/store.js'
import { takeIndexLock } from '../../src/tree/catalog/index-lock.js'
import { type Corpus, conversation, corpusSession } from '../support/corpus.js'
import { pastGrain } from '../support/past-grain.js'
import { sqliteFixture, writeFileAt } from '../support/store-fixtures.js'
import { tempFolder } from '../support/temp.js'
import { told, writeTree } from '../support/told-session.js'

const START = Date.parse('2026-09-01T10:00:00Z')

function corpusOf(sessions: number): Corpus {
  const one = (at: number) =>
    corpusSession(START - at * 60_000, conversation(START - at * 60_000, 2), {
      id: `ses_${at}`,
      info: { slug: 's', directory: '/srv', version: '1', title: `Session ${at}` },
    })
  return [one(0), ...Array.from({ length: sessions - 1 }, (_, at) => one(at + 1))]
}

interface Cost extends StoreWork {
  readonly layout: string
  readonly sessions: number
}

/** One of so many sessions, and what it costs by kind of store. */
async function costOf(sessions: number): Promise<readonly Cost[]> {
  const costs: Cost[] = []
  for (const layout of ['tree', 'rows', 'claude'] as const) {
    using folder = tempFolder()
    using fixture = layout === 'rows' ? sqliteFixture('1.18')(corpusOf(sessions)) : undefined
    const data = fixture?.path ?? join(folder.path, layout)
    const home = join(folder.path, 'home')
    const all = corpusOf(sessions)
    if (layout === 'tree') writeTree(join(data, 'storage'), all)
    if (layout === 'claude') for (const { id } of all) writeClaude(join(data, 'projects', '-srv'), id)
    await pastGrain()
    const given = { data, env: { HOME: folder.path }, home }
    await (await openSessions(given)).close()
    // As while another process lists: here the listing would begin sooner or later, and be counted.
    using _lock = takeIndexLock(join(home, 'sessions.idx.lock'), { clock: systemClock })
    await using set = await openSessions(given)
    const [store] = set.stores
    const before = { ...store?.work }
    await told(set, (layout === 'claude' ? claudeId('ses_0') : 'ses_0') as SessionId)
    expect(set.stale).toBe(true)
    const { files = 0, rows = 0, bytes = 0, stats = 0 } = store?.work ?? {}
    costs.push({
      layout,
      sessions,
      files: files - (before.files ?? 0),
      rows: rows - (before.rows ?? 0),
      bytes: bytes - (before.bytes ?? 0),
      stats: stats - (before.stats ?? 0),
    })
  }
  return costs
}

function claudeId(id: string): string {
  return `00000000-0000-4000-8000-${id.replace(/\D/g, '').padStart(12, '0')}`
}

function writeClaude(folder: string, id: string): void {
  const said = {
    parentUuid: null,
    isSidechain: false,
    cwd: '/srv',
    sessionId: claudeId(id),
    version: '2.1.0',
    type: 'user',
    uuid: 'a',
    timestamp: new Date(START).toISOString(),
  }
  writeFileAt(join(folder, `${claudeId(id)}.jsonl`), `${JSON.stringify({ ...said, message: { role: 'user', content: 'Hello' } })}\n`, START)
}

describe('the work of one session', () => {
  it('is the same however many others there are: none of theirs is opened, nor looked at, but for the ids in a database', async () => {
    const [few, many] = [await costOf(3), await costOf(60)]
    const ids = (costs: readonly Cost[]) =>
      costs.map((cost) => ({ ...cost, rows: cost.layout === 'rows' ? cost.rows - cost.sessions : cost.rows, sessions: 0 }))
    expect(ids(many)).toEqual(ids(few))
    expect(few.map(({ files }) => files > 0)).toEqual([true, false, true])
  })
})
