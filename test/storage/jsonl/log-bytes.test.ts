/** All lines of a log, or ranges of it, are the bytes that stand there; a writer at work, a cut and a signal are no surprise. */
import { execFileSync } from 'node:child_process'
import { appendFileSync, closeSync, openSync, truncateSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, describe, expect, it } from 'vitest'
import type { LogPlace } from '../../../src/storage/jsonl/line-scanner.js'
import type { LogFile } from '../../../src/storage/jsonl/log-adapter.js'
import { type LogRange, type LogStat, type ScanEnd, scanLog, statIfThere, statLog } from '../../../src/storage/jsonl/log-bytes.js'
import { readRanges } from '../../../src/storage/jsonl/log-ranges.js'
import { Slab, SlabPool } from '../../../src/storage/slab.js'
import type { StoreWork } from '../../../src/storage/store.js'
import { tempFolder } from '../../support/temp.js'
import { frameOf, packRaw, rawBlock } from '../../support/zstd-frames.js'

const folder = tempFolder()
afterAll(() => folder[Symbol.dispose]())
let files = 0

const forms = [
  ['plain', false],
  ['packed', true],
] as const

describe.each(forms)('scanning a log, %s', (_, packed) => {
  it('visits every line where it stands, then the rest', async () => {
    const text = '{"a":1}\n\n{"é":2}\r\n\0\0{"c":3}\n{"torn'
    const { lines, end, work } = await scan(logOf(text, packed))
    expect(lines).toEqual(['0:1 {"a":1}', '9:3 {"é":2}', '19:4 NUL-filled 2', '21:4 {"c":3}', 'rest 29:5 {"torn'])
    expect(end).toMatchObject({ place: { offset: 29, line: 4 }, read: 35, damage: undefined, cursor: undefined })
    expect(work).toMatchObject({ files: 1, bytes: end.stat.size })
  })

  it('tells of the file before the first line', async () => {
    const told: unknown[] = []
    const file = logOf('{"a":1}\n', packed)
    const opened = (stat: LogStat): unknown => told.push(stat)
    const visit = (): unknown => told.push('line')
    await scanLog(file, { visit, damaged: () => undefined }, { work: noWork(), opened })
    expect(told).toEqual([statLog(file.path), 'line'])
  })

  it('goes on from a place as if it had read all (property)', async () => {
    const text = Array.from({ length: 40 }, (_, at) => `{"line":${at},"text":"${'x'.repeat((at * 37) % 100)}"}\n`).join('')
    const file = logOf(text, packed)
    const whole = await scan(file)
    expect(whole.lines).toHaveLength(40)
    let from: LogPlace = { offset: 0, line: 0 }
    for (const line of text.split('\n').slice(0, -1)) {
      const { lines, end } = await scan(file, { from })
      expect([lines, end.place, end.read]).toEqual([whole.lines.slice(from.line), whole.end.place, text.length])
      from = { offset: from.offset + line.length + 1, line: from.line + 1 }
    }
    expect((await scan(file, { from })).lines).toEqual([])
  })

  it('gives lines of any length, or says which are too long', async () => {
    const text = `{"a":"${'x'.repeat(3_000_000)}"}\n{"b":2}\n`
    const file = logOf(text, packed)
    expect((await scan(file)).lines.map((line) => line.length)).toEqual([3_000_012, '3000009:2 {"b":2}'.length])
    expect((await scan(file, { maxLine: 1_000_000 })).lines).toEqual(['0:1 too long 3000008', '3000009:2 {"b":2}'])
  })

  it('lets others run on the way, and ends with the reason of a signal', async () => {
    const file = logOf(`${'x'.repeat(100_000)}\n`.repeat(400), packed)
    const control = new AbortController()
    setImmediate(() => control.abort(new Error('enough')))
    await expect(scan(file, { signal: control.signal })).rejects.toThrow('enough')
    await expect(scan(file, { signal: AbortSignal.abort(new Error('before')) })).rejects.toThrow('before')
  })

  it('throws what the system says, and refuses what is no regular file', async () => {
    const none = { path: join(folder.path, 'none'), form: 'lines', packed } as const
    await expect(scan(none)).rejects.toMatchObject({ code: 'ENOENT' })
    await expect(scan({ ...none, path: folder.path })).rejects.toMatchObject({ code: 'EFTYPE' })
    const pipe = join(folder.path, `pipe${++files}`)
    execFileSync('mkfifo', [pipe])
    await expect(scan({ ...none, path: pipe })).rejects.toMatchObject({ code: 'EFTYPE' })
    expect(() => statLog(pipe)).toThrow(expect.objectContaining({ code: 'EFTYPE' }))
  })

  it('hands an error of the visitor through', async () => {
    const visitor = {
      visit() {
        throw new Error('from the visitor')
      },
      damaged() {},
    }
    await expect(scanLog(logOf('{}\n', packed), visitor, { work: noWork() })).rejects.toThrow('from the visitor')
  })
})

describe('scanning a plain log', () => {
  it('leaves what is appended meanwhile to the next scan', async () => {
    const file = logOf('{"a":1}\n{"b":2}\n', false)
    const lines: string[] = []
    const visitor = {
      visit(bytes: Buffer, start: number, end: number) {
        lines.push(bytes.toString('utf8', start, end))
        appendFileSync(file.path, '{"more":1}\n')
      },
      damaged() {},
    }
    const end = await scanLog(file, visitor, { work: noWork(), cursor: true })
    expect(lines).toEqual(['{"a":1}', '{"b":2}'])
    expect(end).toMatchObject({ read: 16, place: { offset: 16, line: 2 }, cursor: { size: 16, offset: 16, line: 2 } })
  })

  it('says how far it came in a log that is truncated meanwhile', async () => {
    const file = logOf(`${'x'.repeat(999)}\n`.repeat(3000), false)
    let lines = 0
    const visitor = {
      visit() {
        if (++lines === 1) truncateSync(file.path, 500_000)
      },
      damaged() {},
    }
    const end = await scanLog(file, visitor, { work: noWork() })
    expect(end.stat.size).toBe(3_000_000)
    expect(end.read).toBe(2 ** 20)
    expect(lines).toBe(1048)
  })

  it('reads into chunks of a pool and hands them back', async () => {
    const pool = new SlabPool()
    const chunk = pool.take()
    pool.give(chunk)
    await scanLog(logOf('{}\n', false), { visit: (bytes) => expect(bytes).toBe(chunk), damaged() {} }, { work: noWork(), pool })
    expect(pool.take()).toBe(chunk)
  })

  it('leaves what it read in a slab, as it was visited, next to what the slab has', async () => {
    const file = logOf('{"a":1}\n{"b":2}\n{"c":3}\n{"torn', false)
    using slab = new Slab()
    slab.append(Buffer.from('before'))
    const visited: string[] = []
    const visit = (bytes: Buffer, start: number, end: number): unknown => visited.push(bytes.toString('utf8', start, end))
    const { stays, cursor } = await scanLog(
      file,
      { visit, damaged: () => undefined },
      { work: noWork(), from: { offset: 8, line: 1 }, slab, pool: new SlabPool(), cursor: true },
    )
    slab.append(Buffer.from('after'))
    expect(visited).toEqual(['{"b":2}', '{"c":3}'])
    expect(stays).toMatchObject({ offset: 8, length: 22 })
    expect(stays?.chunk.toString('utf8', 0, stays.start + stays.length + 5)).toBe('before{"b":2}\n{"c":3}\n{"torn' + 'after')
    expect(cursor).toEqual((await scanLog(file, { visit, damaged: () => undefined }, { work: noWork(), cursor: true })).cursor)
  })

  it.each([
    ['more than a chunk of it', 3_000_000, 3_000_000],
    ['a log that is truncated before it is read', 90_000, 50_000],
  ])('leaves nothing in a slab of %s', async (_, size, left) => {
    const file = logOf(`${'x'.repeat(999)}\n`.repeat(size / 1000), false)
    using slab = new Slab()
    let lines = 0
    const visitor = { visit: () => lines++, damaged() {} }
    const opened = (): void => truncateSync(file.path, left)
    const { stays } = await scanLog(file, visitor, { work: noWork(), slab, opened })
    expect([stays, slab.used, lines]).toEqual([undefined, 0, left / 1000])
  })

  it('visits no line of an empty log', async () => {
    const { lines, end } = await scan(logOf('', false))
    expect([lines, end.place, end.read]).toEqual([[], { offset: 0, line: 0 }, 0])
  })
})

describe('scanning a packed log', () => {
  it('visits what stands before the damage and names it', async () => {
    const whole = frameOf([rawBlock('{"a":1,"b":"some text"}\n{"b'), rawBlock('":2}\n')])
    const path = join(folder.path, `${++files}.zst`)
    writeFileSync(path, whole.subarray(0, whole.length - 1))
    const { lines, end } = await scan({ path, form: 'lines', packed: true })
    expect(lines).toEqual(['0:1 {"a":1,"b":"some text"}', 'rest 24:2 {"b'])
    expect(end.damage).toMatchObject({ code: 'CORRUPT_RECORD', reason: 'the zstd file is cut off', path })
  })
})

describe.each(forms)('ranges of a log, %s', (_, packed) => {
  const text = Buffer.from(Array.from({ length: 30_000 }, (_, at) => `{"line":${at},"text":"${'é'.repeat((at * 7919) % 97)}"}\n`).join(''))
  const file = logOf(text, packed)

  it('are the bytes that stand there, in the order asked (property)', async () => {
    const range = fc.record({ offset: fc.nat(text.length + 100_000), length: fc.oneof(fc.nat(300), fc.nat(300), fc.nat(2_000_000)) })
    const near = fc.tuple(fc.nat(text.length), fc.array(fc.record({ offset: fc.nat(200_000), length: fc.nat(5000) }), { maxLength: 30 }))
    const ranges = fc.oneof(
      fc.array(range, { maxLength: 12 }),
      near.map(([base, list]) => list.map(({ offset, length }) => ({ offset: base + offset, length }))),
    )
    await fc.assert(
      fc.asyncProperty(ranges, fc.nat(2 ** 20), async (wanted, used) => {
        using slab = new Slab()
        slab.used = used
        const found = await readRanges(file, wanted, slab, { work: noWork() })
        expect(found).toHaveLength(wanted.length)
        for (const [at, { offset, length }] of wanted.entries()) {
          const bytes = found[at]
          // Of a packed log nobody knows the end before it is there: a range of nothing behind it is not found.
          if (length > 0) expect(bytes !== undefined).toBe(offset + length <= text.length)
          if (bytes !== undefined) expect(bytes.chunk.compare(text, offset, offset + length, bytes.start, bytes.start + length)).toBe(0)
        }
      }),
      { numRuns: packed ? 30 : 200 },
    )
  })

  it('say what they cost', async () => {
    using slab = new Slab()
    const work = noWork()
    await readRanges(
      file,
      [
        { offset: 100, length: 100 },
        { offset: 0, length: 50 },
      ],
      slab,
      { work },
    )
    expect(work).toMatchObject({ files: 1, bytes: packed ? expect.any(Number) : 200 })
    expect(await readRanges(file, [], slab, { work })).toEqual([])
    expect(work.files).toBe(1)
  })

  it('are not found in a file that is gone, or after a signal', async () => {
    using slab = new Slab()
    const wanted: readonly LogRange[] = [{ offset: 0, length: 1 }]
    await expect(readRanges({ ...file, path: `${file.path}.none` }, wanted, slab, { work: noWork() })).rejects.toMatchObject({ code: 'ENOENT' })
    const signal = AbortSignal.abort(new Error('enough'))
    await expect(readRanges(file, wanted, slab, { work: noWork(), signal })).rejects.toThrow('enough')
  })
})

describe('ranges of a plain log', () => {
  it('that lie near each other are read at once, those far apart on their own', async () => {
    const path = join(folder.path, `${++files}.jsonl`)
    const fd = openSync(path, 'w')
    writeSync(fd, 'a', 0)
    writeSync(fd, 'b', 65_536)
    writeSync(fd, 'c', 65_536 + 65_537)
    writeSync(fd, 'd', 50_000_000)
    closeSync(fd)
    using slab = new Slab()
    const work = noWork()
    const at = (offset: number): LogRange => ({ offset, length: 1 })
    const ranges = [at(50_000_000), at(65_536 + 65_537), at(65_536), at(0)]
    const found = await readRanges({ path, form: 'lines', packed: false }, ranges, slab, { work })
    expect(found.map((range) => range?.chunk.toString('utf8', range.start, range.start + 1))).toEqual(['d', 'c', 'b', 'a'])
    expect(work.bytes).toBe(65_537 + 1 + 1)
  })

  it('of a length that no file has cost nothing', async () => {
    using slab = new Slab()
    const file = logOf('{}\n', false)
    expect(await readRanges(file, [{ offset: 0, length: 2 ** 50 }], slab, { work: noWork() })).toEqual([undefined])
  })
})

describe('metadata', () => {
  it('of what is not there is none, and of what is no file an error', () => {
    expect(statIfThere(join(folder.path, 'nothing'))).toBeUndefined()
    expect(() => statLog(join(folder.path, 'nothing'))).toThrow('ENOENT')
    expect(() => statIfThere(folder.path)).toThrow('no regular file')
    const { path } = logOf('{}\n', false)
    expect(statIfThere(path)).toEqual(statLog(path))
  })
})

function noWork(): StoreWork {
  return { files: 0, rows: 0, bytes: 0, stats: 0 }
}

function logOf(text: string | Buffer, packed: boolean): LogFile {
  const path = join(folder.path, `${++files}.jsonl`)
  writeFileSync(path, packed ? packRaw(Buffer.from(text), 100_000) : text)
  return { path, form: 'lines', packed }
}

interface Scanned {
  readonly lines: readonly string[]
  readonly end: ScanEnd
  readonly work: StoreWork
}

async function scan(file: LogFile, options: { from?: LogPlace; maxLine?: number; signal?: AbortSignal } = {}): Promise<Scanned> {
  const lines: string[] = []
  const work = noWork()
  const visitor = {
    visit(bytes: Buffer, start: number, end: number, offset: number, line: number) {
      lines.push(`${offset}:${line} ${bytes.toString('utf8', start, end)}`)
    },
    damaged(offset: number, length: number, line: number, reason: string) {
      lines.push(`${offset}:${line} ${reason} ${length}`)
    },
    rest({ bytes, start, end, contentOffset, line }: { bytes: Buffer; start: number; end: number; contentOffset: number; line: number }) {
      lines.push(`rest ${contentOffset}:${line} ${bytes.toString('utf8', start, end)}`)
    },
  }
  const end = await scanLog(file, visitor, { ...options, work })
  return { lines, end, work }
}
