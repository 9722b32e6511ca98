/** An index that goes on from what a cursor remembers, again and again. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { LogIndex, type LogLine } from '../../../src/storage/jsonl/log-index.js'
import type { LogMemory } from '../../../src/storage/jsonl/log-memory.js'

const lineAt = (line: number): LogLine => ({ file: 0, offset: line * 100, length: 99, line, crc: line })
/** As a cursor that was kept as JSON. */
const kept = (index: LogIndex): LogMemory => JSON.parse(JSON.stringify(index.memory()))

/** A message of so many lines whose call is not answered yet. */
function caller(lines: number): LogIndex {
  const index = new LogIndex()
  const message = index.begin({ id: 'a', created: 1, open: true }, lineAt(1))
  for (let line = 2; line <= lines; line++) index.add(message, lineAt(line), 'own')
  index.call('c', message)
  return index
}

describe('what a cursor remembers', () => {
  it.each([1, 64])('is a message of %i lines, however often the index goes on', (lines) => {
    const first = caller(lines)
    const second = new LogIndex(kept(first))
    second.begin({ id: 'b', created: 2 }, lineAt(lines + 1))
    const third = new LogIndex(kept(second))
    const answered = third.answer('c')
    if (answered === undefined) throw new Error('the call is forgotten')
    third.add(answered, lineAt(lines + 2), 'answer')
    expect(third.lost).toBeUndefined()
    expect(third.takeTouched().map(({ id, lines: own }) => [id, own.map(({ line }) => line)])).toEqual([
      ['a', [...Array.from({ length: lines }, (_, at) => at + 1), lines + 2]],
    ])
  })

  it('is that a message has too many lines, however often the index goes on: then the log is read from its start', () => {
    const second = new LogIndex(kept(caller(65)))
    second.begin({ id: 'b', created: 2 }, lineAt(66))
    const third = new LogIndex(kept(second))
    const answered = third.answer('c')
    if (answered === undefined) throw new Error('the call is forgotten')
    third.add(answered, lineAt(67), 'answer')
    expect(third.lost).toBe('a message of very many lines goes on')
  })

  it('is the same after a step without a line, and what a whole index would remember after any (property)', () => {
    const step = fc.record({ kind: fc.constantFrom('begin', 'add', 'close', 'call', 'answer', 'link'), to: fc.nat(3) })
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 120 }), fc.array(fc.nat(119), { maxLength: 6 }), (steps, cuts) => {
        const whole = new LogIndex()
        let resumed = new LogIndex()
        for (const [at, { kind, to }] of steps.entries()) {
          if (cuts.includes(at)) {
            const memory = kept(resumed)
            resumed = new LogIndex(memory)
            expect(kept(resumed)).toEqual(memory)
          }
          for (const index of [whole, resumed]) take(index, kind, to, at)
        }
        if (resumed.lost === undefined) expect(kept(resumed)).toEqual(kept(whole))
      }),
    )
  })
})

function take(index: LogIndex, kind: string, to: number, at: number): void {
  const message = index.messages.at(-1 - to)
  if (kind === 'begin' || message === undefined) index.begin({ id: `m${at}`, created: at, parent: index.last?.id, open: true }, lineAt(at))
  else if (kind === 'add') index.add(message, lineAt(at), 'own')
  else if (kind === 'close') index.close(message)
  else if (kind === 'call') index.call(`c${to}`, message)
  else if (kind === 'link') index.enter(`e${at}`, { message: message.id, content: at })
  else index.answer(`c${to}`)
}
