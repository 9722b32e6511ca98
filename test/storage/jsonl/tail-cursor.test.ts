/** A log is read on from a cursor only when all that it stands behind is as it was; else it is said why not. */
import {
  appendFileSync,
  closeSync,
  copyFileSync,
  openSync,
  readFileSync,
  renameSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import fc from 'fast-check'
import { afterAll, beforeEach, describe, expect, it } from 'vitest'
import type { LogFile } from '../../../src/storage/jsonl/log-adapter.js'
import { scanLog } from '../../../src/storage/jsonl/log-bytes.js'
import {
  ANCHOR,
  anchorOf,
  type CursorVerdict,
  checkCursor,
  compareCursor,
  readAnchor,
  type TailCursor,
} from '../../../src/storage/jsonl/tail-cursor.js'
import type { StoreWork } from '../../../src/storage/store.js'
import { tempFolder } from '../../support/temp.js'

const folder = tempFolder()
afterAll(() => folder[Symbol.dispose]())

const path = join(folder.path, 'log.jsonl')
const WRITTEN = new Date(1_700_000_000_000)
let work: StoreWork

beforeEach(() => {
  writeFileSync(path, '{"a":1}\n{"b":2}\n{"torn":')
  utimesSync(path, WRITTEN, WRITTEN)
  work = { files: 0, rows: 0, bytes: 0, stats: 0 }
})

describe('a tail cursor', () => {
  it('stands behind the last line that has an end, and is plain data', async () => {
    const cursor = await cursorOf(path)
    expect(cursor).toMatchObject({ size: 24, offset: 16, line: 2, anchorLength: 16 })
    expect(JSON.parse(JSON.stringify(cursor))).toEqual(cursor)
  })

  it('says that nobody wrote, without opening the file', async () => {
    const cursor = await cursorOf(path)
    expect(verdict(cursor)).toBe('unchanged')
    expect(work).toEqual({ files: 0, rows: 0, bytes: 0, stats: 1 })
  })

  it('says that the log grew, whether its torn line was finished or a line was added', async () => {
    const cursor = await cursorOf(path)
    appendFileSync(path, '3}\n')
    expect(verdict(cursor)).toBe('grown')
    expect(work).toEqual({ files: 1, rows: 0, bytes: 16, stats: 1 })
    appendFileSync(path, '{"c":4}\n')
    expect(verdict(cursor)).toBe('grown')
  })

  it.each<readonly [string, () => void]>([
    ['the file was replaced', () => replace('{"a":1}\n{"b":2}\n{"torn":3}\n')],
    ['the file was truncated', () => truncateSync(path, 20)],
    ['the file was truncated', () => writeFileSync(path, '')],
    ['the file was written in place', () => touched(() => patch('{"a":9}', 0))],
    ['the file was written in place', () => setBack(() => patch('{"a":9}', 0))],
    ['the bytes before the cursor changed', () => touched(() => [patch('{"a":9}', 0), appendFileSync(path, '3}\n')])],
    ['the bytes before the cursor changed', () => touched(() => [patch('9}\n', 13), appendFileSync(path, '3}\n')])],
  ])('says that %s', async (reread, act) => {
    const cursor = await cursorOf(path)
    act()
    expect(verdict(cursor)).toEqual({ reread })
  })

  it('says that a file that is longer than the anchor may have been written in place', async () => {
    writeFileSync(path, '{"a":1}\n'.repeat(ANCHOR / 8 + 1))
    utimesSync(path, WRITTEN, WRITTEN)
    const cursor = await cursorOf(path)
    setBack(() => undefined)
    expect(verdict(cursor)).toEqual({ reread: 'the file was touched, and may have been written in place' })
    setBack(() => appendFileSync(path, '3}\n'))
    expect(verdict(cursor)).toBe('grown')
  })

  it('has the sum of all bytes before it, also after growth, or none', async () => {
    const line = `{"a":"${'x'.repeat(99)}"}\n`
    const texts = ['', '{', '\n\n', line.repeat(30_000), `${line}{"torn`, `${line}\0\0\0${line}`, `\ufeff${line}`, `{"a":"${'y'.repeat(2 ** 21)}"}\n`]
    for (const [at, one] of texts.entries()) {
      for (const two of texts) {
        writeFileSync(path, one)
        const read = async (after?: TailCursor) =>
          (await scanLog({ path, form: 'lines', packed: false }, IDLE, { work: { ...work }, cursor: true, sum: true, after })).cursor
        const first = (await read()) as TailCursor
        appendFileSync(path, two)
        const grown = (await read(first)) as TailCursor
        const bytes = readFileSync(path)
        expect([first.sum, grown.sum], `${at}`).toEqual([crc32(bytes.subarray(0, first.offset)), crc32(bytes.subarray(0, grown.offset))])
      }
    }
    writeFileSync(path, Buffer.alloc(3 * 2 ** 20))
    appendFileSync(path, `\n${line}`)
    const file = { path, form: 'lines', packed: false } as const
    expect((await scanLog(file, IDLE, { work: { ...work }, cursor: true, sum: true })).cursor).not.toHaveProperty('sum')
  })

  it('takes a copy for another file', async () => {
    const cursor = await cursorOf(path)
    copyFileSync(path, `${path}.copy`)
    expect(verdict(cursor, `${path}.copy`)).toEqual({ reread: 'the file was replaced' })
  })

  it('says that the log grew whatever its times are, and goes by the ctime of none that tells it', async () => {
    const { ctimeMs, ...older } = await cursorOf(path)
    setBack(() => undefined)
    expect(verdict(older)).toBe('unchanged')
    // All that it stands behind is in the anchor.
    expect(verdict({ ...older, ctimeMs: ctimeMs as number })).toBe('grown')
    setBack(() => appendFileSync(path, '3}\n'))
    for (const cursor of [older, { ...older, ctimeMs: ctimeMs as number }]) expect(verdict(cursor)).toBe('grown')
  })

  it('throws the error of the system when the file is gone', async () => {
    const cursor = await cursorOf(path)
    expect(() => checkCursor(join(folder.path, 'none.jsonl'), cursor, work)).toThrow(expect.objectContaining({ code: 'ENOENT' }))
    expect(() => checkCursor(folder.path, cursor, work)).toThrow(expect.objectContaining({ code: 'EFTYPE' }))
  })

  it('is not taken in by a cursor that was tampered with', async () => {
    const cursor = await cursorOf(path)
    appendFileSync(path, '3}\n')
    for (const anchorLength of [-1, 17, 2 ** 40, Number.NaN]) expect(verdict({ ...cursor, anchorLength })).not.toBe('grown')
    expect(verdict({ ...cursor, offset: 2 ** 50 })).not.toBe('grown')
  })

  it('anchors in the last 128 KiB before it', () => {
    writeFileSync(path, Buffer.alloc(300_000, 'x'))
    const fd = openSync(path, 'r+')
    try {
      const { anchor, anchorLength } = anchorOf(fd, 290_000)
      expect(anchorLength).toBe(131_072)
      const after = (at: number): boolean => {
        writeSync(fd, 'y', at)
        const same = readAnchor(fd, 290_000, anchorLength) === anchor
        writeSync(fd, 'x', at)
        return same
      }
      expect([158_927, 158_928, 200_000, 289_999, 290_000].map(after)).toEqual([true, false, false, false, true])
      expect(readAnchor(fd, 290_000, anchorLength)).toBe(anchor)
      expect(readAnchor(fd, 300_001, 1)).toBeUndefined()
    } finally {
      closeSync(fd)
    }
  })

  it('never says that a file with other bytes before the cursor grew (property)', () => {
    const size = fc.integer({ min: 0, max: 5 })
    fc.assert(
      fc.property(size, size, fc.constantFrom(1, 2), fc.constantFrom(1, 2), fc.boolean(), (before, now, inode, mtimeMs, same) => {
        const cursor: TailCursor = { dev: 1, ino: 1, size: before, mtimeMs: 1, offset: before, line: 0, anchor: 'a', anchorLength: before }
        const said = compareCursor(cursor, { dev: 1, ino: inode, size: now, mtimeMs, ctimeMs: 0 }, () => (same ? 'a' : 'b'))
        expect(said === 'grown').toBe(inode === 1 && now > before && same)
        expect(said === 'unchanged').toBe(inode === 1 && now === before && mtimeMs === 1)
      }),
    )
  })
})

const IDLE = { visit: () => {}, damaged: () => {} }

async function cursorOf(log: string): Promise<TailCursor> {
  const file: LogFile = { path: log, form: 'lines', packed: false }
  const { cursor } = await scanLog(file, { visit: () => {}, damaged: () => {} }, { work: { ...work }, cursor: true })
  return cursor as TailCursor
}

function verdict(cursor: TailCursor, log = path): CursorVerdict {
  return checkCursor(log, cursor, work).verdict
}

/** As an editor does: a new file takes the name. */
function replace(text: string): void {
  writeFileSync(`${path}.new`, text)
  renameSync(`${path}.new`, path)
}

function patch(text: string, at: number): void {
  const fd = openSync(path, 'r+')
  writeSync(fd, text, at)
  closeSync(fd)
}

/** As `touch -r` does. Waits until the clock of the file system has moved on. */
function setBack(act: () => unknown): void {
  const { ctimeMs } = statSync(path)
  act()
  do utimesSync(path, WRITTEN, WRITTEN)
  while (statSync(path).ctimeMs === ctimeMs)
}

/** Clocks of file systems are coarse: what is written within a tick is told apart here too. */
function touched(act: () => unknown): void {
  const { mtimeMs } = statSync(path)
  act()
  utimesSync(path, new Date(), new Date(mtimeMs + 1000))
}
