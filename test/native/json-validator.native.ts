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
    ['a number beyond all numbers', '1e999', true],
    ['an integer of more than 64 bits', '18446744073709551616', true],
    ['half a pair as an escape', '"\\ud83d"', true],
    ['half a pair as it is', '"\ud83d"', true],
    ['one name twice', '{"a":1,"a":2}', true],
    ['100,000 lists inside each other', `${'['.repeat(100_000)}${']'.repeat(100_000)}`, true],
    ['a byte order mark', '\ufeff{}', false],
    ['nothing', '', false],
    ['a blank', ' ', false],
    ['a NUL behind the document', '{}\0', false],
    ['a NUL in a text', '"\0"', false],
    ['two documents', '{} {}', false],
    ['half an escape', '"\\u12"', false],
    ['a comma too many', '[1,]', false],
    ['a word of JavaScript', 'NaN', false],
  ])(`takes or refuses %s as JSON.parse does${note}`, (_, text, valid) => {
    expect([isValid(text), parses(text)]).toEqual([valid, valid])
  })
})
