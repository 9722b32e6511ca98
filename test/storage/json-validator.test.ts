/** Validation without building has the verdict of JSON.parse, whichever validator loads here. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseSessionId } from '../../src/core/ids.js'
import { sessionKey } from '../../src/core/keys.js'
import { jsonValidator, plainJsonValidator } from '../../src/storage/json-validator.js'
import { checkSpan, OwnedSpan, parseSpan } from '../../src/storage/span.js'
import { nearlyJson, parses } from '../support/json-texts.js'

const validators = [...new Set([jsonValidator(), plainJsonValidator()])]

describe.each(validators.map((validator) => [validator.name, validator] as const))('validation by %s', (_, validator) => {
  it('says what JSON.parse says (property)', () => {
    fc.assert(
      fc.property(nearlyJson, (text) => {
        expect(validator.isValid(text)).toBe(parses(text))
      }),
      { numRuns: 3000 },
    )
  })

  it('refuses and names what parseSpan refuses and names (property)', () => {
    const content = fc.oneof(
      nearlyJson.map((text) => Buffer.from(text)),
      fc.uint8Array().map((array) => Buffer.from(array)),
    )
    fc.assert(
      fc.property(content, (bytes) => {
        const span = new OwnedSpan(sessionKey('opencode', parseSessionId('s')), { path: '/store' }, undefined, bytes)
        expect(outcome(() => checkSpan(span, validator))).toEqual(outcome(() => parseSpan(span)))
      }),
      { numRuns: 1000 },
    )
  })

  it('leaves the global JSON as it was', () => {
    expect(Object.getOwnPropertyNames(JSON)).not.toContain('isValid')
  })
})

function outcome(read: () => unknown): unknown {
  try {
    read()
    return 'whole'
  } catch (error) {
    return error
  }
}
