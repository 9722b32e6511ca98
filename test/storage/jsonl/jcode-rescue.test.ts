/** Snapshots of jcode that are damaged: what is whole of them is read, what is not is named, and the journal goes on behind them. */
import { appendFileSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, describe, expect, it } from 'vitest'
import { parseSessionId } from '../../../src/core/ids.js'
import { sessionKey } from '../../../src/core/keys.js'
import { openSessions } from '../../../src/open.js'
import { jcodeAdapter } from '../../../src/storage/jsonl/jcode-log.js'
import { LogIndex } from '../../../src/storage/jsonl/log-index.js'
import { runSessionTreeFlow } from '../../../src/tree/flow.js'
import { grepSessions } from '../../../src/tree/grep/grep.js'
import { verifyStores } from '../../../src/tree/verify.js'
import { growthOf } from '../../support/growth.js'
import { tempFolder } from '../../support/temp.js'
import { issuesIn, resultOf } from '../../support/trees.js'

const folder = tempFolder()
afterAll(() => folder[Symbol.dispose]())

const START = 1767225600000
const time = (second: number): string => new Date(START + second * 1000).toISOString()
const message = (n: number, role = n % 2 === 0 ? 'user' : 'assistant'): object => ({
  id: `m${n}`,
  role,
  content: [{ type: 'text', text: `text ${n}` }],
  timestamp: time(n),
})
const ID = `session_fox_${START}`
const KEY = sessionKey('jcode', parseSessionId(ID))
const LIGHT = { parent_id: null, title: 'made', custom_title: 'given', created_at: time(0), updated_at: time(50) }
const BEHIND = { model: 'gpt-6', provider_key: 'acme', working_dir: '/w', status: 'Active', is_debug: false, saved: false }
const snapshot = (messages: readonly object[] = [0, 1, 2, 3].map((n) => message(n)), more: object = {}): string =>
  JSON.stringify({ id: ID, ...LIGHT, messages, ...BEHIND, env_snapshots: [], ...more })

let made = 0
function rootOf(document: string | Buffer, journal?: string): string {
  const root = join(folder.path, `root-${made++}`)
  mkdirSync(join(root, 'sessions'), { recursive: true })
  writeFileSync(join(root, 'sessions', `${ID}.json`), document)
  if (journal !== undefined) writeFileSync(join(root, 'sessions', `${ID}.journal.jsonl`), journal)
  return root
}

const WHOLE = snapshot()
const placeOf = (text: string): number => WHOLE.indexOf(text)
const without = (text: string, instead: string): string => WHOLE.replace(text, instead)
const CUT = placeOf('"text 3"')
const BEFORE_MODEL = placeOf('"model"')

/** Every other message goes wrong behind its text. */
function harmedSnapshot(size: number, more: string, end: string): Buffer {
  const messages = Array.from({ length: size }, (_, n) => {
    const text = JSON.stringify({ ...message(n), content: [{ type: 'text', text: 'word '.repeat(40) }] })
    return n % 2 === 0 ? text : `${text.slice(0, -1)}${more === '' ? '' : `,${more}`}${end}`
  })
  return Buffer.from(`{"id":"${ID}","messages":[${messages.join(',')}],"model":"m"}`)
}

/** The document, the messages that are whole, the place and the reason of what is not, and whether what stands behind the messages is known. */
const DAMAGE: readonly (readonly [string, string, readonly number[], number, string, boolean])[] = [
  ['cut in a message', WHOLE.slice(0, CUT), [0, 1, 2], CUT, 'truncated', false],
  ['cut behind a message', WHOLE.slice(0, placeOf(',{"id":"m3"')), [0, 1, 2], placeOf(',{"id":"m3"'), 'truncated', false],
  ['cut behind the messages', WHOLE.slice(0, BEFORE_MODEL), [0, 1, 2, 3], BEFORE_MODEL, 'truncated', false],
  ['with a bad word', without('"is_debug":false', '"is_debug":fal,e'), [0, 1, 2, 3], placeOf('"is_debug":false') + 14, 'not JSON', true],
  ['with half a word', without('"is_debug":false', '"is_debug":fals'), [0, 1, 2, 3], placeOf('"is_debug":false') + 15, 'truncated', true],
  ['that lacks a quote in a message', without('"text 1"', '"text 1'), [0, 2, 3], placeOf('timestamp":"2026-01-01T00:00:01') - 1, 'not JSON', true],
  [
    'that lacks a quote in its last message',
    without('"text 3"', '"text 3'),
    [0, 1, 2],
    placeOf('timestamp":"2026-01-01T00:00:03') - 1,
    'not JSON',
    true,
  ],
  ['with a message without a bracket', without('{"id":"m1"', '"id":"m1"'), [0, 2, 3], placeOf('{"id":"m1"') + 4, 'not JSON', true],
  ['with NULs in it', without('"text 1"', `"te${'\0'.repeat(64)}`), [0, 2, 3], placeOf('"text 1"') + 3, 'NUL-filled', true],
  ['with NULs behind it', `${WHOLE}${'\0'.repeat(100)}`, [0, 1, 2, 3], WHOLE.length, 'NUL-filled', true],
  ['with the end of a longer one behind it', `${WHOLE}ctive"}`, [0, 1, 2, 3], WHOLE.length, 'not JSON', true],
  ['with another object behind it', `${WHOLE} {"b":2}`, [0, 1, 2, 3], WHOLE.length + 1, 'not JSON', true],
  ['with a comma too many', without('"saved":false,', '"saved":false,,'), [0, 1, 2, 3], placeOf('"saved":false,') + 14, 'not JSON', true],
  ['that lacks a comma', without('},{"id":"m2"', '}{"id":"m2"'), [0, 1, 2, 3], placeOf(',{"id":"m2"'), 'not JSON', true],
]

describe('a snapshot', () => {
  it.each(DAMAGE)('%s gives every message that is whole, what is light, and a place', async (_, document, intact, offset, reason, isKnownBehind) => {
    const last = `${JSON.stringify({ meta: { id: ID, updated_at: time(60) }, append_messages: [message(9)] })}\n`
    const root = rootOf(document, last)
    await using set = await openSessions({ data: root })
    const result = await runSessionTreeFlow(set, { session: KEY })
    const ids = resultOf(result).messages.flatMap(({ key, log }) => (log?.trait === 'damaged' ? [] : [key.message]))
    expect(ids).toEqual([...intact, 9].map((n) => `m${n}`))
    expect(issuesIn(result)).toMatchObject([{ code: 'CORRUPT_RECORD', path: join(root, 'sessions', `${ID}.json`), offset, reason }])
    expect(set.index.session(KEY)).toMatchObject({
      title: 'given',
      prompt: 'text 0',
      created: START,
      updated: START + 60_000,
      ...(isKnownBehind && { directory: '/w', model: { id: 'gpt-6', providerID: 'acme' } }),
    })
    for (const deep of [false, true]) {
      const { total } = await verifyStores(set, { deep })
      expect(total).toMatchObject({ messages: intact.length + 1, damaged: 1, ignored: 0 })
    }
    const hits: string[] = []
    for await (const { message: id } of grepSessions(set, 'text')) hits.push(id.message)
    expect(new Set(hits)).toEqual(new Set([...intact, 9].map((n) => `m${n}`)))
  })

  it('that begins with a mark is not damaged', async () => {
    await using set = await openSessions({ data: rootOf(`\ufeff${WHOLE}`) })
    const result = await runSessionTreeFlow(set, { session: KEY })
    expect([issuesIn(result), resultOf(result).messages.map(({ key }) => key.message)]).toEqual([[], ['m0', 'm1', 'm2', 'm3']])
    expect(set.index.session(KEY)).toMatchObject({ title: 'given', directory: '/w' })
    expect((await verifyStores(set, { deep: true })).total).toMatchObject({ messages: 4, damaged: 0 })
  })

  it('that is damaged before its messages has those, and the fields around the damage', async () => {
    await using set = await openSessions({ data: rootOf(without('"made"', 'ma"de"')) })
    const result = await runSessionTreeFlow(set, { session: KEY })
    expect(
      resultOf(result)
        .messages.filter(({ message: one }) => one !== undefined)
        .map(({ key }) => key.message),
    ).toEqual(['m0', 'm1', 'm2', 'm3'])
    expect(issuesIn(result)).toMatchObject([{ code: 'CORRUPT_RECORD', reason: 'not JSON' }])
    expect(set.index.session(KEY)).toMatchObject({ title: 'given', created: START, directory: '/w' })
  })

  it.each(['par\\xent_id', 'parent\u0001_id'])('with a field of the harmed name %j keeps all that is light beside it', async (name) => {
    await using set = await openSessions({ data: rootOf(without('parent_id', name)) })
    const result = await runSessionTreeFlow(set, { session: KEY })
    expect(issuesIn(result)).toMatchObject([{ code: 'CORRUPT_RECORD', reason: 'not JSON' }])
    expect(set.index.session(KEY)).toMatchObject({ title: 'given', created: START, directory: '/w', entries: 5 })
  })

  it('with a quote too many in two messages has those between them', async () => {
    const document = without('"text 1"', '"te"xt 1"').replace('"text 3"', '"te"xt 3"')
    await using set = await openSessions({ data: rootOf(document) })
    const result = await runSessionTreeFlow(set, { session: KEY })
    expect(resultOf(result).messages.map(({ key, log }) => (log?.trait === 'damaged' ? '-' : key.message))).toEqual(['m0', '-', 'm2', '-'])
    expect(issuesIn(result)).toMatchObject([1, 3].map((n) => ({ offset: placeOf(`"text ${n}"`) + 4 + (n === 3 ? 1 : 0), reason: 'not JSON' })))
    expect(set.index.session(KEY)).toMatchObject({ title: 'given', directory: '/w', entries: 4 })
    for (const deep of [false, true]) expect((await verifyStores(set, { deep })).total).toMatchObject({ messages: 2, damaged: 2 })
  })

  it.each([
    ['"messages"', 1, 'not JSON', 4],
    ['\n"messages"', 0, 'truncated', 5],
  ] as const)('that lacks the end of a text before its messages, as %j, has those', async (instead, at, reason, entries) => {
    await using set = await openSessions({ data: rootOf(without('","messages"', instead)) })
    const result = await runSessionTreeFlow(set, { session: KEY })
    expect(issuesIn(result)).toMatchObject([{ code: 'CORRUPT_RECORD', offset: placeOf('","messages"') + at, reason }])
    expect(set.index.session(KEY)).toMatchObject({ title: 'given', directory: '/w', entries })
  })

  it.each(['a', '[', '{', '}', '"', '\\', '{"id":"x"'])('with %j before the name of its messages has those', async (stray) => {
    await using set = await openSessions({ data: rootOf(WHOLE.replace('"messages"', () => `${stray}"messages"`)) })
    const { messages } = resultOf(await runSessionTreeFlow(set, { session: KEY }))
    expect(messages.filter(({ log }) => log?.trait !== 'damaged').map(({ key }) => key.message)).toEqual(['m0', 'm1', 'm2', 'm3'])
    expect(set.index.session(KEY)).toMatchObject({ title: 'given', directory: '/w' })
  })

  it('with the end of a list where its first message begins has the others', async () => {
    await using set = await openSessions({ data: rootOf(without('[{"id":"m0"', '[{}]"id":"m0"')) })
    const { messages } = resultOf(await runSessionTreeFlow(set, { session: KEY }))
    expect(messages.map(({ key }) => key.message).filter((id) => id.startsWith('m'))).toEqual(['m1', 'm2', 'm3'])
    expect(set.index.session(KEY)).toMatchObject({ title: 'given', directory: '/w' })
  })

  it('whose message holds what a message begins with is taken apart as ever', () => {
    const document = Buffer.from(snapshot([message(0), { ...message(1), meta: [{ id: 'm9' }] }, message(2)]))
    expect(jcodeAdapter.split?.(document)?.messages).toHaveLength(3)
  })

  it('whose title is of another encoding names that, and keeps all else', async () => {
    const document = Buffer.from(without('"given"', '"caf\xe9"'), 'latin1')
    await using set = await openSessions({ data: rootOf(document) })
    const result = await runSessionTreeFlow(set, { session: KEY })
    expect(issuesIn(result)).toMatchObject([{ reason: 'invalid UTF-8', offset: placeOf('"given"') + 4 }])
    expect(set.index.session(KEY)).toMatchObject({ title: 'made', directory: '/w', entries: 5 })
  })

  it.each([
    ['nothing', '', 'empty'],
    ['blanks', ' \n', 'empty'],
    ['a list', '[]', 'the document is no object'],
    ['words', 'hello', 'not JSON'],
    ['NULs', '\0'.repeat(50), 'NUL-filled'],
    ['a beginning', '{"id', 'truncated'],
  ])('of %s is named, and its journal read', async (_, document, reason) => {
    const journal = `${JSON.stringify({ meta: { title: 'of the journal', updated_at: time(60) }, append_messages: [message(9)] })}\n`
    await using set = await openSessions({ data: rootOf(document, journal) })
    const result = await runSessionTreeFlow(set, { session: KEY })
    expect(issuesIn(result)).toMatchObject([{ code: 'CORRUPT_RECORD', reason }])
    expect(resultOf(result).messages.at(-1)?.key.message).toBe('m9')
    expect(set.index.session(KEY)).toMatchObject({ title: 'of the journal', created: START, updated: START + 60_000 })
    expect((await verifyStores(set)).total).toMatchObject({ messages: 1, damaged: 1 })
  })

  it('that is damaged is followed: what its journal gets is told, and nothing else', async () => {
    const root = rootOf(without('"text 1"', '"text 1'))
    await using set = await openSessions({ data: root })
    const first = await runSessionTreeFlow(set, { session: KEY })
    const since = first.status === 'failed' ? undefined : first.cursor
    appendFileSync(
      join(root, 'sessions', `${ID}.journal.jsonl`),
      `${JSON.stringify({ meta: { updated_at: time(60) }, append_messages: [message(9)] })}\n`,
    )
    const tail = await runSessionTreeFlow(set, { session: KEY, ...(since && { since }) })
    expect([issuesIn(tail), resultOf(tail).messages.map(({ key }) => key.message)]).toEqual([[], ['m9']])
    await set.refresh()
    expect(set.index.session(KEY)?.updated).toBe(START + 60_000)
  })

  it('harmed anywhere loses no message that the harm does not touch (property)', () => {
    const words = fc.constantFrom('a', '"', '\\', '{"id":"x"', '}]', ',', 'é', '\n', '[', '{', 'text')
    const block = fc.oneof(
      fc.array(words).map((all) => ({ type: 'text', text: all.join('') })),
      fc.record({
        type: fc.constant('tool_use'),
        id: fc.constant('c1'),
        name: fc.constant('bash'),
        input: fc.record({ id: words, list: fc.array(words) }),
      }),
    )
    const one = fc.tuple(fc.array(block, { maxLength: 3 }), fc.constantFrom('user', 'assistant'))
    const harm = fc.record({
      at: fc.double({ min: 0, max: 0.999, noNaN: true }),
      cut: fc.nat({ max: 12 }),
      put: fc.oneof(fc.constantFrom('', '"', '{', '}', ']', '[', ',', '\0\0\0\0\0\0', 'x', '\\', '"}', '\u0001', '\\x', '\ufeff'), words),
      isEnd: fc.boolean(),
    })
    let rescued = 0
    fc.assert(
      fc.property(fc.array(one, { maxLength: 8 }), fc.constantFrom(0, 1), harm, (all, space, { at, cut, put, isEnd }) => {
        const messages = all.map(([content, role], n) => ({ id: `m${n}`, role, content, timestamp: time(n) }))
        const text = Buffer.from(JSON.stringify({ id: ID, ...LIGHT, messages, ...BEHIND, env_snapshots: [{ a: 1 }] }, null, space))
        const from = Math.floor(at * text.length)
        const to = isEnd ? text.length : Math.min(text.length, from + cut)
        const ranges = jcodeAdapter.split?.(text)?.messages ?? []
        const list = text.indexOf('"messages"')
        const bytes = Buffer.concat([text.subarray(0, from), Buffer.from(put), text.subarray(to)])
        const isTold = jcodeAdapter.split?.(bytes) === undefined && (to <= list || from > list + 12)
        if (!isTold) return
        rescued++
        const found = jcodeAdapter.rescue?.(bytes)
        const shift = bytes.length - text.length
        const texts = new Set(found?.messages.map(({ start, end }) => bytes.toString('utf8', start, end)))
        const untouched = ranges.filter(({ start, end }) => end <= from || start >= to)
        for (const { start, end } of untouched) {
          const moved = start >= to ? shift : 0
          expect(texts.has(bytes.toString('utf8', start + moved, end + moved)), JSON.stringify([text.toString(), from, to, put])).toBe(true)
        }
        expect((found?.damage?.length ?? 0) + (found?.flaw === undefined ? 0 : 1)).toBeGreaterThan(0)
        expect(JSON.parse(found?.rest.toString() ?? '')).toMatchObject({ messages: expect.any(Array) })
        const places = [...(found?.messages ?? []), ...(found?.damage ?? [])].sort((a, b) => a.start - b.start)
        expect(places.every(({ start }, place) => place === 0 || start >= (places[place - 1]?.end ?? 0))).toBe(true)
      }),
      { numRuns: 2000 },
    )
    expect(rescued).toBeGreaterThan(500)
  })

  it('of nothing but beginnings is damage, and no work without end', () => {
    for (const beginning of ['{"id":', '{"messages":[{"id":"m"', '{"a":{"id":"x","b":'])
      expect(jcodeAdapter.rescue?.(Buffer.from(beginning.repeat(20_000)))).toMatchObject({ messages: [] })
  })

  it.each([
    ['a bracket', '', ''],
    ['the end of an object', '"x":{', '}'],
    ['the end of a text', '"x":"', '}'],
  ])('whose every other message lacks %s costs by its size', (_, more, end) => {
    const work = (size: number) => () => jcodeAdapter.rescue?.(harmedSnapshot(size, more, end))
    expect(work(100)()?.messages).toHaveLength(50)
    expect(growthOf(work, 250, 32)).toBeLessThan(130)
  })

  it('whose every message is damaged has each read by itself', () => {
    const work = (size: number): (() => void) => {
      const bytes = Buffer.from('{"id":"m1","role":"user","content":[{"text":"word"@]},'.repeat(size))
      const length = bytes.length / size
      return () => {
        const log = new LogIndex()
        for (let offset = 0; offset < bytes.length; offset += length)
          jcodeAdapter.read(bytes, offset, offset + length - 1, { file: 0, offset, length: length - 1, line: 1, crc: 0 }, log)
      }
    }
    expect(growthOf(work, 1000, 32)).toBeLessThan(130)
  })
})

describe('of a whole snapshot', () => {
  it('what is no message is counted', async () => {
    const more = {
      compaction: { summary_text: 'sum', covers_up_to_turn: 1 },
      env_snapshots: [{ a: 1 }],
      memory_injections: [{ b: 1 }, { b: 2 }],
      replay_events: [{ c: 1 }],
    }
    await using set = await openSessions({ data: rootOf(snapshot([message(0)], more)) })
    for (const deep of [false, true]) {
      const { stores } = await verifyStores(set, { deep })
      expect(Object.fromEntries(stores[0]?.ignored.map(({ reason, count }) => [reason, count]) ?? [])).toEqual({
        'summaries for the model, of messages that stand in the log': 1,
        'notes on the surroundings': 1,
        'notes on memories that the model was given': 2,
        'events for a replay': 1,
      })
      expect(stores[0]).toMatchObject({ messages: 1, damaged: [] })
    }
    expect(set.index.session(KEY)?.entries).toBe(1)
  })

  it('a second message with the id of another is left out as jcode leaves it out, and not as one of the journal', async () => {
    await using set = await openSessions({ data: rootOf(snapshot([message(0), message(1), { ...message(2), id: 'm0' }])) })
    const { stores } = await verifyStores(set)
    expect(stores[0]).toMatchObject({ messages: 2, ignored: [{ reason: 'messages with the id of an earlier one', count: 1 }] })
  })
})
