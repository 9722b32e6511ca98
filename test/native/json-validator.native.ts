/** simdjson, where it is installed and was built: the verdict of JSON.parse on everything that parsers disagree on. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { jsonValidator } from '../../src/storage/json-validator.js'
import { nearlyJson, parses } from '../support/json-texts.js'

const { name, isValid } = jsonValidator()
const loads = name === 'simdjson'

describe('simdjson', () => {
  const test = it.skipIf(!loads)
  const note = loads ? '' : ' (skipped: simdjson does not load here)'

  test(`says what JSON.parse says${note} (property)`, () => {
    fc.assert(
      fc.property(nearlyJson, (text) => {
        expect(isValid(text)).toBe(parses(text))
      }),
      { numRuns: 50_000 },
    )
  }, 120_000)

  test.each([
    ['1e999', true],
    ['18446744073709551616', true],
    ['"\\ud83d"', true],
    ['"\ud83d"', true],
    ['{"a":1,"a":2}', true],
    [`${'['.repeat(100_000)}${']'.repeat(100_000)}`, true],
    ['\ufeff{}', false],
    ['', false],
    [' ', false],
    ['{}\0', false],
    ['"\0"', false],
    ['{} {}', false],
    ['"\\u12"', false],
    ['[1,]', false],
    ['NaN', false],
  ])(`takes or refuses %j as JSON.parse does${note}`, (text, valid) => {
    expect([isValid(text), parses(text)]).toEqual([valid, valid])
  })
})
