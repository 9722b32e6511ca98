/** What is found in bytes is what JSON.parse builds of them, and damage neither throws nor leads out of the line. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Skim, type Skimmed } from '../../../src/storage/jsonl/skim.js'
import { jsonText, nearlyJson } from '../../support/json-texts.js'

const SHAPE = { a: 0, b: { a: 1, c: { a: 2 }, long_name: 3 }, é: 4, '': 5 } as const
/** Where JSON.parse finds what the slot of that number holds. */
const PATHS = [['a'], ['b', 'a'], ['b', 'c', 'a'], ['b', 'long_name'], ['é'], ['']] as const

const blank = fc.constantFrom('', '', '', ' ', '\t', '\r\n', '\n  ')
const character = fc.oneof(
  fc.constantFrom('\\"', '\\\\', '\\n', '\\u0022', '\\u005c', '{', '}', '[', ']', ',', ':', ' ', 'x', 'é', '😀', '\\ud83d', '\u007f', '//'),
  fc.string({ maxLength: 60 }).map((text) => JSON.stringify(text).slice(1, -1)),
)
const quoted = fc.array(character, { maxLength: 8 }).map((characters) => `"${characters.join('')}"`)
const scalar = fc.oneof(quoted, fc.constantFrom('0', '-1.5e+10', '1E9', 'true', 'false', 'null', '""', '[]', '{}', '[[],{}]'))
const { object } = fc.letrec<{ object: string; list: string; value: string }>((tie) => ({
  value: fc.oneof({ maxDepth: 4 }, scalar, tie('object'), tie('list')),
  list: fc.tuple(blank, fc.array(tie('value'), { maxLength: 4 })).map(([space, items]) => `[${space}${items.join(`${space},${space}`)}${space}]`),
  // Names repeat, so that the last of them must count.
  object: fc
    .tuple(blank, blank, fc.array(fc.tuple(fc.constantFrom('a', 'b', 'c', 'é', '', 'long_name', 'other'), tie('value')), { maxLength: 7 }))
    .map(([one, two, members]) => `{${one}${members.map(([name, text]) => `"${name}"${one}:${two}${text}`).join(`${two},${one}`)}${two}}`),
}))

describe('a skim', () => {
  it('finds the bytes of the values that JSON.parse builds (property)', () => {
    const skim = new Skim(SHAPE)
    fc.assert(
      fc.property(blank, object, blank, fc.nat(20), (before, text, after, from) => {
        const line = Buffer.from(`${'"'.repeat(from)}${before}${text}${after}"}{`)
        const end = line.length - 3
        expect(skim.whole(line, from, end)).toBe(true)
        expect(skim.run(line, from, end)).toBe(end - after.length)
        for (const [slot, path] of PATHS.entries()) {
          const expected = valueAt(JSON.parse(text), path)
          expect(skim.has(slot)).toBe(expected !== undefined)
          if (expected !== undefined) expect(found(skim, slot)).toEqual(expected)
        }
      }),
      { numRuns: 2000 },
    )
  })

  it('calls `end` for every item of a list that is an object, with its slots alone (property)', () => {
    const item = fc.oneof(object, scalar, fc.constant('[{"a":1}]'))
    fc.assert(
      fc.property(blank, fc.array(item, { maxLength: 5 }), quoted, (space, items, other) => {
        const met: unknown[] = []
        const end = (skimmed: Skimmed): number =>
          met.push([0, 1].map((slot) => ((skimmed.from[slot] as number) < 0 ? undefined : found(skimmed, slot))))
        const skim = new Skim({ before: 2, list: { each: { a: 0, b: { a: 1 } }, end }, after: 3 })
        const text = `{"before":${other},"list":${space}[${space}${items.join(`${space},`)}${space}],"after":${other}}`
        expect(skim.whole(Buffer.from(text), 0, Buffer.byteLength(text))).toBe(true)
        const objects = (JSON.parse(text) as { list: unknown[] }).list.filter((value) => isObject(value))
        expect(met).toEqual(objects.map((value) => [valueAt(value, ['a']), valueAt(value, ['b', 'a'])]))
        expect([found(skim, 2), found(skim, 3)]).toEqual([JSON.parse(other), JSON.parse(other)])
      }),
      { numRuns: 1000 },
    )
  })

  it('takes every object for whole, and no beginning of one (property)', () => {
    const skim = new Skim(SHAPE)
    fc.assert(
      fc.property(fc.oneof(object, jsonText), (text) => {
        const line = Buffer.from(text.trim())
        expect(skim.whole(line, 0, line.length)).toBe(line[0] === 0x7b)
        const step = Math.ceil(line.length / 100)
        for (let end = 0; end < line.length; end += step) expect(skim.whole(line, 0, end)).toBe(false)
        expect(skim.whole(line, 0, Math.max(0, line.length - 1))).toBe(false)
      }),
      { numRuns: 1000 },
    )
  })

  it('walks over anything without a throw, and never looks behind the end (property)', () => {
    const skim = new Skim({ ...SHAPE, b: { each: { a: 1, c: { a: 2 } }, end: () => {} } })
    const content = fc.oneof(
      nearlyJson.map((text) => Buffer.from(text)),
      fc.uint8Array({ maxLength: 80 }).map((bytes) => Buffer.from(bytes)),
    )
    const behind = fc.constantFrom('', '"', '}', ' }', '":1}', ']}', '\\"', '1}')
    fc.assert(
      fc.property(content, behind, (bytes, more) => {
        const alone = walk(skim, bytes, bytes.length)
        expect(walk(skim, Buffer.concat([bytes, Buffer.from(more)]), bytes.length)).toEqual(alone)
        for (const { from, to } of alone.found) expect(from < 0 || (from < to && to <= bytes.length)).toBe(true)
        if (isObject(parsed(bytes.toString()))) expect(alone.whole).toBe(true)
      }),
      { numRuns: 3000 },
    )
  })

  it.each([65_534, 65_535, 65_536, 65_537, 131_072, 300_000])('finds what stands behind %i bytes, escapes at the edge or not', (length) => {
    const skim = new Skim({ id: 0, inside: { id: 1 }, last: 2 })
    for (const edge of ['', '\\"', '\\\\', '\\\\\\"', 'x\\"x\\\\'])
      for (const shift of [0, 1, 2, 3]) {
        const long = `${'x'.repeat(length - 10 - shift)}${edge}${'y'.repeat(shift)}`
        const text = `{"id":"${long}","other":["${long}","b",{"${long}":"${long}"}],"inside":{"id":"c"},"last":"d"}`
        const line = Buffer.from(text)
        expect(skim.whole(line, 0, line.length)).toBe(true)
        expect(line.toString('utf8', skim.from[0], skim.to[0])).toBe(`"${long}"`)
        expect([skim.text(1), skim.text(2)]).toEqual(['c', 'd'])
        expect(skim.whole(line, 0, line.length - 2)).toBe(false)
      }
  })

  it('forgets what stood in a field that stands twice', () => {
    const skim = new Skim({ message: { id: 0, role: 1 } })
    const line = Buffer.from('{"message":{"id":"a","role":"user"},"message":{"role":"assistant"}}')
    expect(skim.whole(line, 0, line.length)).toBe(true)
    expect([skim.text(0), skim.text(1)]).toEqual([undefined, 'assistant'])
    const gone = Buffer.from('{"message":{"id":"a"},"message":null}')
    expect(skim.whole(gone, 0, gone.length)).toBe(true)
    expect(skim.has(0)).toBe(false)
  })

  it.each(['"\\u0069d"', '"i\\u0064"', '"\\u0069\\u0064"'])('finds the field id by the name %s', (name) => {
    const skim = new Skim({ id: 0, idx: 1 })
    const line = Buffer.from(`{"other":1,${name}:"a"}`)
    expect(skim.whole(line, 0, line.length)).toBe(true)
    expect([skim.text(0), skim.has(1)]).toEqual(['a', false])
  })

  it('passes a name that is no string of JSON', () => {
    const skim = new Skim({ id: 0 })
    const line = Buffer.from('{"\\id":"a","id":"b"}')
    expect(skim.whole(line, 0, line.length)).toBe(true)
    expect(skim.text(0)).toBe('b')
  })

  it('keeps what it found before the damage', () => {
    const skim = new Skim({ id: 0, type: 1 })
    const line = Buffer.from('{"id":"a","type":"us')
    expect(skim.run(line, 0, line.length)).toBe(-1)
    expect([skim.text(0), skim.has(1)]).toEqual(['a', false])
  })
})

interface Walk {
  readonly after: number
  readonly whole: boolean
  readonly found: readonly { readonly from: number; readonly to: number }[]
}

function walk(skim: Skim, bytes: Buffer, end: number): Walk {
  const after = skim.run(bytes, 0, end)
  const found = [...skim.from].map((from, slot) => (from < 0 ? { from, to: from } : { from, to: skim.to[slot] as number }))
  return { after, whole: skim.whole(bytes, 0, end), found }
}

function found({ bytes, from, to }: Skimmed, slot: number): unknown {
  return JSON.parse(bytes.toString('utf8', from[slot], to[slot]))
}

function valueAt(value: unknown, path: readonly string[]): unknown {
  let at: unknown = value
  for (const name of path) {
    if (!isObject(at) || !Object.hasOwn(at, name)) return undefined
    at = (at as Record<string, unknown>)[name]
  }
  return at
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
