/** What is wrong with a text, and at which byte. */
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { jsonFlaw } from '../../src/storage/json-damage.js'
import { runSessionTreeFlow } from '../../src/tree/flow.js'
import { type CorpusMessage, conversation, corpusSession } from '../support/corpus.js'
import { jsonText, nearlyJson, parses } from '../support/json-texts.js'
import { jsonFixture, memoryFixture, sqliteFixture, writeFileAt } from '../support/store-fixtures.js'
import { issuesIn, keyOf, setOf } from '../support/trees.js'

const START = Date.parse('2026-03-01T10:00:00Z')

const flawOf = (content: string | Uint8Array): unknown => {
  const flaw = jsonFlaw(Buffer.from(content))
  return flaw && [flaw.damage, flaw.offset]
}
const bytes = (...content: (string | number)[]): Buffer =>
  Buffer.concat(content.map((piece) => (typeof piece === 'string' ? Buffer.from(piece) : Buffer.of(piece))))

describe('the flaw of a text', () => {
  it.each<[string | Uint8Array, string, number]>([
    ['', 'empty', 0],
    [' \n\t\r', 'empty', 0],
    ['\uFEFF', 'empty', 0],
    ['\0', 'NUL-filled', 0],
    ['\0\0\0', 'NUL-filled', 0],
    ['{"a": 1}\0\0', 'NUL-filled', 8],
    ['{"é": "\0\0\0\0"}', 'NUL-filled', 8],
    [bytes('{"a": "', 0xc3, '\0\0\0\0'), 'NUL-filled', 8],
    ['{"a": "x\0y"}', 'not JSON', 8],
    ['{"a": 1}\0', 'not JSON', 8],
    [bytes('"', 0xc3, '"'), 'invalid UTF-8', 1],
    [bytes('["é", "', 0x80, '"]'), 'invalid UTF-8', 8],
    [bytes('"', 0xc0, 0x80, '"'), 'invalid UTF-8', 1], // overlong
    [bytes('"', 0xed, 0xa0, 0x80, '"'), 'invalid UTF-8', 1], // a surrogate
    [bytes('"', 0xf4, 0x90, 0x80, 0x80, '"'), 'invalid UTF-8', 1], // beyond U+10FFFF
    [bytes('"', 0xf5, 0x80, 0x80, 0x80, '"'), 'invalid UTF-8', 1],
    [bytes('{} ', 0xe2, 0x82), 'invalid UTF-8', 3],
    [Buffer.from('\uFEFF{"a":1}', 'utf16le'), 'invalid UTF-8', 0],
    ['{"a": [1, {"b": "c\\"', 'truncated', 20],
    ['{"é": "ü', 'truncated', 10],
    [bytes('{"a": "', 0xe2, 0x82), 'truncated', 9],
    ['\uFEFF[1', 'truncated', 5],
    ['{"a": tru', 'truncated', 9],
    ['{"a": -', 'truncated', 7],
    ['{"a": "\\u12', 'truncated', 11],
    ['{"a": 1} x', 'not JSON', 9],
    ['{"a": 1}}', 'not JSON', 8],
    ['{"é": 1,}', 'not JSON', 9],
    ['[1 2]', 'not JSON', 3],
    ['[01]', 'not JSON', 2],
    ['[1.]', 'not JSON', 3],
    ['[1e+]', 'not JSON', 4],
    ['{a: 1}', 'not JSON', 1],
    ['{"a" 1}', 'not JSON', 5],
    ['["\\x"]', 'not JSON', 3],
    ['["\\u12g4"]', 'not JSON', 6],
    ['["a\nb"]', 'not JSON', 3],
    ['[1]]', 'not JSON', 3],
    ['[}', 'not JSON', 1],
    ['undefined', 'not JSON', 0],
    ['\uFEFF\uFEFF{}', 'not JSON', 3],
    ['nan', 'not JSON', 1],
  ])('of %j is %s at byte %i', (content, damage, offset) => {
    expect(flawOf(content)).toEqual([damage, offset])
  })

  it('is none in JSON, and only there (property)', () => {
    fc.assert(
      fc.property(nearlyJson, (text) => {
        expect(jsonFlaw(Buffer.from(text)) === undefined).toBe(parses(text.replace(/^\uFEFF/, '')))
      }),
      { numRuns: 3000 },
    )
  })

  it('is where JSON.parse says, when it says so (property)', () => {
    let compared = 0
    fc.assert(
      fc.property(nearlyJson, (text) => {
        const position = positionIn(text)
        const flaw = jsonFlaw(Buffer.from(text))
        if (position === undefined || flaw === undefined || flaw.damage !== 'not JSON') return
        compared++
        expect(flaw.offset).toBe(Buffer.byteLength(text.slice(0, position)))
      }),
      { numRuns: 3000 },
    )
    expect(compared).toBeGreaterThan(100)
  })

  it('is that it ends too early, wherever a list or an object is cut (property)', () => {
    fc.assert(
      fc.property(jsonText, fc.nat(), (text, at) => {
        const whole = Buffer.from(`[${text}]`)
        const length = 1 + (at % (whole.length - 1))
        expect(flawOf(whole.subarray(0, length))).toEqual(['truncated', length])
      }),
      { numRuns: 2000 },
    )
  })

  it('is the first byte that is no UTF-8, wherever one is put (property)', () => {
    fc.assert(
      fc.property(jsonText, fc.nat(), fc.constantFrom(0x80, 0xbf, 0xc0, 0xc1, 0xf5, 0xff), (text, at, stray) => {
        const whole = Buffer.from(text)
        let place = at % (whole.length + 1)
        while (place < whole.length && ((whole[place] ?? 0) & 0xc0) === 0x80) place++
        const flawed = Buffer.concat([whole.subarray(0, place), Buffer.of(stray), whole.subarray(place)])
        expect(flawOf(flawed)).toEqual(['invalid UTF-8', place])
      }),
      { numRuns: 1000 },
    )
  })

  it('is found however deep a text is nested', () => {
    const depth = 300_000
    expect(flawOf(`${'[{"a":'.repeat(depth)}1${'}]'.repeat(depth)}`)).toBeUndefined()
    expect(flawOf('['.repeat(depth))).toEqual(['truncated', depth])
  })
})

describe('the issue of a damaged record', () => {
  it.each([
    ['files', jsonFixture],
    ['rows', sqliteFixture('1.18')],
    ['memory', memoryFixture],
  ])('says at which byte, in %s', async (_, make) => {
    const session = corpusSession(START, conversation(START + 1000, 1))
    const [message, other] = session.messages as [CorpusMessage, CorpusMessage]
    using fixture = make([session])
    fixture.write({ session: session.id, message: message.id }, '{"role":"user"', START)
    fixture.write({ session: session.id, message: other.id, part: other.parts[0]?.id ?? '' }, '{"é":,}', START)
    await using sessions = await setOf(await fixture.open())
    const result = await runSessionTreeFlow(sessions, { session: keyOf(session.id) })
    const found = issuesIn(result).map(({ code, reason, offset }) => [code, reason, offset])
    expect(found.sort()).toEqual([
      ['CORRUPT_RECORD', 'not JSON', 6],
      ['CORRUPT_RECORD', 'truncated', 14],
    ])
  })

  it('says so of a session that is listed', async () => {
    const session = corpusSession(START, [])
    using fixture = jsonFixture([session])
    writeFileAt(join(fixture.path, 'session', session.project, `${session.id}.json`), '{"id": "x", }', START)
    await using sessions = await setOf(await fixture.open())
    expect(sessions.issues).toMatchObject([{ code: 'CORRUPT_RECORD', reason: 'not JSON', offset: 12 }])
  })
})

/** The character that JSON.parse names; of an escape it names another one of its characters. */
function positionIn(text: string): number | undefined {
  try {
    JSON.parse(text)
  } catch (error) {
    const message = String(error)
    const [, position] = message.includes('escape') ? [] : (/at position (\d+)/.exec(message) ?? [])
    return position === undefined ? undefined : Number(position)
  }
  return undefined
}
