/** Errors, options and stage results: the small rules that everything leans on. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { systemClock } from '../../src/core/clock.js'
import { groupBy } from '../../src/core/collections.js'
import { type ErrorCode, type ErrorRow, errorTable, messageOf, StorageError, systemCode } from '../../src/core/errors.js'
import {
  checkBoolean,
  checkClock,
  checkFunction,
  checkNumber,
  checkObject,
  checkSignal,
  checkText,
  checkWhole,
  checkWord,
  refuseUnknown,
  told,
  withDefaults,
} from '../../src/core/options.js'
import { fail, issuesOf, type StageReport, settle, unwrap } from '../../src/core/stage.js'
import { REPOSITORY } from '../support/real-sets.js'

const REPORT: StageReport = { stage: 'plan', durationMs: 0, files: 0, rows: 0, bytes: 0, records: 0 }

describe('errors', () => {
  it('have a code, the advice of the table, a path and a cause', () => {
    for (const { code, retryable, advice } of errorTable()) {
      const cause = new Error('why')
      const error = new StorageError(code, { reason: 'something happened', path: '/p', key: 'k' }, { cause })
      expect({ ...error, retryable: error.retryable, advice: error.advice, cause: error.cause }).toMatchObject({
        code,
        reason: 'something happened',
        path: '/p',
        key: 'k',
        retryable,
        advice,
        cause,
      })
      expect(error.message).toBe(`something happened (/p). ${advice}`)
      expect([error.name, error instanceof Error]).toEqual(['StorageError', true])
      expect(advice).toMatch(/^[A-Z].*\.$/)
      expect(code).toMatch(/^[A-Z]+(_[A-Z]+)*$/)
    }
    expect(new StorageError('NOT_FOUND', { reason: 'x' }).message).not.toContain('(undefined)')
  })

  it('stand in docs/errors.md as the table has them (node docs/generate-errors.mjs)', async () => {
    const generator = join(REPOSITORY, 'docs', 'generate-errors.mjs')
    const { errorsPage } = (await import(generator)) as { errorsPage(rows: readonly ErrorRow[]): string }
    const page = errorsPage(errorTable())
    for (const { code } of errorTable()) expect(page).toContain(`| \`${code}\` |`)
    expect(readFileSync(join(REPOSITORY, 'docs', 'errors.md'), 'utf8')).toBe(page)
  })

  it('are read off whatever was thrown', () => {
    expect([systemCode(Object.assign(new Error(), { code: 'ENOENT' })), systemCode({ code: 7 }), systemCode(null), systemCode('x')]).toEqual([
      'ENOENT',
      undefined,
      undefined,
      undefined,
    ])
    expect([messageOf(new Error('a')), messageOf('b'), messageOf(undefined)]).toEqual(['a', 'b', 'undefined'])
  })
})

describe('options', () => {
  it('are filled from the defaults, frozen, and never written back', () => {
    const given = { a: 1, b: undefined }
    const options = withDefaults({ a: 0, b: 2 }, given)
    expect(options).toEqual({ a: 1, b: 2 })
    expect(Object.isFrozen(options)).toBe(true)
    expect(given).toEqual({ a: 1, b: undefined })
  })

  it.each(['c', 'toString', 'hasOwnProperty'])('that are not there are refused: %s', (name) => {
    expect(() => refuseUnknown({ [name]: 1 }, ['a'])).toThrow(expect.objectContaining({ code: 'INVALID_OPTION' }))
  })

  it('named like what every object has are refused by withDefaults too', () => {
    expect(() => withDefaults({ a: 0 }, { toString: 1 } as object)).toThrow(expect.objectContaining({ code: 'INVALID_OPTION' }))
  })

  it('that are numbers are held to their range', () => {
    for (const value of [0, 5, 10, undefined]) expect(() => checkNumber('n', value, 0, 10)).not.toThrow()
    for (const value of [-1, 11, Number.NaN, '5', null, Number.POSITIVE_INFINITY])
      expect(() => checkNumber('n', value, 0, 10)).toThrow(expect.objectContaining({ code: 'INVALID_OPTION' }))
  })
})

describe('an option of the wrong kind', () => {
  const reasonOf = (check: () => void): string => {
    try {
      check()
    } catch (error) {
      expect(error).toBeInstanceOf(StorageError)
      expect(error).toMatchObject({ code: 'INVALID_OPTION' })
      return (error as StorageError).reason
    }
    return ''
  }

  it('is told as it was given', () => {
    expect([Number.NaN, Number.POSITIVE_INFINITY, null, undefined, 5n, 'a"b', [1], {}, () => 1, true, Symbol('x')].map(told)).toEqual([
      'NaN',
      'Infinity',
      'null',
      'undefined',
      '5',
      '"a\\"b"',
      'a list',
      'an object',
      'a function',
      'true',
      'Symbol(x)',
    ])
    expect(told('x'.repeat(5000)).length).toBeLessThan(150)
    expect(reasonOf(() => checkNumber('limit', Number.NaN, 1))).toBe('limit must be a number of at least 1, not NaN')
  })

  it('is what stands in the place of the options themselves', () => {
    expect(reasonOf(() => refuseUnknown('path', ['a']))).toBe('the options must be an object, not "path"')
    for (const given of [null, undefined, 3, 'path', ['a'], () => 1]) {
      expect(reasonOf(() => refuseUnknown(given, ['a']))).toMatch(/^the options must be an object, not /)
      expect(reasonOf(() => withDefaults({ a: 1 }, given as object))).toMatch(/^the options must be an object, not /)
      expect(reasonOf(() => checkObject('limit', given))).toMatch(/^limit must be an object, not /)
    }
  })

  it('is refused by each check, and nothing by any when it was left out', () => {
    const checks: readonly (readonly [(name: string, value: unknown) => void, readonly unknown[], readonly unknown[]])[] = [
      [checkBoolean, [true, false], ['no', 'false', 0, 1, null]],
      [checkFunction, [() => 1], [3, 'f', {}, null]],
      [checkText, ['a'], ['', 3, null, ['a']]],
      [checkSignal, [new AbortController().signal, AbortSignal.timeout(1)], [3, {}, null, new AbortController()]],
      [checkClock, [systemClock], [3, {}, null, Date]],
      [(name, value) => checkWord(name, value, ['a', 'b']), ['a', 'b'], ['c', 'A', '', ['a'], null]],
      [(name, value) => checkWhole(name, value, 1, 9), [1, 9], [0, 10, 1.5, '5', Number.NaN, null]],
      [(name, value) => checkWhole(name, value, 0), [0, 2 ** 53 - 1], [-1, Number.POSITIVE_INFINITY, 2 ** 53]],
    ]
    for (const [check, good, bad] of checks) {
      for (const value of [...good, undefined]) expect(reasonOf(() => check('this', value))).toBe('')
      for (const value of bad)
        expect(
          reasonOf(() => check('this', value)),
          told(value),
        ).toMatch(/^this (must be|is empty)/)
    }
  })
})

describe('stage results', () => {
  const issue = { code: 'CORRUPT_RECORD' as ErrorCode, reason: 'x' }

  it('are ok without issues and partial with them', () => {
    expect(settle(1, [], REPORT)).toEqual({ status: 'ok', value: 1, report: REPORT })
    expect(settle(1, [issue, issue], REPORT)).toEqual({ status: 'partial', value: 1, issues: [issue, issue], report: REPORT })
    expect([issuesOf(settle(1, [], REPORT)), issuesOf(settle(1, [issue], REPORT))]).toEqual([[], [issue]])
  })

  it('fail with a StorageError; anything else is a bug and goes on up', () => {
    const error = new StorageError('STORE_BUSY', { reason: 'x' })
    expect(fail(error, REPORT)).toEqual({ status: 'failed', error, report: REPORT })
    expect(() => fail(new TypeError('bug'), REPORT)).toThrow(TypeError)
    expect(() => unwrap(fail(error, REPORT))).toThrow(error)
    expect([unwrap(settle(7, [issue], REPORT)), issuesOf(fail(error, REPORT))]).toEqual([7, []])
  })
})

describe('groups and time', () => {
  it('keeps groups in the order of their first item', () => {
    expect([...groupBy([3, 1, 4, 1, 5, 9], (n) => n % 2)]).toEqual([
      [1, [3, 1, 1, 5, 9]],
      [0, [4]],
    ])
  })

  it('sleeps until it is woken or aborted', async () => {
    await expect(systemClock.sleep(60_000, AbortSignal.abort(new Error('up')))).rejects.toThrow('up')
    const controller = new AbortController()
    const asleep = systemClock.sleep(60_000, controller.signal)
    controller.abort(new Error('later'))
    await expect(asleep).rejects.toThrow('later')
    await expect(systemClock.sleep(0)).resolves.toBeUndefined()
    const [early, late] = [systemClock.monotonic(), systemClock.monotonic()]
    expect(late).toBeGreaterThanOrEqual(early)
  })
})
