/** What a listing says of logs whose lines are very long, stand again with old times, say no time, or lack their head. */
import { appendFileSync, mkdirSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, describe, expect, it } from 'vitest'
import type { SessionRecord } from '../../../src/core/records.js'
import { claudeAdapter } from '../../../src/storage/jsonl/claude-log.js'
import { codexAdapter } from '../../../src/storage/jsonl/codex-log.js'
import { jcodeAdapter } from '../../../src/storage/jsonl/jcode-log.js'
import { lightened, lightIn } from '../../../src/storage/jsonl/light-line.js'
import { LIGHT, type LogAdapter } from '../../../src/storage/jsonl/log-adapter.js'
import { LogStore } from '../../../src/storage/jsonl/log-store.js'
import { piAdapter } from '../../../src/storage/jsonl/pi-log.js'
import { createFileMaps } from '../../../src/storage/maps/file-maps.js'
import { manualClock } from '../../support/clocks.js'
import { tempFolder } from '../../support/temp.js'

const folder = tempFolder()
afterAll(() => folder[Symbol.dispose]())

const START = Date.parse('2026-03-01T10:00:00.000Z')
const at = (second: number): string => new Date(START + second * 1000).toISOString()
const ID = '99999999-9999-4999-8999-999999999999'
const IMAGE = 'A'.repeat(LIGHT + 200_000)
const ASKED = 'Fix the layout in this screenshot'
type Line = object | string
const textOf = (lines: readonly Line[]): string => lines.map((line) => `${typeof line === 'string' ? line : JSON.stringify(line)}\n`).join('')

let made = 0
function storeOf(
  adapter: LogAdapter,
  files: Readonly<Record<string, string>>,
): { readonly store: LogStore; readonly root: string; path(name: string): string } {
  const root = join(folder.path, `root-${made++}`)
  const path = (name: string): string => join(root, name)
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(join(path(name), '..'), { recursive: true })
    writeFileSync(path(name), text)
  }
  return { store: openedAt(adapter, root), root, path }
}

function openedAt(adapter: LogAdapter, root: string): LogStore {
  const clock = manualClock(START)
  return new LogStore(adapter, root, { clock, maps: createFileMaps({ map: 'never', clock }) })
}

async function recordIn(store: LogStore): Promise<SessionRecord | undefined> {
  return (await store.sessions()).entries[0]?.record
}

const claude = (second: number, type: string, content: unknown, more: object = {}): object => ({
  parentUuid: null,
  sessionId: ID,
  version: '2',
  cwd: '/w',
  type,
  message: { role: type, content },
  uuid: `u${second}`,
  timestamp: at(second),
  ...more,
})
const item = (second: number, role: string, ...content: readonly object[]): object => ({
  timestamp: at(second),
  type: 'response_item',
  payload: { type: 'message', role, content },
})
const typed = (text: string): object => ({ type: 'input_text', text })
const head = { timestamp: at(0), type: 'session_meta', payload: { id: ID, timestamp: at(0), cwd: '/w' } }
const entry = (second: number, content: unknown): object => ({
  type: 'message',
  id: `m${second}`,
  parentId: null,
  timestamp: at(second),
  message: { role: 'user', content },
})
const said = (n: number, text: string, ...more: readonly object[]): object => ({
  id: `m${n}`,
  role: 'user',
  content: [{ type: 'text', text }, ...more],
  timestamp: at(n),
})

describe('a first prompt with an image of more than a mebibyte', () => {
  const logs: readonly (readonly [string, LogAdapter, string, readonly Line[]])[] = [
    [
      'claude',
      claudeAdapter,
      `-w/${ID}.jsonl`,
      [
        claude(1, 'user', [
          { type: 'image', source: { data: IMAGE } },
          { type: 'text', text: ASKED },
        ]),
        claude(9, 'user', 'thanks', { cwd: '/other' }),
      ],
    ],
    [
      'codex',
      codexAdapter,
      `sessions/rollout-2026-03-01T10-00-00-${ID}.jsonl`,
      [head, item(1, 'user', typed(ASKED), { type: 'input_image', image_url: `data:image/png;base64,${IMAGE}` }), item(2, 'user', typed('thanks'))],
    ],
    [
      'pi',
      piAdapter,
      `--w--/1_${ID}.jsonl`,
      [
        entry(1, [
          { type: 'text', text: ASKED },
          { type: 'image', data: IMAGE },
        ]),
        entry(2, 'thanks'),
      ],
    ],
    [
      'jcode, in a snapshot',
      jcodeAdapter,
      'sessions/session_fox_1.json',
      [{ id: 'session_fox_1', created_at: at(1), updated_at: at(9), messages: [said(1, ASKED, { type: 'image', data: IMAGE }), said(2, 'thanks')] }],
    ],
    [
      'jcode, in a journal',
      jcodeAdapter,
      'sessions/session_fox_1.journal.jsonl',
      [
        { meta: { updated_at: at(1) }, append_messages: [said(1, ASKED, { type: 'image', data: IMAGE })] },
        { meta: { updated_at: at(9) }, append_messages: [said(2, 'thanks')] },
      ],
    ],
  ]

  it.each(logs)('is the title of the session (%s)', async (_, adapter, name, lines) => {
    const { store } = storeOf(adapter, { [name]: textOf(lines) })
    const record = await recordIn(store)
    expect(record).toMatchObject({ title: ASKED, time: { created: START + (adapter === codexAdapter ? 0 : 1000) } })
    if (adapter === claudeAdapter) expect(record).toMatchObject({ directory: '/w', version: '2' })
  })

  it('of jcode is one however long it is, cut off like any other', async () => {
    const long = `Read this: ${'words and more '.repeat(10_000)}`
    const document = { id: 'session_fox_1', updated_at: at(9), messages: [said(1, long), said(2, 'thanks')] }
    const record = await recordIn(storeOf(jcodeAdapter, { 'sessions/session_fox_1.json': JSON.stringify(document) }).store)
    expect([record?.title.slice(0, 30), record?.prompt?.length]).toEqual([long.slice(0, 30), 1000])
  })
})

describe('a line without the ends of its long strings', () => {
  it('says the same otherwise (property)', () => {
    const unit = fc.constantFrom('a', 'é', '😀', '"', '\\', '\n', ' ', '\u0001', '\u2028')
    const long = fc
      .tuple(fc.array(unit, { minLength: 1, maxLength: 6 }), fc.constantFrom(1, 10, 3000, 90_000))
      .map(([all, times]) => all.join('').repeat(times))
    fc.assert(
      fc.property(fc.array(long, { maxLength: 4 }), fc.boolean(), (texts, isNested) => {
        const document = { texts: isNested ? [texts] : texts, '"': 1, last: 'end' }
        const bytes = Buffer.from(JSON.stringify(document))
        const light = JSON.parse(lightened(bytes, 0, bytes.length).toString())
        const cut = (isNested ? light.texts[0] : light.texts) as readonly string[]
        expect({ ...light, texts: cut.length }).toEqual({ ...document, texts: texts.length })
        // As much as a prompt is made of, and of what is not cut all.
        for (const [place, text] of texts.entries()) {
          const kept = cut[place] ?? ''
          expect(text.startsWith(kept) && kept.length >= Math.min(text.length, 4000)).toBe(true)
        }
      }),
      { numRuns: 60 },
    )
  })

  it('is none where the line is damaged', () => {
    for (const line of [`{"a":"${IMAGE}`, `{"a":"${IMAGE}",}`, `["${IMAGE}"]`, `{"a":"${'\\'.repeat(LIGHT + 1)}"}`]) {
      const bytes = Buffer.from(line)
      expect(lightIn(bytes, 0, bytes.length)).toBeUndefined()
    }
    const bytes = Buffer.from(JSON.stringify({ a: '\\'.repeat(LIGHT) }))
    expect(lightIn(bytes, 0, bytes.length)).toMatchObject({ a: expect.stringMatching(/^\\{4000}/) })
  })
})

describe('the time of a session', () => {
  const name = `-w/${ID}.jsonl`

  it('is the newest that its last lines have, whichever comes last', async () => {
    const old = Array.from({ length: 200 }, (_, n) => claude(n, 'user', `text ${n} ${'x'.repeat(100)}`))
    // A second compaction writes old rows again.
    const again = [...old, claude(900, 'user', 'newest'), ...old.slice(0, 20)]
    const { store, path } = storeOf(claudeAdapter, { [name]: textOf(again) })
    expect((await recordIn(store))?.time).toEqual({ created: START, updated: START + 900_000 })
    appendFileSync(path(name), textOf(old.slice(0, 10)))
    expect((await recordIn(store))?.time.updated).toBe(START + 900_000)
    const fields = { uuid: 'v', timestamp: at(950), permissionMode: 'default', userType: 'external', gitBranch: 'main' }
    appendFileSync(path(name), textOf([{ type: 'user', message: { role: 'user', content: 'x' }, ...fields }, ...old.slice(0, 20)]))
    expect((await recordIn(store))?.time.updated).toBe(START + 950_000)
    expect((await recordIn(openedAt(claudeAdapter, join(path(name), '..', '..'))))?.time.updated).toBe(START + 950_000)
  })

  it('is not that of its file where the last lines are long and say none', async () => {
    const long = { type: 'file-history-snapshot', messageId: 'x', snapshot: 'y'.repeat(4000) }
    for (const last of [long, { ...long, snapshot: { timestamp: at(999), text: 'y'.repeat(3000) } }]) {
      const { store } = storeOf(claudeAdapter, { [name]: textOf([claude(1, 'user', 'one'), claude(9, 'user', 'two'), last, last, last]) })
      expect((await recordIn(store))?.time).toEqual({ created: START + 1000, updated: START + 9000 })
    }
  })

  it('is not that of something in a line', async () => {
    const nested = `{"type":"progress","data":{"timestamp":"${at(999)}"},"uuid":"x"}`
    const quoted = { type: 'progress', data: `"timestamp":"${at(999)}"`, uuid: 'y' }
    const late = { type: 'progress', data: {}, text: `,"timestamp":"${at(999)}"` }
    const { store } = storeOf(claudeAdapter, { [name]: textOf([claude(1, 'user', 'one'), nested, quoted, late]) })
    expect((await recordIn(store))?.time.updated).toBe(START + 1000)
  })

  it('is no time that no calendar has, nor one behind the end of a torn line', async () => {
    const odd = ['2026-13-01T10:00:00.000Z', '9999-99-99T99:99:99.999Z', '2026-00-00T00:00:00.000Z', '20x6-03-01T10:00:00.000Z'].map((timestamp) => ({
      ...claude(1, 'user', 'x'),
      timestamp,
    }))
    const torn = JSON.stringify(claude(999, 'user', 'x')).slice(0, -8)
    const { store } = storeOf(claudeAdapter, { [name]: textOf([claude(1, 'user', 'one'), ...odd, torn]) })
    expect((await recordIn(store))?.time.updated).toBe(START + 1000)
  })

  it('is a whole number where the file stands in for its lines', async () => {
    const { store, path } = storeOf(claudeAdapter, { [name]: textOf([{ type: 'summary', summary: 's', leafUuid: 'x' }]) })
    utimesSync(path(name), 1_790_000_000.25, 1_790_000_000.123456)
    expect((await recordIn(store))?.time).toEqual({ created: 1_790_000_000_123, updated: 1_790_000_000_123 })
  })

  it('is that of a snapshot where its journal is older', async () => {
    const document = { id: 'session_fox_1', created_at: at(0), updated_at: at(90), messages: [said(1, 'one')] }
    const stale = { meta: { updated_at: at(20) }, append_messages: [said(1, 'one')] }
    const { store } = storeOf(jcodeAdapter, { 'session_fox_1.json': JSON.stringify(document), 'session_fox_1.journal.jsonl': textOf([stale]) })
    expect((await recordIn(store))?.time).toEqual({ created: START, updated: START + 90_000 })
  })
})

describe('the beginning of a session', () => {
  it('is the first time of a log whose head is damaged', async () => {
    const name = `sessions/rollout-2026-03-01T10-00-00-${ID}.jsonl`
    for (const first of ['{"type":"session_meta","payl', '']) {
      const { store } = storeOf(codexAdapter, { [name]: textOf([first, item(3, 'user', typed('one')), item(60, 'user', typed('two'))]) })
      expect((await recordIn(store))?.time).toEqual({ created: START + 3000, updated: START + 60_000 })
    }
  })

  it('is what the name of a session of jcode says, where its snapshot does not', async () => {
    for (const id of [`session_fox_${START}`, `session_fox_${START}_0123456789abcdef`]) {
      const journal = textOf([{ meta: { updated_at: at(60) }, append_messages: [said(5, 'one')] }])
      const { store } = storeOf(jcodeAdapter, { [`${id}.journal.jsonl`]: journal })
      expect((await recordIn(store))?.time).toEqual({ created: START, updated: START + 60_000 })
    }
  })
})

describe('a log that grew', () => {
  const shapes: Readonly<Record<string, readonly [LogAdapter, string, (second: number, size: number) => Line]>> = {
    claude: [claudeAdapter, `-w/${ID}.jsonl`, (second, size) => claude(second, 'user', 'x'.repeat(size))],
    'claude, newer': [
      claudeAdapter,
      `-w/${ID}.jsonl`,
      (second, size) => ({
        type: 'user',
        message: { role: 'user', content: 'x'.repeat(size) },
        uuid: 'u',
        timestamp: at(second),
        cwd: '/w',
        version: '2',
      }),
    ],
    'claude, with results': [
      claudeAdapter,
      `-w/${ID}.jsonl`,
      (second, size) => claude(second, 'user', 'x', { toolUseResult: { text: 'x'.repeat(size) } }),
    ],
    'claude, in seconds': [
      claudeAdapter,
      `-w/${ID}.jsonl`,
      (second, size) => claude(second, 'user', 'x'.repeat(size), { timestamp: at(second).replace('.000', '') }),
    ],
    'claude, without times': [claudeAdapter, `-w/${ID}.jsonl`, (second, size) => ({ type: 'progress', uuid: `${second}`, data: 'x'.repeat(size) })],
    pi: [piAdapter, `--w--/1_${ID}.jsonl`, (second, size) => entry(second, 'x'.repeat(size))],
    codex: [codexAdapter, `sessions/rollout-2026-03-01T10-00-00-${ID}.jsonl`, (second, size) => item(second, 'user', typed('x'.repeat(size)))],
    jcode: [
      jcodeAdapter,
      `session_fox_1.journal.jsonl`,
      (second, size) => ({ meta: { updated_at: at(second) }, append_messages: [said(second, 'x'.repeat(size))] }),
    ],
  }

  it.each(Object.keys(shapes))('has the times that a fresh look at it gives (property): %s', async (shape) => {
    const [adapter, name, make] = shapes[shape] as (typeof shapes)[string]
    const line = fc.tuple(fc.nat({ max: 500 }), fc.constantFrom(1, 300, 5000), fc.constantFrom('whole', 'whole', 'whole', 'torn'))
    const part = fc.array(line, { minLength: 1, maxLength: 12 })
    await fc.assert(
      fc.asyncProperty(fc.array(part, { minLength: 1, maxLength: 6 }), async (parts) => {
        const { store, root, path } = storeOf(adapter, { [name]: '' })
        for (const lines of parts) {
          const texts = lines.map(([second, size, how]) => {
            const text = JSON.stringify(make(second, size))
            return how === 'torn' ? text.slice(0, -9) : text
          })
          appendFileSync(path(name), textOf(texts))
          utimesSync(path(name), START / 1000, START / 1000 + 7)
          const grown = await recordIn(store)
          expect(grown).toEqual(await recordIn(openedAt(adapter, root)))
        }
      }),
      { numRuns: 25 },
    )
  })
})
