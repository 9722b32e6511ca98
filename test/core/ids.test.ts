/** Ids: what may serve as one, and the time that is in those that OpenCode generates. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { byIdTime, compareText, idTime, isSafeId, parseMessageId, parsePartId, parseProjectId, parseSessionId } from '../../src/core/ids.js'
import { generatedId, WRAP } from '../support/corpus.js'

const HALF_LAP = 2 ** 35

describe('parsing an id', () => {
  it.each([
    'ses_caprockPlan0001',
    'test-session-123',
    '0b6c9d3e-6f5a-4b56-9b1e-0f3a4d3e2c1b',
    'сессия',
    '会话',
    '\u{1F600}',
    'a b',
    "it's",
    'a.b',
    '.hidden',
    'x'.repeat(1000),
    'é',
    '\u0080',
  ])('takes %j', (text) => {
    for (const parse of [parseSessionId, parseMessageId, parsePartId, parseProjectId]) expect(parse(text)).toBe(text)
  })

  it.each(['', '.', '..', '../x', 'a/b', '/', 'a\\b', 'a..b', 'a\0b', '\0', 'a\u0001b', 'a\nb', '\u007f', '\ud83d', 'x\udc00', '\ude00\ud83d'])(
    'refuses %j',
    (text) => {
      for (const parse of [parseSessionId, parseMessageId, parsePartId, parseProjectId])
        expect(() => parse(text)).toThrow(expect.objectContaining({ code: 'INVALID_ID' }))
    },
  )

  it.each([undefined, null, 7, {}, ['a']])('takes %j, which is no text, for no id', (value) => {
    expect(isSafeId(value)).toBe(false)
    expect(() => parseSessionId(value as string)).toThrow(expect.objectContaining({ code: 'INVALID_ID' }))
  })

  it('gives only what can be a file name and survives UTF-8 (property)', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        if (!isSafeId(text)) return
        expect(Buffer.from(text).toString()).toBe(text)
        expect(text).not.toMatch(/[/\\\0]/)
        expect(['', '.', '..']).not.toContain(text)
      }),
    )
  })
})

describe('the time in an id', () => {
  it('is that of the two ids whose rows are known', () => {
    expect(idTime('msg_1f847db91001AAAAAAAAAAAAAA', 1795166821265)).toBe(1795166821265)
    expect(idTime('ses_e07b824cdffeAAAAAAAAAAAAAA', 1795166821170)).toBe(1795166821170)
  })

  it('wraps at 2026-08-14T11:19:55.136Z', () => {
    expect(WRAP % 2 ** 36).toBe(0)
    expect(generatedId('msg', WRAP, 0)).toMatch(/^msg_000000000000/)
    expect(generatedId('msg', WRAP - 1, 4095)).toMatch(/^msg_ffffffffffff/)
    for (const time of [WRAP - 1, WRAP, WRAP + 1]) {
      for (const prefix of ['msg', 'prt', 'ses']) expect(idTime(generatedId(prefix, time), WRAP)).toBe(time)
    }
  })

  it('is exact within half a lap of the reference, before and after it (property)', () => {
    const time = fc.integer({ min: Date.parse('2020-01-01'), max: Date.parse('2060-01-01') })
    const prefix = fc.constantFrom('ses', 'msg', 'prt', 'evt', 'per', 'tool')
    fc.assert(
      fc.property(
        time,
        fc.integer({ min: 1, max: 4095 }),
        prefix,
        fc.integer({ min: 1 - HALF_LAP, max: HALF_LAP - 1 }),
        (ms, counter, kind, away) => {
          expect(idTime(generatedId(kind, ms, counter), ms + away)).toBe(ms)
        },
      ),
      { numRuns: 2000 },
    )
  })

  it('is undefined in ids that nobody generated, and kept in ids derived from one', () => {
    const hex = '1f847db91001'
    for (const id of [
      'ses_caprockPlan0001',
      'test-session-123',
      `msg_${hex}`,
      `msg_${hex}short`,
      `MSG_${hex}AAAAAAAAAAAAAA`,
      `msg_${hex.toUpperCase()}AAAAAAAAAAAAAA`,
      `msg_${hex}AAAAAAAAAAAAAAB`,
      `msg${hex}AAAAAAAAAAAAAA`,
      '',
    ]) {
      expect(idTime(id, 1795166821265)).toBeUndefined()
    }
    expect(idTime(`msg_${hex}AAAAAAAAAAAAAA_4`, 1795166821265)).toBe(1795166821265)
  })
})

describe('ordering ids', () => {
  it('is by time across the wrap, by text in one millisecond and for ids that nobody generated', () => {
    const ids = [
      generatedId('prt', WRAP - 2),
      generatedId('prt', WRAP - 1, 1),
      generatedId('prt', WRAP - 1, 2),
      generatedId('prt', WRAP),
      generatedId('prt', WRAP + 1),
    ]
    expect(byIdTime([...ids].reverse(), (id) => id, WRAP)).toEqual(ids)
    expect(byIdTime(['b', 'f1', '0a', 'a'], (id) => id, WRAP)).toEqual(['0a', 'a', 'b', 'f1'])
  })

  it('does not depend on the order given (property)', () => {
    const id = fc.oneof(
      fc.integer({ min: -50, max: 50 }).map((ms) => generatedId('prt', WRAP + ms)),
      fc.constantFrom('f', '0', 'x-1', 'prt_hand'),
    )
    fc.assert(
      fc.property(fc.array(id), (ids) => {
        const sorted = byIdTime([...ids], (one) => one, WRAP)
        expect(byIdTime([...ids].reverse(), (one) => one, WRAP)).toEqual(sorted)
        const times = sorted.flatMap((one) => idTime(one, WRAP) ?? [])
        expect(times).toEqual([...times].sort((a, b) => a - b))
      }),
    )
  })

  it('compares texts as < does', () => {
    fc.assert(fc.property(fc.string(), fc.string(), (a, b) => compareText(a, b) === (a < b ? -1 : a > b ? 1 : 0)))
  })
})
