/** The dates, times and ages that `--since` and `--until` take. */
import { describe, expect, it } from 'vitest'
import { sinceOption, untilOption } from '../../src/cli/command.js'

const DAY = 86_400_000

describe('a date', () => {
  it('is its first moment, or its last', () => {
    expect(sinceOption('2026-11-20')).toBe(new Date(2026, 10, 20).getTime())
    expect(untilOption('2026-11-20')).toBe(new Date(2026, 10, 21).getTime() - 1)
    expect(untilOption('2028-02-29')).toBe(new Date(2028, 2, 1).getTime() - 1)
    expect(untilOption('2026-12-31')).toBe(new Date(2027, 0, 1).getTime() - 1)
  })

  it('with a time is that moment', () => {
    for (const option of [sinceOption, untilOption]) expect(option('2026-11-20T10:30:00Z')).toBe(Date.UTC(2026, 10, 20, 10, 30))
  })

  it.each([
    '2026-02-31',
    '2026-02-29',
    '2026-13-01',
    '2026-00-10',
    '2026-04-31T10:00:00Z',
    '2026-11-00',
    '1950-01-01',
    '2026-11-20Tx',
    '2026-1-1',
    'x',
    '',
  ])('that no calendar has is none: %j', (text) => {
    for (const option of [sinceOption, untilOption]) expect(() => option(text)).toThrow(/date/)
  })
})

it('an age is so long ago', () => {
  for (const [text, ms] of [
    ['36h', 1.5 * DAY],
    ['7d', 7 * DAY],
    ['2w', 14 * DAY],
    ['0m', 0],
  ] as const) {
    const before = Date.now()
    const time = sinceOption(text) + ms
    expect(time).toBeGreaterThanOrEqual(before)
    expect(time).toBeLessThanOrEqual(Date.now())
  }
})
