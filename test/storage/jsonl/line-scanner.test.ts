/** Lines are those of a naive split, at the places where they stand, however the bytes of a log come in. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { LineScanner, LOG_START, type LogPlace, type Rest } from '../../../src/storage/jsonl/line-scanner.js'

interface Told {
  readonly what: string
  readonly offset: number
  readonly line: number
  /** Its content, or the number of damaged bytes. */
  readonly of: string | number
}

interface Scanned {
  readonly told: Told[]
  readonly place: LogPlace
  readonly read: number
  readonly rest: { offset: number; length: number; line: number; text: string; contentOffset: number } | undefined
}

interface ScanSettings {
  readonly from?: LogPlace
  readonly maxLine?: number
  readonly pieces?: readonly number[]
  readonly buffer?: number
}

function scan(bytes: Buffer, { from = LOG_START, maxLine, pieces = [bytes.length], buffer = 16 }: ScanSettings = {}): Scanned {
  const told: Told[] = []
  const scanner = new LineScanner(
    {
      visit: (held, start, end, offset, line, until) => {
        told.push({ what: 'line', offset, line, of: held.toString('latin1', start, end) })
        expect(until).toBeGreaterThan(end)
        expect(held.subarray(start, until).equals(bytes.subarray(offset, offset + until - start))).toBe(true)
      },
      damaged: (offset, length, line, reason) => told.push({ what: reason, offset, line, of: length }),
    },
    { from, maxLine, buffer: Buffer.alloc(buffer, '\n') },
  )
  let at = from.offset
  for (let piece = 0; at < bytes.length; piece++) {
    const room = scanner.room()
    expect(room.length).toBeGreaterThan(0)
    const count = Math.min(room.length, Math.max(1, pieces[piece % pieces.length] ?? 1), bytes.length - at)
    bytes.copy(room, 0, at, at + count)
    scanner.filled(count)
    at += count
  }
  return { told, place: scanner.place, read: scanner.read, rest: plain(scanner.rest()) }
}

function plain(rest: Rest | undefined): Scanned['rest'] {
  if (rest === undefined) return undefined
  const { offset, length, line, bytes, start, end, contentOffset } = rest
  return { offset, length, line, text: bytes.toString('latin1', start, end), contentOffset }
}

/** The same, written down plainly: the whole text at hand, one line after the other. */
function split(bytes: Buffer, maxLine = Number.POSITIVE_INFINITY): Scanned {
  const text = bytes.toString('latin1')
  const told: Told[] = []
  const pieces = text.split('\n')
  const last = pieces.pop() as string
  let offset = 0
  for (const [index, piece] of pieces.entries()) {
    const { nuls, mark, content, length } = parts(piece, offset)
    if (nuls > 0) told.push({ what: 'NUL-filled', offset, line: index + 1, of: nuls })
    if (length > maxLine) told.push({ what: 'too long', offset: offset + nuls, line: index + 1, of: length })
    else if (/[^ \t\r]/.test(content)) told.push({ what: 'line', offset: offset + nuls + mark, line: index + 1, of: content })
    offset += piece.length + 1
  }
  const { nuls, mark, content, length } = parts(last, offset)
  const held = length <= maxLine && /[^ \t\r]/.test(content)
  const rest = { offset, length: last.length, line: pieces.length + 1, text: held ? content : '', contentOffset: offset + nuls + mark }
  return { told, place: { offset, line: pieces.length }, read: bytes.length, rest: last === '' ? undefined : rest }
}

function parts(piece: string, offset: number): { nuls: number; mark: number; content: string; length: number } {
  const line = piece.endsWith('\r') ? piece.slice(0, -1) : piece
  const nuls = /^\0*/.exec(line)?.[0].length ?? 0
  const mark = offset === 0 && line.startsWith('\xef\xbb\xbf') ? 3 : 0
  return { nuls, mark, content: line.slice(nuls + mark), length: line.length - nuls }
}

const log = fc
  .array(fc.constantFrom('\n', '\n', '\r\n', '\r', ' ', '\t', '\0', '\0\0\0', 'a', '{', '{"b":1}', 'é', '\xef\xbb\xbf', 'x'.repeat(20)), {
    maxLength: 30,
  })
  .map((pieces) => Buffer.from(pieces.join(''), 'latin1'))
const chunking = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 5 })

describe('the line scanner', () => {
  it('cuts lines as a naive split does, whatever pieces the bytes come in (property)', () => {
    fc.assert(
      fc.property(log, chunking, fc.integer({ min: 2, max: 64 }), (bytes, pieces, buffer) => {
        expect(scan(bytes, { pieces, buffer })).toEqual(split(bytes))
      }),
      { numRuns: 3000 },
    )
  })

  it('skips a line that is too long and tells it once (property)', () => {
    fc.assert(
      fc.property(log, chunking, fc.integer({ min: 2, max: 64 }), fc.integer({ min: 1, max: 30 }), (bytes, pieces, buffer, maxLine) => {
        const { rest, ...scanned } = scan(bytes, { pieces, buffer, maxLine })
        const { rest: restOfSplit, ...expected } = split(bytes, maxLine)
        expect(scanned).toEqual(expected)
        // Where the content of a rest begins is of use only with the content.
        expect({ ...rest, contentOffset: 0 }).toEqual({ ...restOfSplit, contentOffset: 0 })
      }),
      { numRuns: 3000 },
    )
  })

  it('goes on where it stopped, at any point (property)', () => {
    fc.assert(
      fc.property(log, chunking, fc.nat(), fc.integer({ min: 1, max: 30 }), (bytes, pieces, cut, maxLine) => {
        const head = scan(bytes.subarray(0, cut % (bytes.length + 1)), { pieces, maxLine })
        const tail = scan(bytes, { from: head.place, pieces, maxLine })
        const { told, ...end } = scan(bytes, { pieces, maxLine })
        expect([...head.told, ...tail.told]).toEqual(told)
        expect({ place: tail.place, read: tail.read, rest: tail.rest }).toEqual(end)
      }),
      { numRuns: 2000 },
    )
  })

  it('counts every byte: lines, their ends and what is damaged are the text', () => {
    const bytes = Buffer.from('\xef\xbb\xbf{"a":1}\r\n\n  \r\n\0\0{"b":2}\n\0\0\0\n{"c":3}', 'latin1')
    expect(scan(bytes)).toEqual({
      told: [
        { what: 'line', offset: 3, line: 1, of: '{"a":1}' },
        { what: 'NUL-filled', offset: 17, line: 4, of: 2 },
        { what: 'line', offset: 19, line: 4, of: '{"b":2}' },
        { what: 'NUL-filled', offset: 27, line: 5, of: 3 },
      ],
      place: { offset: 31, line: 5 },
      read: 38,
      rest: { offset: 31, length: 7, line: 6, text: '{"c":3}', contentOffset: 31 },
    })
  })

  it('strips one CR only, and no byte order mark behind the start', () => {
    const bytes = Buffer.from('a\r\r\n\xef\xbb\xbfb\n', 'latin1')
    expect(scan(bytes).told.map(({ of }) => of)).toEqual(['a\r', '\xef\xbb\xbfb'])
  })

  it('gives a rest of NULs, which may still be written, no content and no name', () => {
    const { told, rest } = scan(Buffer.from('{}\n\0\0\0\0'))
    expect(told).toHaveLength(1)
    expect(rest).toEqual({ offset: 3, length: 4, line: 2, text: '', contentOffset: 7 })
  })

  it('holds neither a line that is too long nor a run of NULs', () => {
    const rooms = new Set<number>()
    const told: Told[] = []
    const scanner = new LineScanner(
      {
        visit: (bytes, start, end, offset, line) => told.push({ what: 'line', offset, line, of: bytes.toString('latin1', start, end) }),
        damaged: (offset, length, line, reason) => told.push({ what: reason, offset, line, of: length }),
      },
      { maxLine: 10_000, buffer: Buffer.alloc(1024) },
    )
    const feed = (byte: string, count: number): void => {
      for (let left = count; left > 0; ) {
        const room = scanner.room()
        rooms.add(room.buffer.byteLength)
        const taken = Math.min(left, room.length)
        room.fill(byte, 0, taken)
        scanner.filled(taken)
        left -= taken
      }
    }
    feed('x', 1_000_000)
    feed('\n', 1)
    feed('\0', 1_000_000)
    feed('y', 10_000)
    feed('\r', 1)
    feed('\n', 1)
    expect(told).toEqual([
      { what: 'too long', offset: 0, line: 1, of: 1_000_000 },
      { what: 'NUL-filled', offset: 1_000_001, line: 2, of: 1_000_000 },
      { what: 'line', offset: 2_000_001, line: 2, of: 'y'.repeat(10_000) },
    ])
    expect(scanner.place).toEqual({ offset: 2_010_003, line: 2 })
    expect(Math.max(...rooms)).toBeLessThan(20_000)
  })
})
