/** Mapped spans and which files are mapped, with a mapper that reads in place of mapping. The real one: test/native/mmap.native.ts. */
import {
  appendFileSync,
  closeSync,
  linkSync,
  mkdirSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  type Stats,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseSessionId } from '../../src/core/ids.js'
import { sessionKey } from '../../src/core/keys.js'
import { fileGeneration } from '../../src/storage/generation.js'
import type { FileMap } from '../../src/storage/maps/file-map.js'
import { createFileMaps, type FileMaps, type FileMapsOptions, LiveMaps } from '../../src/storage/maps/file-maps.js'
import { MappedSpan } from '../../src/storage/maps/mapped-span.js'
import type { Mapper } from '../../src/storage/maps/mmap.js'
import { Slab } from '../../src/storage/slab.js'
import { OwnedSpan, parseSpan, SlabSpan } from '../../src/storage/span.js'
import { tempFolder } from '../support/temp.js'

const KEY = sessionKey('opencode', parseSessionId('s'))
const NOW = Date.parse('2026-06-01T12:00:00Z')
const MIB = 2 ** 20
const EXT = 0xef53
const stale = (reason: string | RegExp) => expect.objectContaining({ code: 'STALE_SPAN', reason: expect.stringMatching(reason) })
const disposed = expect.objectContaining({ code: 'SPAN_DISPOSED' })

/** Counts what it maps. */
function copyingMapper(): Mapper & { mapped: number } {
  const mapper = {
    mapped: 0,
    map(fd: number, length: number): Buffer {
      mapper.mapped++
      const bytes = Buffer.alloc(length)
      readSync(fd, bytes, 0, length, 0)
      return bytes
    },
  }
  return mapper
}

function mapsWith(options: Partial<FileMapsOptions> = {}): FileMaps & { readonly mapper: { readonly mapped: number } } {
  const mapper = copyingMapper()
  const maps = createFileMaps({
    map: 1,
    clock: { now: () => NOW },
    load: () => ({ mapper }),
    filesystem: () => EXT,
    live: new LiveMaps(),
    ...options,
  })
  return { open: (path, stat, leaf) => maps.open(path, stat, leaf), stats: () => maps.stats(), mapper }
}

function opened(path: string, maps: FileMaps = mapsWith()): FileMap {
  const map = maps.open(path, statSync(path))
  if (map === undefined) throw new Error(`${path} was not mapped: ${maps.stats().why}`)
  return map
}

function spanOf(map: FileMap, offset = 0, length = map.length, scope: { readonly disposed: boolean } = new Slab()): MappedSpan {
  return new MappedSpan(KEY, { path: map.path }, fileGeneration(statSync(map.path)), scope, map, offset, length)
}

/** A version of a file of which nothing but the size and the age matters. */
function sized(size: number, ageMs = 3_600_000): Stats {
  return Object.assign(statSync('/'), { size, mtimeMs: NOW - ageMs })
}

describe('a mapped span', () => {
  it('gives the bytes and the text of its range, and is parsed as any other', () => {
    using folder = tempFolder()
    const path = join(folder.path, 'log.jsonl')
    writeFileSync(path, '{"a":"zwölf"}\n[1]\n')
    const map = opened(path)
    const [one, two, nothing] = [spanOf(map, 0, 14), spanOf(map, 15, 3), spanOf(map, 19, 0)]
    expect([one.text(), one.length, parseSpan(one), parseSpan(two), nothing.text()]).toEqual(['{"a":"zwölf"}', 14, { a: 'zwölf' }, [1], ''])
    expect(one.bytes().buffer).toBe(two.bytes().buffer)
    expect([one.key, one.source, one.generation]).toEqual([KEY, { path }, fileGeneration(statSync(path))])
  })

  it('equals a span of the same bytes that were read (property)', () => {
    using folder = tempFolder()
    const path = join(folder.path, 'log')
    let version = 0
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 3000 }), fc.nat(), fc.nat(), (content, from, to) => {
        const own = `${path}${version++}`
        writeFileSync(own, content)
        const offset = from % content.length
        const length = to % (content.length - offset + 1)
        using slab = new Slab()
        const mapped = spanOf(opened(own), offset, length, slab)
        const read = new SlabSpan(KEY, { path: own }, undefined, slab, slab.append(content) + offset, length)
        expect(Buffer.from(mapped.bytes()).equals(read.bytes())).toBe(true)
        expect(mapped.text()).toBe(read.text())
      }),
      { numRuns: 200 },
    )
  })

  it('ends with itself, and with the slab of its reading', () => {
    using folder = tempFolder()
    const path = join(folder.path, 'log')
    writeFileSync(path, 'one two')
    const map = opened(path)
    const slab = new Slab()
    const [one, two] = [spanOf(map, 0, 3, slab), spanOf(map, 4, 3, slab)]
    const copy = OwnedSpan.copyOf(one)
    one[Symbol.dispose]()
    for (const use of [() => one.bytes(), () => one.text(), () => parseSpan(one)]) expect(use).toThrow(disposed)
    expect(two.text()).toBe('two')
    slab[Symbol.dispose]()
    for (const use of [() => two.bytes(), () => two.text(), () => parseSpan(two)]) expect(use).toThrow(disposed)
    expect(copy.text()).toBe('one')
  })

  it('is SPAN_DISPOSED, not STALE_SPAN, when both are true', () => {
    using folder = tempFolder()
    const path = join(folder.path, 'log')
    writeFileSync(path, 'one two')
    const span = spanOf(opened(path))
    truncateSync(path, 0)
    span[Symbol.dispose]()
    expect(() => span.text()).toThrow(disposed)
  })
})

describe('a file that changes under its map', () => {
  const CONTENT = `${'x'.repeat(5000)}\n`

  function changed(change: (path: string, folder: string) => void): { read: () => string } {
    const folder = tempFolder()
    const path = join(folder.path, 'log')
    writeFileSync(path, CONTENT)
    utimesSync(path, 1000, 1000)
    const span = spanOf(opened(path), 0, 3)
    expect(span.text()).toBe('xxx')
    change(path, folder.path)
    return {
      read: () => {
        try {
          return span.text()
        } finally {
          folder[Symbol.dispose]()
        }
      },
    }
  }

  it.each<[string, (path: string) => void, RegExp]>([
    ['truncated to nothing', (path) => truncateSync(path, 0), /truncated/],
    ['truncated behind the leaf', (path) => truncateSync(path, 4000), /truncated/],
    ['written anew, shorter', (path) => writeFileSync(path, 'short'), /truncated/],
    ['written anew, as long', (path) => writeFileSync(path, 'y'.repeat(CONTENT.length)), /rewritten/],
    ['written anew, as long and with the same end', (path) => writeFileSync(path, `yyy${CONTENT.slice(3)}`), /rewritten/],
    ['written anew, longer', (path) => writeFileSync(path, 'y'.repeat(9000)), /rewritten/],
    [
      'truncated, and filled again with the time set back',
      (path) => {
        truncateSync(path, 10)
        writeFileSync(path, 'y'.repeat(9000))
        utimesSync(path, 1000, 1000)
      },
      /rewritten/,
    ],
  ])('%s: STALE_SPAN', (_, change, reason) => {
    expect(changed(change).read).toThrow(stale(reason))
  })

  it.each<[string, (path: string, folder: string) => void]>([
    ['grown', (path) => appendFileSync(path, 'more\n')],
    ['removed', (path) => rmSync(path)],
    ['renamed', (path) => renameSync(path, `${path}.1`)],
    [
      'replaced',
      (path, folder) => {
        writeFileSync(join(folder, 'new'), 'y')
        renameSync(join(folder, 'new'), path)
      },
    ],
    ['of another mode and with one more name', (path) => linkSync(path, `${path}.link`)],
  ])('%s: the same bytes', (_, change) => {
    expect(changed(change).read()).toBe('xxx')
  })

  it('rotated and truncated afterwards under its new name: STALE_SPAN', () => {
    const rotate = (path: string): void => {
      renameSync(path, `${path}.1`)
      writeFileSync(path, CONTENT)
      truncateSync(`${path}.1`, 1)
    }
    expect(changed(rotate).read).toThrow(stale(/truncated/))
  })

  it('stays stale once it was, whatever it becomes', () => {
    using folder = tempFolder()
    const path = join(folder.path, 'log')
    writeFileSync(path, CONTENT)
    utimesSync(path, 1000, 1000)
    const maps = mapsWith()
    const map = opened(path, maps)
    truncateSync(path, 0)
    expect(() => map.bytes(0, 3)).toThrow(stale(/truncated/))
    writeFileSync(path, CONTENT)
    utimesSync(path, 1000, 1000)
    expect(() => map.bytes(0, 3)).toThrow(stale(/truncated/))
    expect(opened(path, maps)).not.toBe(map)
    expect(opened(path, maps).bytes(0, 3).toString()).toBe('xxx')
  })

  it('grown, then written anew: STALE_SPAN', () => {
    using folder = tempFolder()
    const path = join(folder.path, 'log')
    writeFileSync(path, CONTENT)
    const map = opened(path)
    for (let round = 0; round < 3; round++) {
      appendFileSync(path, 'more\n')
      expect(map.bytes(0, 3).toString()).toBe('xxx')
    }
    writeFileSync(path, 'y'.repeat(9000))
    expect(() => map.bytes(0, 3)).toThrow(stale(/rewritten/))
  })

  it.each([
    [0, CONTENT.length + 1],
    [CONTENT.length, 1],
    [-1, 2],
    [1, -1],
    [0.5, 1],
    [Number.NaN, 1],
  ])('a range that the version has not (%s, %s): STALE_SPAN', (offset, length) => {
    using folder = tempFolder()
    const path = join(folder.path, 'log')
    writeFileSync(path, CONTENT)
    const map = opened(path)
    expect(() => map.bytes(offset, length, KEY)).toThrow(expect.objectContaining({ code: 'STALE_SPAN', path, key: expect.any(String) }))
  })
})

describe('of the files', () => {
  it.each<[string, FileMapsOptions['map'], number, number, boolean]>([
    ['auto', 'auto', 2 * MIB, 600_000, true],
    ['auto, a byte too small', 'auto', 2 * MIB - 1, 600_000, false],
    ['auto, written 10 minutes ago less 1 ms', 'auto', 2 * MIB, 599_999, false],
    ['auto, written in the future', 'auto', 2 * MIB, -1, false],
    ['auto, the largest', 'auto', 2 ** 31 - 1, 3_600_000, true],
    ['auto, 2 GiB', 'auto', 2 ** 31, 3_600_000, false],
    ['a number, hot', 1000, 1000, 0, true],
    ['a number, a byte too small', 1000, 999, 3_600_000, false],
    ['a number, 2 GiB', 1000, 2 ** 31, 3_600_000, false],
    ['a number, far beyond', 1000, 2 ** 32 + 5000, 3_600_000, false],
    ['0, an empty file', 0, 0, 3_600_000, false],
    ['0, one byte', 0, 1, 3_600_000, true],
    ['never', 'never', 64 * MIB, 3_600_000, false],
  ])('%s: mapped or read', (_, map, size, age, expected) => {
    let asked = 0
    const load = () => ({ why: `asked ${++asked} times` })
    const maps = mapsWith({ map, load })
    expect(maps.open('/log.jsonl', sized(size, age))).toBeUndefined()
    expect(asked).toBe(expected ? 1 : 0)
  })

  it('auto goes by the leaf, a number by the file', () => {
    let asked = 0
    const load = () => ({ why: `asked ${++asked} times` })
    const [auto, all] = [mapsWith({ map: 'auto', load }), mapsWith({ map: 3 * MIB, load })]
    auto.open('/log.jsonl', sized(64 * MIB), 2 * MIB - 1)
    all.open('/log.jsonl', sized(2 * MIB), 2 * MIB)
    expect(asked).toBe(0)
    auto.open('/log.jsonl', sized(64 * MIB), 2 * MIB)
    all.open('/log.jsonl', sized(3 * MIB), 1)
    expect(asked).toBe(2)
  })

  it('packed ones are never mapped, and with mapping off the peer is not loaded', () => {
    let asked = 0
    const load = () => ({ why: `asked ${++asked} times` })
    expect(mapsWith({ load }).open('/rollout.jsonl.zst', sized(64 * MIB))).toBeUndefined()
    const off = mapsWith({ map: 'never', load })
    expect(off.open('/rollout.jsonl', sized(64 * MIB))).toBeUndefined()
    expect([asked, off.stats().why]).toEqual([0, 'mapping is off'])
  })

  it('one version is mapped once, and another version again', () => {
    using folder = tempFolder()
    const path = join(folder.path, 'log')
    writeFileSync(path, 'one\n')
    const maps = mapsWith()
    const first = opened(path, maps)
    expect(opened(path, maps)).toBe(first)
    symlinkSync(path, join(folder.path, 'link'))
    expect(opened(join(folder.path, 'link'), maps)).toBe(first)
    appendFileSync(path, 'two\n')
    const second = opened(path, maps)
    expect(second).not.toBe(first)
    expect([first.bytes(0, 4).toString(), second.bytes(4, 4).toString()]).toEqual(['one\n', 'two\n'])
    expect([maps.mapper.mapped, maps.stats().live]).toEqual([2, 2])
  })

  it('one that is not the version asked for any more is read', () => {
    using folder = tempFolder()
    const path = join(folder.path, 'log')
    writeFileSync(path, 'one\n')
    const before = statSync(path)
    const maps = mapsWith()
    appendFileSync(path, 'two\n')
    expect(maps.open(path, before)).toBeUndefined()
    renameSync(path, `${path}.1`)
    writeFileSync(path, 'one\ntwo\n')
    expect(maps.open(path, statSync(`${path}.1`))).toBeUndefined()
    rmSync(path)
    expect(maps.open(path, before)).toBeUndefined()
    mkdirSync(path)
    expect(maps.open(path, statSync(path))).toBeUndefined()
  })

  it('one that changes while it is mapped is read', () => {
    using folder = tempFolder()
    const path = join(folder.path, 'log')
    writeFileSync(path, 'one\n')
    const copying = copyingMapper()
    const map: Mapper['map'] = (fd, length) => {
      writeFileSync(path, '')
      return copying.map(fd, length)
    }
    const maps = mapsWith({ load: () => ({ mapper: { map } }) })
    expect(maps.open(path, statSync(path))).toBeUndefined()
  })

  it('those past the budget are read', () => {
    using folder = tempFolder()
    const paths = Array.from({ length: 5 }, (_, at) => join(folder.path, `log${at}`))
    for (const path of paths) writeFileSync(path, 'one\n')
    const maps = mapsWith({ budget: 3 })
    const opened = paths.map((path) => maps.open(path, statSync(path)))
    expect(opened.map((map) => map !== undefined)).toEqual([true, true, true, false, false])
    expect(maps.stats()).toEqual({ live: 3, budget: 3, why: '3 files are mapped already' })
    expect(maps.open(paths[0] ?? '', statSync(paths[0] ?? ''))).toBe(opened[0])
  })

  it('the budget is that of the process, over all that share it', () => {
    using folder = tempFolder()
    const live = new LiveMaps()
    const [one, two] = [mapsWith({ live, budget: 1 }), mapsWith({ live, budget: 1 })]
    const path = join(folder.path, 'log')
    writeFileSync(path, 'one\n')
    const map = opened(path, one)
    expect([two.open(path, statSync(path)), two.stats().live, map.length]).toEqual([undefined, 1, 4])
    expect(mapsWith({ budget: 1e9 }).stats().budget).toBeLessThan(1e9)
  })

  it.each([
    ['NFS', 0x6969, false],
    ['FUSE', 0x65735546, false],
    ['CIFS with its sign', 0xff534d42 | 0, false],
    ['one that nobody knows', 0x1234, false],
    ['ext4', EXT, true],
    ['Btrfs with its sign', 0x9123683e | 0, true],
    ['of a system that numbers them by other rules', undefined, true],
  ])('those on %s are mapped or read', (_, type, expected) => {
    using folder = tempFolder()
    const path = join(folder.path, 'log')
    writeFileSync(path, 'one\n')
    const maps = mapsWith({ filesystem: () => type })
    expect(maps.open(path, statSync(path)) !== undefined).toBe(expected)
    expect(maps.stats().why).toBe(expected ? undefined : 'the file may lie on another machine')
  })

  it('all are read where the mapper fails, or is not there, and why is told', () => {
    using folder = tempFolder()
    const path = join(folder.path, 'log')
    writeFileSync(path, 'one\n')
    const map = (): never => {
      throw new Error('mmap failed, 12')
    }
    const failing = mapsWith({ load: () => ({ mapper: { map } }) })
    expect(failing.open(path, statSync(path))).toBeUndefined()
    expect(failing.stats()).toMatchObject({ live: 0, why: 'mmap failed, 12' })
    const missing = mapsWith({ load: () => ({ why: 'not installed' }) })
    expect(missing.open(path, statSync(path))).toBeUndefined()
    expect(missing.stats()).toMatchObject({ live: 0, why: 'not installed' })
  })

  it('none leaves a descriptor behind where it was not mapped', () => {
    using folder = tempFolder()
    const path = join(folder.path, 'log')
    writeFileSync(path, 'one\n')
    const map = (): never => {
      throw new Error('mmap failed, 12')
    }
    const failing = mapsWith({ load: () => ({ mapper: { map } }) })
    const next = (): number => {
      const fd = openSync(path, 'r')
      closeSync(fd)
      return fd
    }
    const before = next()
    for (let round = 0; round < 20; round++) failing.open(path, statSync(path))
    expect(next()).toBe(before)
  })
})
