/** Keys and their one encoding. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { compareText, isSafeId, type MessageId, type PartId, type SessionId } from '../../src/core/ids.js'
import { AGENTS, childRange, decodeKey, type EntityKey, encodeKey, messageKey, partKey, sessionKey, sessionOf } from '../../src/core/keys.js'

const id = fc.oneof(fc.string({ unit: 'binary', minLength: 1 }), fc.constantFrom('a', 'a ', 'ab', 'a\u0080', 'é', '!', '\u{1F600}')).filter(isSafeId)
const key: fc.Arbitrary<EntityKey> = fc.tuple(fc.constantFrom(...AGENTS), id, fc.option(id), fc.option(id)).map(([agent, session, message, part]) => {
  const parent = sessionKey(agent, session as SessionId)
  if (message === null) return parent
  const owner = messageKey(parent, message as MessageId)
  return part === null ? owner : partKey(owner, part as PartId)
})

/** The path of a key as a list: what its order is defined by. */
function pathOf(one: EntityKey): string[] {
  return [one.agent, one.session, ...(one.kind === 'session' ? [] : [one.message]), ...(one.kind === 'part' ? [one.part] : [])]
}

function comparePaths(a: readonly string[], b: readonly string[]): number {
  for (const [at, name] of a.entries()) {
    const other = b[at]
    if (other === undefined) return 1
    if (name !== other) return compareText(name, other)
  }
  return a.length - b.length
}

describe('the encoding of keys', () => {
  it('gives every key back (property)', () => {
    fc.assert(
      fc.property(key, (one) => void expect(decodeKey(encodeKey(one))).toEqual(one)),
      { numRuns: 1000 },
    )
  })

  it('sorts as paths do, and so never collides (property)', () => {
    fc.assert(
      fc.property(key, key, (a, b) => compareText(encodeKey(a), encodeKey(b)) === Math.sign(comparePaths(pathOf(a), pathOf(b)))),
      { numRuns: 3000 },
    )
  })

  it('sorts as its UTF-8 bytes do where a store compares bytes, as long as ids stay in the basic plane (property)', () => {
    const basic = key.filter((one) => !/[\u{10000}-\u{10ffff}]/u.test(encodeKey(one)))
    fc.assert(
      fc.property(
        basic,
        basic,
        (a, b) => Buffer.compare(Buffer.from(encodeKey(a)), Buffer.from(encodeKey(b))) === compareText(encodeKey(a), encodeKey(b)),
      ),
    )
  })

  it('puts the descendants of a key, and nothing else, into one range (property)', () => {
    fc.assert(
      fc.property(key, key, (parent, other) => {
        if (parent.kind === 'part') return
        const { start, end } = childRange(parent)
        const text = encodeKey(other)
        const path = pathOf(parent)
        const isBelow = pathOf(other).length > path.length && path.every((name, at) => pathOf(other)[at] === name)
        expect(text >= start && text < end).toBe(isBelow)
      }),
      { numRuns: 2000 },
    )
    const parent = sessionKey('pi', 's' as SessionId)
    const { start, end } = childRange(parent)
    for (const child of [messageKey(parent, '!' as MessageId), messageKey(parent, '\u{10ffff}' as MessageId)])
      expect(encodeKey(child) >= start && encodeKey(child) < end).toBe(true)
    for (const other of [parent, messageKey(sessionKey('pi', 's ' as SessionId), 'm' as MessageId)])
      expect(encodeKey(other) >= start && encodeKey(other) < end).toBe(false)
  })

  it.each(['', 'opencode', 'nobody\u0001ses_1', 'opencode\u0001s\u0001m\u0001p\u0001x', 'constructor\u0001s'])('refuses %j', (text) => {
    expect(() => decodeKey(text)).toThrow(expect.objectContaining({ code: 'INVALID_KEY' }))
  })

  it.each(['opencode\u0001', 'opencode\u0001s\u0001', 'opencode\u0001..', 'opencode\u0001s\u0001a/b', 'opencode\u0001s\u0001m\u0001'])(
    'refuses the id in %j',
    (text) => {
      expect(() => decodeKey(text)).toThrow(expect.objectContaining({ code: 'INVALID_ID' }))
    },
  )

  it('knows the session of every key', () => {
    const parent = sessionKey('opencode', 's' as SessionId)
    const owner = messageKey(parent, 'm' as MessageId)
    for (const one of [parent, owner, partKey(owner, 'p' as PartId)]) expect(sessionOf(one)).toEqual(parent)
  })
})
