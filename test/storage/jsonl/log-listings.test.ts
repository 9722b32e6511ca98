/** What a store of logs makes of its own listings: of sessions that it lacks, of logs that cannot be read for the moment, of many at once. */
import { appendFileSync, mkdirSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, describe, expect, it, onTestFinished, vi } from 'vitest'
import { parseSessionId } from '../../../src/core/ids.js'
import { sessionKey } from '../../../src/core/keys.js'
import { sessionSource } from '../../../src/indexer/session-source.js'
import { claudeAdapter } from '../../../src/storage/jsonl/claude-log.js'
import { codexAdapter } from '../../../src/storage/jsonl/codex-log.js'
import { jcodeAdapter } from '../../../src/storage/jsonl/jcode-log.js'
import type { LogAdapter } from '../../../src/storage/jsonl/log-adapter.js'
import { LogStore } from '../../../src/storage/jsonl/log-store.js'
import { piAdapter } from '../../../src/storage/jsonl/pi-log.js'
import { createFileMaps } from '../../../src/storage/maps/file-maps.js'
import { CHUNK } from '../../../src/storage/slab.js'
import type { Store } from '../../../src/storage/store.js'
import { runSessionFlow, runSessionTreeFlow } from '../../../src/tree/flow.js'
import { createSessionSet } from '../../../src/tree/sessions/session-set.js'
import { manualClock } from '../../support/clocks.js'
import { tempFolder } from '../../support/temp.js'
import { issuesIn, resultOf } from '../../support/trees.js'
import { packRaw } from '../../support/zstd-frames.js'

const folder = tempFolder()
afterAll(() => folder[Symbol.dispose]())

const START = Date.parse('2026-03-01T10:00:00.000Z')
const at = (second: number): string => new Date(START + second * 1000).toISOString()
const textOf = (lines: readonly object[]): string => lines.map((line) => `${JSON.stringify(line)}\n`).join('')
const keyOf = (id: string) => sessionKey('pi', parseSessionId(id))

function piLog(id: string, messages: number, text = 'x'): string {
  const lines = Array.from({ length: messages }, (_, n) => ({
    type: 'message',
    id: `m${n}`,
    parentId: n === 0 ? null : `m${n - 1}`,
    timestamp: at(n),
    message: { role: 'user', content: `${text} ${n}` },
  }))
  return textOf([{ type: 'session', version: 3, id, timestamp: at(0), cwd: '/w' }, ...lines])
}

let made = 0
function rootOf(files: Readonly<Record<string, string | Buffer>>): string {
  const root = join(folder.path, `root-${made++}`)
  for (const [name, text] of Object.entries(files)) {
    const path = join(root, name)
    mkdirSync(join(path, '..'), { recursive: true })
    writeFileSync(path, text)
  }
  return root
}

function storeOf(root: string, adapter: LogAdapter = piAdapter): Store {
  const clock = manualClock(START)
  return new LogStore(adapter, root, { clock, maps: createFileMaps({ map: 'never', clock }) })
}

describe('the time of the last line', () => {
  it.each([piAdapter, claudeAdapter])('is the later of two that $agent has on it, as in its document', (adapter) => {
    const line = Buffer.from(`{"type":"message","timestamp":"${at(1)}","message":{"timestamp":3},"timestamp":"${at(2)}"}`)
    expect(adapter.timeOf(line, 0, line.length)).toBe(Date.parse(JSON.parse(line.toString()).timestamp))
  })
})

describe('a line at the end of what was read', () => {
  const time = at(1)
  const payload = { type: 'user_message', message: 'hi', thread_name: 'a' }
  const codex = (type: string, fields: object) => ({ timestamp: time, type, payload: fields })
  const lines: readonly (readonly [LogAdapter, object])[] = [
    [piAdapter, { type: 'session', id: 's', timestamp: time }],
    [piAdapter, { id: 'm', timestamp: time, type: 'message', message: { role: 'user', content: 'hi' } }],
    [claudeAdapter, { parentUuid: null, type: 'user', uuid: 'u', message: { role: 'user', content: 'hi' }, timestamp: time }],
    [claudeAdapter, { type: 'custom-title', customTitle: 'a', timestamp: time }],
    [claudeAdapter, { timestamp: time, type: 'user', message: { role: 'user', content: 'hi' } }],
    [codexAdapter, codex('session_meta', { id: 's', cwd: '/w' })],
    [codexAdapter, codex('turn_context', { cwd: '/w', model: 'm' })],
    [codexAdapter, codex('event_msg', payload)],
    [codexAdapter, codex('event_msg', { ...payload, type: 'thread_name_updated' })],
    [codexAdapter, codex('response_item', { type: 'message', role: 'user', content: [] })],
    [codexAdapter, { type: 'message', role: 'user', content: [], timestamp: time }],
    [jcodeAdapter, { meta: { updated_at: time }, append_messages: [{ id: 'm', role: 'user', timestamp: time, content: [] }] }],
    [jcodeAdapter, { id: 'm', role: 'user', timestamp: time, content: [] }],
  ]

  it.each(lines.map(([adapter, document]) => ({ agent: adapter.agent, adapter, document })))(
    'is told by $agent from its own bytes alone, wherever it is torn: %#',
    ({ adapter, document }) => {
      const whole = Buffer.from(JSON.stringify(document))
      for (let end = 0; end <= whole.length; end++) {
        const alone = Buffer.from(whole.subarray(0, end))
        // What another session's line left in the buffer.
        const among = Buffer.concat([alone, whole.subarray(end), Buffer.from(`\n${JSON.stringify(document)}`)])
        for (const meta of [{ entries: 1 }, { entries: 3, prompt: 'p', directory: '/w', model: { id: 'm', providerID: 'p' } }]) {
          const told = [adapter.tells(alone, 0, end, structuredClone(meta)), adapter.timeOf(alone, 0, end)]
          expect([adapter.tells(among, 0, end, structuredClone(meta)), adapter.timeOf(among, 0, end)]).toEqual(told)
        }
      }
    },
  )
})

describe('a snapshot that says nothing', () => {
  it.each(['no JSON at all', '', '[1]'])('has the time of its file, whenever it is listed: %j', async (text) => {
    const root = rootOf({ 'session_a.json': text })
    utimesSync(join(root, 'session_a.json'), START / 1000, START / 1000)
    for (const later of [1000, 2000]) {
      const clock = manualClock(START + later)
      await using store = new LogStore(jcodeAdapter, root, { clock, maps: createFileMaps({ map: 'never', clock }) })
      expect((await store.sessions()).entries.map(({ record }) => record?.time)).toEqual([{ created: START, updated: START }])
    }
  })
})

describe('a listing of large snapshots', () => {
  it('holds one at a time', async () => {
    const large = JSON.stringify({ id: 's', messages: [{ id: 'm', role: 'user', content: [{ type: 'text', text: 'x'.repeat(CHUNK) }] }] })
    const root = rootOf(Object.fromEntries(['a', 'b', 'c'].map((name) => [`session_${name}.json`, large])))
    const told: string[] = []
    const allocate = Buffer.allocUnsafeSlow
    const spy = vi.spyOn(Buffer, 'allocUnsafeSlow').mockImplementation((size) => {
      if (size === large.length) told.push('made')
      return allocate(size)
    })
    onTestFinished(() => spy.mockRestore())
    const split = (bytes: Buffer) => {
      told.push('used')
      return jcodeAdapter.split?.(bytes)
    }
    await storeOf(root, { ...jcodeAdapter, split }).sessions()
    expect(told).toEqual(['made', 'used', 'made', 'used', 'made', 'used'])
  })
})

describe('a listing of some sessions alone', () => {
  it('looks at their files and at those of logs that are new; the others are as they were listed last', async () => {
    const names = Array.from({ length: 10 }, (_, n) => `--w--/1_s${n}.jsonl`)
    const root = rootOf(Object.fromEntries(names.map((name, n) => [name, piLog(`s${n}`, 1)])))
    const store = storeOf(root)
    const before = await store.sessions()
    for (const name of names.slice(0, 2)) appendFileSync(join(root, name), textOf([{ type: 'session_info', name: 'Named' }]))
    writeFileSync(join(root, '--w--', '1_new.jsonl'), piLog('new', 1))
    const work = { ...store.work }
    const listing = await store.sessions({ before, only: [keyOf('s0'), keyOf('s5')] })
    const titles = new Map<string, string | undefined>(listing.entries.map(({ key, record }) => [key.session, record?.title]))
    expect([titles.size, titles.get('s0'), titles.get('s1'), titles.get('new')]).toEqual([11, 'Named', 'x 0', 'x 0'])
    // The other entries are the very same.
    expect(listing.entries.filter((entry) => before.entries.includes(entry)).length).toBe(9)
    // Of s0 and s5 a stat, of s0 another one and a look at its anchor before it is read on; the new log is read.
    expect({ files: store.work.files - work.files, stats: store.work.stats - work.stats }).toEqual({ files: 3, stats: 3 })
    const all = await store.sessions({ before: listing })
    expect(all.entries.find(({ key }) => key.session === 's1')?.record?.title).toBe('Named')
  })
})

describe('a session that the last listing lacks', () => {
  it('is not one without messages: whoever still holds it loses nothing', async () => {
    const root = rootOf({ '--w--/1_a.jsonl': piLog('a', 3), '--w--/1_b.jsonl': piLog('b', 1) })
    const store = storeOf(root)
    await using set = await createSessionSet([store], { clock: manualClock(START) })
    const source = sessionSource(set)
    rmSync(join(root, '--w--', '1_a.jsonl'))
    // As in the midst of a refresh: the store was listed, the set does not know it yet.
    await store.sessions()
    expect(await store.messages(keyOf('a'))).toMatchObject({ entries: [], complete: false, issues: [{ code: 'STALE_SPAN', transient: true }] })
    expect(await source.tail(keyOf('a'), () => undefined)).toMatchObject({ complete: false })
    expect(issuesIn(await runSessionTreeFlow(set, { session: keyOf('a') })).length).toBeGreaterThan(0)
    expect(await store.newest([keyOf('a')])).toEqual({ entries: [undefined], issues: [], complete: true })
  })
})

describe('a log that cannot be read for the moment', () => {
  it('stays the session that it was, and no older log of that session takes its place', async () => {
    const root = rootOf({ 'old/1_named.jsonl': piLog('inside', 1), 'new/1_other.jsonl': piLog('inside', 3) })
    const [old, path] = [join(root, 'old', '1_named.jsonl'), join(root, 'new', '1_other.jsonl')]
    utimesSync(old, START / 1000 - 100, START / 1000 - 100)
    let isAway = false
    const store = storeOf(root, {
      ...piAdapter,
      list: (from) => {
        const listing = piAdapter.list(from)
        if (isAway) rmSync(path, { force: true })
        return listing
      },
    })
    expect((await store.sessions()).entries.map(({ path }) => path)).toEqual([path])
    isAway = true
    const { entries } = await store.sessions()
    expect(entries).toMatchObject([{ key: keyOf('inside'), path, record: undefined, damage: { code: 'STALE_SPAN', path } }])
    const listing = await store.messages(keyOf('inside'))
    expect([listing.complete, listing.issues.length]).toEqual([false, 1])
  })
})

describe('a root that cannot be looked at', () => {
  it('is an unreadable store, not a failure of all', async () => {
    const root = join(folder.path, 'circle')
    symlinkSync(root, root)
    await expect(storeOf(root).sessions()).rejects.toMatchObject({ code: 'STORE_UNREADABLE' })
  })
})

describe('logs in turn', () => {
  it('are read once, however many are read straight through at the same time', async () => {
    const root = rootOf({ '--w--/1_a.jsonl': piLog('a', 400), '--w--/1_b.jsonl': piLog('b', 400), '--w--/1_c.jsonl': piLog('c', 1) })
    const store = storeOf(root)
    await using set = await createSessionSet([store], { clock: manualClock(START) })
    const before = store.work.bytes
    const flows = ['a', 'b'].map((id) => runSessionFlow(set, { session: keyOf(id) }, { output: 'messages' }))
    const sizes = [piLog('a', 400).length, piLog('b', 400).length]
    let pages = 0
    for (let done = 0; done < flows.length; ) {
      done = 0
      for (const flow of flows) {
        if ((await flow.next()).done === true) done++
        else pages++
        await set.index.messageCounts([keyOf('c')])
      }
    }
    expect(pages).toBe(14)
    // Its lines once to be found, once as leaves; of one log the first look was let go.
    expect(store.work.bytes - before).toBeLessThan(4 * ((sizes[0] ?? 0) + (sizes[1] ?? 0)))
  })

  it('are counted without being held, and not read again for that', async () => {
    const names = ['a', 'b', 'c']
    const root = rootOf(Object.fromEntries(names.map((id, at) => [`--w--/1_${id}.jsonl`, piLog(id, at + 1)])))
    const store = storeOf(root)
    await store.sessions()
    const keys = names.map(keyOf)
    expect(await store.messageCounts(keys)).toEqual([1, 2, 3])
    const { bytes } = store.work
    expect(await store.messageCounts(keys)).toEqual([1, 2, 3])
    expect((await store.totals()).messages).toBe(6)
    expect(store.work.bytes).toBe(bytes)
    writeFileSync(join(root, '--w--', '1_a.jsonl'), piLog('a', 9))
    rmSync(join(root, '--w--', '1_b.jsonl'))
    await store.sessions()
    expect(await store.messageCounts(keys)).toEqual([9, 0, 3])
  })

  it('are unpacked a few times, however many messages a packed one has', async () => {
    const id = '0a0b0c0d-1111-4222-8333-444444444444'
    const said = (n: number): object => ({
      timestamp: at(n),
      type: 'response_item',
      payload: { type: 'message', role: 'user', content: [{ type: 'input_text', text: `number ${n} ${'x'.repeat(200)}` }] },
    })
    const lines = [
      { timestamp: at(0), type: 'session_meta', payload: { id, timestamp: at(0), cwd: '/w' } },
      ...Array.from({ length: 2000 }, (_, n) => said(n)),
    ]
    const packed = packRaw(Buffer.from(textOf(lines)), 2 ** 16)
    const store = storeOf(rootOf({ [`sessions/rollout-2026-03-01T10-00-00-${id}.jsonl.zst`]: packed }), codexAdapter)
    await using set = await createSessionSet([store], { clock: manualClock(START) })
    const before = store.work.bytes
    const result = await runSessionTreeFlow(set, { session: sessionKey('codex', parseSessionId(id)) })
    expect([issuesIn(result), resultOf(result).messages.length]).toEqual([[], 2000])
    expect(store.work.bytes - before).toBeLessThan(2.5 * packed.length)
  })
})

describe('a last line without its end', () => {
  it('tells nothing any more once it went on as another line', async () => {
    const header = JSON.stringify({ type: 'session', version: 3, id: 'p1', timestamp: at(50), cwd: '/gone' })
    const root = rootOf({ '--w--/1_p1.jsonl': header })
    const store = storeOf(root)
    const recordIn = async (one: Store) => (await one.sessions()).entries[0]?.record
    expect(await recordIn(store)).toMatchObject({ directory: '/gone', time: { updated: START + 50_000 } })
    appendFileSync(join(root, '--w--/1_p1.jsonl'), piLog('p1', 2))
    expect(await recordIn(store)).toEqual(await recordIn(storeOf(root)))
  })
})
