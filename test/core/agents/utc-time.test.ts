import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { utcTime } from '../../../src/core/agents/utc-time.js'

const moment = fc.date({ min: new Date(0), max: new Date('9999-12-31T23:59:59.999Z'), noInvalidDate: true })
const number = (from: number, to: number, width: number): fc.Arbitrary<string> =>
  fc.integer({ min: from, max: to }).map((value) => String(value).padStart(width, '0'))
/** In and a little out of its ranges. */
const written = fc
  .tuple(number(1960, 2040, 4), number(0, 13, 2), number(0, 32, 2), number(0, 25, 2), number(0, 61, 2), number(0, 61, 2), number(0, 999, 3))
  .map(([year, month, day, hour, minute, second, rest]) => `${year}-${month}-${day}T${hour}:${minute}:${second}.${rest}Z`)

describe('the time of a line', () => {
  it('is read without Date.parse where it is written as nearly all are (property)', () => {
    fc.assert(
      fc.property(moment, (time) => {
        expect(utcTime(time.toISOString())).toBe(time.getTime())
      }),
    )
  })

  it('is what Date.parse says, or is left to it (property)', () => {
    const spoilt = fc
      .tuple(written, fc.nat(23), fc.constantFrom(...'0129-T:.Zz +é'))
      .map(([text, at, mark]) => text.slice(0, at) + mark + text.slice(at + 1))
    fc.assert(
      fc.property(fc.oneof(written, spoilt), (text) => {
        const time = utcTime(text)
        if (time !== undefined) expect(time).toBe(Date.parse(text))
      }),
      { numRuns: 3000 },
    )
  })

  it('of another form is left to Date.parse', () => {
    const others = ['', '2026-01-20T15:03:49Z', '2026-01-20T15:03:49.065+02:00', '1969-12-31T23:59:59.999Z', '2026-01-20T24:00:00.000Z']
    expect(others.map(utcTime)).toEqual(others.map(() => undefined))
  })
})
