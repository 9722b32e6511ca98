/** What a line's document tells is what its bytes tell. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Fields, LineFields } from '../../../src/storage/jsonl/line-fields.js'
import { LogIndex, type LogLine } from '../../../src/storage/jsonl/log-index.js'
import { Words } from '../../../src/storage/jsonl/words.js'

const SLOTS = [0, 1, 2, 3, 4, 5]
const WORDS = new Words<string>({ user: 'U', 'a/b': 'slash', tool_use: 'T' })

interface Item {
  readonly type: string | undefined
  readonly id: string | undefined
}

const items: Item[] = []
const LINE: LineFields = new LineFields({
  type: 0,
  id: 1,
  time: 2,
  message: {
    slot: 3,
    inside: {
      role: 4,
      content: {
        each: { type: 5 },
        begin: () => {
          items.length = 0
        },
        end: () => items.push({ type: LINE.now.word(WORDS, 5), id: LINE.now.text(5) }),
      },
    },
  },
})

function toldBy(fields: Fields): unknown {
  return SLOTS.map((slot) => [
    fields.has(slot),
    fields.text(slot),
    fields.word(WORDS, slot),
    fields.time(slot),
    fields.is(slot, true),
    fields.is(slot, null),
    fields.isText(slot),
    fields.isFilled(slot),
    fields.isObject(slot),
  ])
}

/** What is told of a line, of its document where it `lasts`. */
function readLine(text: string, lasts: boolean): { readonly told: unknown; readonly items: readonly Item[]; readonly line: LogLine } {
  const bytes = Buffer.from(text)
  const log = new LogIndex()
  log.lasting = lasts
  const line: LogLine = { file: 0, offset: 0, length: bytes.length, line: 1, crc: 0 }
  const isWhole = LINE.read(bytes, 0, bytes.length, line, log)
  return { told: isWhole && toldBy(LINE.now), items: [...items], line }
}

const TIMES = [
  '2026-01-20T15:03:49.065Z',
  '2026-01-20T15:03:49Z',
  '2026-02-30T15:03:49.065Z',
  '2026-02-30T15:03:49Z',
  '2026-01-20x15:03:49Z',
  '2026-13-20T15:03:49.065Z',
  '2026-01-20 15:03',
  '',
  '\n026-01-20T15:03:49.06Z',
]
const value = fc.oneof(
  fc.constantFrom(...TIMES, 'user', 'a/b', 'tool_use', 'é', '２０２６-01-20T15:03:49.065Z', true, false, null, 0, 1768921429065, -1, 1e300),
  fc.string({ unit: 'binary', maxLength: 30 }),
  fc.constant({}),
  fc.constant([]),
)
const optional = fc.option(value, { nil: undefined })
const block = fc.oneof(value, fc.record({ type: optional, other: value }), fc.constant([{ type: 'user' }]))
const message = fc.oneof(value, fc.record({ role: optional, content: fc.oneof(value, fc.array(block, { maxLength: 4 })) }))
const document = fc.record({ type: optional, id: optional, time: optional, message: fc.option(message, { nil: undefined }), rest: value })

describe('the fields of a line', () => {
  it('say the same in its document as in its bytes (property)', () => {
    fc.assert(
      fc.property(document, fc.constantFrom('', ' '), (doc, blank) => {
        const text = `${blank}${JSON.stringify(doc)}${blank}`
        const { line, ...told } = readLine(text, true)
        expect(told).toEqual({ told: readLine(text, false).told, items: readLine(text, false).items })
        if (!text.includes('\uFFFD')) expect(line.parsed?.document).toEqual(JSON.parse(text))
      }),
      { numRuns: 3000 },
    )
  })

  it('say the same however names, words and times are escaped', () => {
    for (const text of [
      '{"\\u0069d":"a"}',
      '{"id":"a\\/b","type":"a\\/b"}',
      '{"type":"us\\u0065r","id":"line\\nbreak"}',
      '{"message":{"r\\u006fle":"user","cont\\u0065nt":[{"typ\\u0065":"\\u0075ser"}]}}',
      ...TIMES.map((time) => `{"time":"\\u0032${time.slice(1)}"}`),
    ]) {
      const { line, ...told } = readLine(text, true)
      expect(told).toEqual({ told: readLine(text, false).told, items: readLine(text, false).items })
      expect(line.parsed?.document).toEqual(JSON.parse(text))
    }
    expect(readLine('{"message":{"role":"a","content":[{"\\u0074ype":"\\u0075ser"}]}}', false).items).toEqual([{ type: 'U', id: 'user' }])
  })

  it('are those of the bytes where there is no document', () => {
    for (const text of ['{"id":"a",}', '{"id":01}', '[{"id":"a"}]', '1', '{"id":"a"} {}']) {
      const { line, ...told } = readLine(text, true)
      expect(told).toEqual({ told: readLine(text, false).told, items: [] })
      expect(line.parsed).toBeUndefined()
    }
  })

  it('of a field that stands twice are those of the last one', () => {
    const list = '"content":[{"type":"user"}]'
    const other = '"content":[{"type":"tool_use"}]'
    for (const [inside, count] of [
      [`"message":{${list},${other}}`, 1],
      [`"message":{${list},"content":"x"}`, 0],
      [`"message":{${list}},"message":{${other}}`, 1],
      [`"message":{${list}},"message":{"role":"user"}`, 0],
      [`"message":{${list}},"message":null`, 0],
      [`"id":"a","message":{"role":"user"},"id":"b","message":{"role":1}`, 0],
    ] as const) {
      const text = `{${inside}}`
      const { line, ...told } = readLine(text, true)
      expect(told).toEqual({ told: readLine(text, false).told, items: readLine(text, false).items })
      expect([told.items.length, line.parsed?.document]).toEqual([count, JSON.parse(text)])
    }
  })

  it('of a line that does not last are found without a parse', () => {
    expect(readLine('{"id":"a"}', false).line.parsed).toBeUndefined()
  })
})
