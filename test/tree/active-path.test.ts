/** The active branch: from the message that was appended last up to a root, whatever the parents say. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseMessageId, parseSessionId } from '../../src/core/ids.js'
import { messageKey, sessionKey } from '../../src/core/keys.js'
import type { LogTrait } from '../../src/storage/store.js'
import { activePath, type PlacedMessages } from '../../src/tree/active-path.js'

const SESSION = sessionKey('pi', parseSessionId('s'))

interface Placed {
  readonly id: string
  readonly parent?: string
  readonly trait?: LogTrait
  readonly leaf?: string | null
}

function placed(messages: readonly Placed[]): PlacedMessages {
  return {
    messages: messages.map(({ id, parent, trait, leaf }) => ({
      key: messageKey(SESSION, parseMessageId(id)),
      log: {
        parent: parent === undefined ? undefined : parseMessageId(parent),
        trait,
        open: false,
        ...(leaf !== undefined && { leaf: leaf === null ? null : parseMessageId(leaf) }),
      },
    })),
  }
}

describe('the active path', () => {
  it('leads from the root to the message that was appended last', () => {
    const messages = [{ id: 'a' }, { id: 'b', parent: 'a' }, { id: 'c', parent: 'b' }, { id: 'd', parent: 'a' }, { id: 'e', parent: 'd' }]
    expect(activePath(placed(messages))).toEqual(['a', 'd', 'e'])
  })

  it('passes by what subagents wrote, unless there is nothing else', () => {
    const messages = [{ id: 'a' }, { id: 'b', parent: 'a' }, { id: 'x', trait: 'sidechain' }, { id: 'y', parent: 'x', trait: 'sidechain' }] as const
    expect(activePath(placed(messages))).toEqual(['a', 'b'])
    expect(activePath(placed(messages.slice(2)))).toEqual(['x', 'y'])
  })

  it('passes by damaged lines, which have no parent that anybody knows', () => {
    const messages = [
      { id: 'a' },
      { id: 'b', parent: 'a' },
      { id: '@10', trait: 'damaged' },
      { id: 'c', parent: 'b' },
      { id: '@30', trait: 'damaged' },
    ] as const
    expect(activePath(placed(messages))).toEqual(['a', 'b', 'c'])
  })

  it('goes to where the log went after its last message, and nowhere before all of them', () => {
    const messages = (leaf: string | null): readonly Placed[] => [
      { id: 'a', leaf: 'c' },
      { id: 'b', parent: 'a' },
      { id: 'c', parent: 'b', leaf },
      { id: 'x', trait: 'sidechain', leaf: 'x' },
      { id: '@9', trait: 'damaged' },
    ]
    expect(activePath(placed(messages('a')))).toEqual(['a'])
    expect(activePath(placed(messages('b')))).toEqual(['a', 'b'])
    expect(activePath(placed(messages(null)))).toEqual([])
    expect(activePath(placed(messages('not in the window')))).toEqual([])
  })

  it('ends at a parent that is not there, and at one that was passed', () => {
    expect(activePath(placed([{ id: 'a' }, { id: 'b', parent: 'gone' }, { id: 'c', parent: 'b' }]))).toEqual(['b', 'c'])
    expect(
      activePath(
        placed([
          { id: 'a', parent: 'b' },
          { id: 'b', parent: 'a' },
        ]),
      ),
    ).toEqual(['a', 'b'])
    expect(activePath(placed([{ id: 'a', parent: 'a' }]))).toEqual(['a'])
    expect(activePath(placed([]))).toEqual([])
  })

  it('holds all messages where they form no tree', () => {
    const messages = ['a', 'b'].map((id) => ({ key: messageKey(SESSION, parseMessageId(id)) }))
    expect(activePath({ messages })).toEqual(['a', 'b'])
  })

  it('of any parents is a chain without repetition that ends with the leaf', () => {
    const id = fc.integer({ min: 0, max: 12 }).map((number) => `m${number}`)
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.record({ id, parent: fc.option(id, { nil: undefined }) }), { minLength: 1, selector: (one) => one.id }),
        (made) => {
          const messages = made.map(({ id, parent }) => ({ id, ...(parent !== undefined && { parent }) }))
          const path = activePath(placed(messages))
          expect(path.at(-1)).toBe(messages.at(-1)?.id)
          expect(new Set(path).size).toBe(path.length)
          for (const [at, name] of path.entries()) if (at > 0) expect(messages.find((one) => one.id === name)?.parent).toBe(path[at - 1])
        },
      ),
    )
  })
})
