/** Era B files while and after they are rewritten, of every size and encoding. */
import { rmSync, statSync, truncateSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseMessageId } from '../../src/core/ids.js'
import { messageKey } from '../../src/core/keys.js'
import { openFileStore } from '../../src/storage/files/opencode-files.js'
import { looksTorn } from '../../src/storage/read-file.js'
import { Slab } from '../../src/storage/slab.js'
import { parseSpan } from '../../src/storage/span.js'
import type { Read } from '../../src/storage/store.js'
import { runSessionTreeFlow } from '../../src/tree/flow.js'
import { createSessionSet } from '../../src/tree/sessions/session-set.js'
import { manualClock } from '../support/clocks.js'
import { type CorpusMessage, conversation, corpusSession, DAY } from '../support/corpus.js'
import { jsonFixture, pretty, type StoreFixture, writeFileAt } from '../support/store-fixtures.js'
import { issuesIn, keyOf, resultOf, setOf } from '../support/trees.js'

const START = Date.parse('2026-03-01T10:00:00Z')
const SESSION = corpusSession(START, conversation(START + 1000, 3))
const [FIRST, SECOND] = SESSION.messages as [CorpusMessage, CorpusMessage]
const KEY = keyOf(SESSION.id)
const FIRST_READ: Read = { kind: 'message', key: messageKey(KEY, parseMessageId(FIRST.id)) }

const messageFile = (fixture: StoreFixture, message = FIRST.id): string => join(fixture.path, 'message', SESSION.id, `${message}.json`)
const partFile = (fixture: StoreFixture, message = FIRST, at = 0): string => join(fixture.path, 'part', message.id, `${message.parts[at]?.id}.json`)

describe('a file that is being rewritten', () => {
  const whole = pretty({ id: FIRST.id, sessionID: SESSION.id, ...FIRST.data })

  it('is read again until it is whole', async () => {
    using fixture = jsonFixture([SESSION])
    const path = messageFile(fixture)
    for (const half of ['', '{', whole.slice(0, 20), whole.slice(0, -1), '\0'.repeat(whole.length)]) {
      writeFileSync(path, half)
      const clock = manualClock(statSync(path).mtimeMs + 1, (times) => times === 2 && writeFileSync(path, whole))
      const store = openFileStore(fixture.path, clock)
      const [leaf] = await store.open([FIRST_READ], new Slab())
      expect(leaf?.span && parseSpan(leaf.span)).toMatchObject(FIRST.data)
      expect([leaf?.span && leaf.torn, clock.slept]).toEqual([undefined, [15, 30]])
    }
  })

  it('is known as torn when it is empty, whatever stood in the buffer before', () => {
    const buffer = Buffer.from('{\n  "a": 1\n}{\n  "b": 2\n}')
    expect(looksTorn(buffer, 12, 0)).toBe(true)
    expect(looksTorn(buffer, 12, 12)).toBe(false)
  })

  it('is given as it is after four tries, and said to be transient', async () => {
    using fixture = jsonFixture([SESSION])
    writeFileSync(messageFile(fixture), whole.slice(0, 30))
    const clock = manualClock(statSync(messageFile(fixture)).mtimeMs)
    await using sessions = await createSessionSet([openFileStore(fixture.path, clock)], { clock })
    const result = await runSessionTreeFlow(sessions, { session: KEY })
    expect(issuesIn(result)).toMatchObject([{ code: 'CORRUPT_RECORD', reason: 'truncated', transient: true, path: messageFile(fixture) }])
    expect(clock.slept).toEqual([15, 30, 60, 120])
  })

  it('is not waited for when it was written long ago', async () => {
    using fixture = jsonFixture([SESSION])
    writeFileAt(messageFile(fixture), whole.slice(0, 30), START)
    const clock = manualClock(START + DAY)
    await using sessions = await createSessionSet([openFileStore(fixture.path, clock)], { clock })
    const [issue] = issuesIn(await runSessionTreeFlow(sessions, { session: KEY }))
    expect([issue?.code, issue?.transient, clock.slept]).toEqual(['CORRUPT_RECORD', undefined, []])
  })

  it('is STALE_SPAN when it vanishes while it is waited for', async () => {
    using fixture = jsonFixture([SESSION])
    writeFileSync(messageFile(fixture), '')
    const clock = manualClock(statSync(messageFile(fixture)).mtimeMs, () => rmSync(messageFile(fixture), { force: true }))
    const [leaf] = await openFileStore(fixture.path, clock).open([FIRST_READ], new Slab())
    expect(leaf?.issue?.code).toBe('STALE_SPAN')
  })

  it('ends the wait when the caller gives up', async () => {
    using fixture = jsonFixture([SESSION])
    writeFileSync(messageFile(fixture), '')
    const controller = new AbortController()
    const clock = manualClock(statSync(messageFile(fixture)).mtimeMs, () => controller.abort(new Error('enough')))
    const opened = openFileStore(fixture.path, clock).open([FIRST_READ], new Slab(), { signal: controller.signal })
    await expect(opened).rejects.toThrow('enough')
  })

  it('looks torn at every length but its own (property)', () => {
    const document = fc.oneof(fc.dictionary(fc.string(), fc.jsonValue(), { minKeys: 1 }), fc.array(fc.jsonValue(), { minLength: 1 }))
    fc.assert(
      fc.property(document, fc.nat(), (value, at) => {
        const bytes = Buffer.from(pretty(value))
        const length = at % bytes.length
        expect(looksTorn(bytes, 0, bytes.length)).toBe(false)
        expect(looksTorn(bytes, 0, length)).toBe(true)
        const compact = Buffer.from(JSON.stringify(value))
        expect(looksTorn(compact, 0, compact.length)).toBe(false)
      }),
      { numRuns: 300 },
    )
  })
})

describe('a file that changed between plan and resolve', () => {
  it('is taken as it is now when it grew, and is an issue when it is gone', async () => {
    using fixture = jsonFixture([SESSION])
    await using sessions = await setOf(await fixture.open())
    const { planSessionTree } = await import('../../src/tree/plan.js')
    const { resolveSessionTree } = await import('../../src/tree/resolve.js')
    const { hydrateSessionTree } = await import('../../src/tree/hydrate.js')
    const planned = await planSessionTree(sessions, { session: KEY })
    if (planned.status !== 'ok') throw new Error('the plan must be whole')
    const grown = { type: 'text', text: 'x'.repeat(3_000_000) }
    writeFileSync(partFile(fixture), pretty(grown))
    rmSync(partFile(fixture, FIRST, 1))
    truncateSync(messageFile(fixture, SECOND.id), 0)
    utimesSync(messageFile(fixture, SECOND.id), 1, 1)
    const resolved = await resolveSessionTree(sessions, planned.value)
    if (resolved.status !== 'partial') throw new Error('the removed part must be an issue')
    expect(resolved.issues.map(({ code, path }) => [code, path])).toEqual([['STALE_SPAN', partFile(fixture, FIRST, 1)]])
    using refs = resolved.value
    const hydrated = hydrateSessionTree(refs)
    if (hydrated.status !== 'partial') throw new Error('the emptied message must be an issue')
    expect(hydrated.issues.map(({ code, reason }) => [code, reason])).toEqual([['CORRUPT_RECORD', 'empty']])
    const [first, second] = hydrated.value.messages
    expect(first?.parts).toMatchObject([grown])
    expect([second?.message, second?.parts.length]).toEqual([undefined, SECOND.parts.length])
  })
})

describe('sizes', () => {
  it('reads files around the size of a buffer, and larger ones, byte for byte', async () => {
    using fixture = jsonFixture([SESSION])
    const store = await fixture.open()
    const sizes = [1, 65_535, 65_536, 2 ** 20 - 65_536, 2 ** 20 - 1, 2 ** 20, 2 ** 20 + 1, 3 * 2 ** 20, 5]
    const reads = sizes.map((size, at): Read => {
      writeFileAt(messageFile(fixture, `msg_${at}`), Buffer.alloc(size, 97 + at), START)
      return { kind: 'message', key: messageKey(KEY, parseMessageId(`msg_${at}`)) }
    })
    using slab = new Slab()
    const leaves = await store.open([...reads, ...reads], slab)
    for (const [at, leaf] of leaves.entries()) {
      const size = sizes[at % sizes.length] ?? 0
      expect(leaf.span?.length).toBe(size)
      expect(leaf.span?.bytes().every((byte) => byte === 97 + (at % sizes.length))).toBe(true)
    }
  })
})

describe('encodings', () => {
  it('names invalid UTF-8, takes a byte order mark, and keeps replacement characters that were written', async () => {
    using fixture = jsonFixture([SESSION])
    const text = (inside: Buffer): Buffer => Buffer.concat([Buffer.from('{"type":"text","text":"'), inside, Buffer.from('"}')])
    writeFileAt(partFile(fixture), text(Buffer.from([0xff, 0xfe])), START)
    writeFileAt(partFile(fixture, FIRST, 1), Buffer.from('\uFEFF{"type":"text","text":"marked"}\r\n'), START)
    writeFileAt(partFile(fixture, SECOND), text(Buffer.from('\uFFFD')), START)
    await using sessions = await setOf(await fixture.open())
    const result = await runSessionTreeFlow(sessions, { session: KEY })
    expect(issuesIn(result)).toMatchObject([{ code: 'CORRUPT_RECORD', reason: 'invalid UTF-8', path: partFile(fixture) }])
    const [first, second] = resultOf(result).messages
    expect([first?.parts, second?.parts]).toMatchObject([[{ text: 'marked' }], [{ text: '\uFFFD' }]])
  })
})
