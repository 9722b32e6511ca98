/** What is written for people, piece by piece. */
import { describe, expect, it } from 'vitest'
import { ago } from '../../src/cli/output.js'

describe('ages', () => {
  const NOW = new Date(2026, 10, 30, 12).getTime()
  const DAY = 86_400_000

  it.each([
    [-5000, 'just now'],
    [500, 'just now'],
    [12_000, '12 s ago'],
    [3 * 3_600_000 + 60_000, '3 h 1 min ago'],
    [29 * DAY, '29 d ago'],
    [31 * DAY, '2026-10-30'],
    [729 * DAY, '2024-12-01'],
  ])('of %i ms: %s', (ms, text) => {
    expect(ago(NOW - ms, NOW)).toBe(text)
  })
})
