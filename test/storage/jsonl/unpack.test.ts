/** Unpacking gives the text that was packed, whole or up to the damage, a bounded piece at a time, whichever decompressor is there. */
import { execFileSync } from 'node:child_process'
import { closeSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { StorageError } from '../../../src/core/errors.js'
import { hasNativeZstd, type UnpackEngine, unpackFile } from '../../../src/storage/jsonl/unpack.js'
import { tempFolder } from '../../support/temp.js'
import { frameOf, rawBlock, runBlock, SKIPPABLE_FRAME } from '../../support/zstd-frames.js'

const folder = tempFolder()
afterAll(() => folder[Symbol.dispose]())

/** Two lines at the highest level, with a checksum. */
const SMALL = Buffer.from('KLUv/QRomQAAeyJhIjoxfQp7ImIiOiLDqSJ9ChFneOI=', 'base64')
/** One line in each of two frames, the second without a checksum. */
const TWO_FRAMES = Buffer.from('KLUv/QRYQQAAeyJhIjoxfQri7+zgKLUv/QBYQQAAeyJiIjoyfQo=', 'base64')

const engines = (['native', 'plain'] satisfies UnpackEngine[]).map((engine) => [engine] as const)
const hasZstd = succeeds(() => execFileSync('zstd', ['--version'], { stdio: 'pipe' }))

describe.each(engines)('unpacking, %s', (engine) => {
  const test = it.skipIf(engine === 'native' && !hasNativeZstd())
  const packed = it.skipIf((engine === 'native' && !hasNativeZstd()) || !hasZstd)

  test('gives the text of a small file', async () => {
    expect(await unpacked(SMALL, engine)).toEqual({ text: '{"a":1}\n{"b":"é"}\n' })
  })

  test('goes on behind the first frame, and over what is to be skipped', async () => {
    expect(await unpacked(TWO_FRAMES, engine)).toEqual({ text: '{"a":1}\n{"b":2}\n' })
    expect(await unpacked(Buffer.concat([SKIPPABLE_FRAME, TWO_FRAMES, SKIPPABLE_FRAME, SMALL]), engine)).toEqual({
      text: '{"a":1}\n{"b":2}\n{"a":1}\n{"b":"é"}\n',
    })
    expect(await unpacked(SKIPPABLE_FRAME, engine)).toEqual({ text: '' })
  })

  test('gives a bounded piece at a time, however much a few bytes unpack to', async () => {
    const bomb = frameOf(Array.from({ length: 400 }, () => runBlock(0x20, 2 ** 17)))
    expect(bomb.length).toBeLessThan(2000)
    let total = 0
    for await (const piece of pieces(bomb, engine)) {
      expect(piece.length).toBeLessThanOrEqual(2 ** 20)
      total += piece.length
    }
    expect(total).toBe(400 * 2 ** 17)
  })

  test('gives what stands before the cut, then says that it is cut off', async () => {
    const [one, two, three] = ['the first of three\n', 'the second\n', 'the third\n'] as const
    const whole = frameOf([rawBlock(one), rawBlock(two), rawBlock(three)])
    const cuts = [
      [whole.length - 1, one + two],
      [whole.length - three.length, one + two],
      [whole.length - three.length - 3, one + two],
      [whole.length - three.length - 4, one],
      [whole.length - three.length - 3 - two.length, one],
      [6 + 3 + one.length, one],
      [6 + 3 + one.length - 1, ''],
      [5, ''],
    ] as const
    for (const [cut, text] of cuts)
      expect(await unpacked(whole.subarray(0, cut), engine), `${cut}`).toEqual({ text, reason: 'the zstd file is cut off' })
    for (let cut = 1; cut < SMALL.length; cut++) expect((await unpacked(SMALL.subarray(0, cut), engine)).reason).toBe('the zstd file is cut off')
  })

  test('names every other damage', async () => {
    const frame = frameOf([rawBlock('one\n')])
    const reserved = Buffer.from(frame)
    reserved[6] = (reserved[6] as number) | 6
    expect(await unpacked(Buffer.alloc(0), engine)).toEqual({ text: '', reason: 'the zstd file is empty' })
    expect(await unpacked(Buffer.from('{"a":1}\n'), engine)).toEqual({ text: '', reason: 'it is no zstd file' })
    expect(await unpacked(Buffer.concat([frame, Buffer.from('{"a":1}\n')]), engine)).toEqual({
      text: 'one\n',
      reason: 'something else follows the zstd frames',
    })
    expect(await unpacked(reserved, engine)).toEqual({ text: '', reason: 'a block of the zstd file is damaged' })
    expect(await unpacked(Buffer.concat([frame.subarray(0, 4), Buffer.from([0x01, 0x58, 7]), frame.subarray(6)]), engine)).toEqual({
      text: '',
      reason: 'the zstd file needs a dictionary',
    })
    expect((await unpacked(Buffer.concat([frame.subarray(0, 5), Buffer.from([0xa0]), frame.subarray(6)]), engine)).reason).toMatch(
      /1024 MiB of memory/,
    )
  })

  test('ends with the reason of the signal', async () => {
    const aborted = AbortSignal.abort(new Error('enough'))
    await expect(pieces(SMALL, engine, aborted).next()).rejects.toThrow('enough')
  })

  packed.each([['-1'], ['-3'], ['-19'], ['-2 --no-check'], ['-9 --long=27'], ['-3 --no-content-size']])(
    'gives what zstd packed with %s',
    async (flags) => {
      const text = Array.from({ length: 4000 }, (_, at) => `{"id":${at},"text":"${'words and words '.repeat(at % 30)}${Math.sin(at)}"}\n`).join('')
      const bytes = zstd(text, flags.split(' '))
      expect((await unpacked(bytes, engine)).text === text).toBe(true)
      const cut = await unpacked(bytes.subarray(0, bytes.length - 1000), engine)
      expect(cut.reason).toBe('the zstd file is cut off')
      expect(cut.text.length).toBeGreaterThan(100_000)
      expect(text.startsWith(cut.text)).toBe(true)
    },
  )
})

it.skipIf(!hasNativeZstd() || !hasZstd)('native: sees a flipped bit by the checksum, and gives what stands before it', async () => {
  const text = `${'{"a":"some text"}\n'.repeat(50_000)}{"b":${Math.PI}}\n`
  const bytes = zstd(text, ['-1'])
  bytes[bytes.length - 1] = (bytes[bytes.length - 1] as number) ^ 1
  const { text: given, reason } = await unpacked(bytes, 'native')
  expect(reason).toBe('a block of the zstd file is damaged')
  expect(given.length).toBeGreaterThan(100_000)
})

let files = 0

async function* pieces(bytes: Buffer, engine: UnpackEngine, signal?: AbortSignal): AsyncGenerator<Buffer> {
  const path = join(folder.path, `${++files}.jsonl.zst`)
  writeFileSync(path, bytes)
  const fd = openSync(path, 'r')
  try {
    yield* unpackFile(fd, path, { engine, signal })
  } finally {
    closeSync(fd)
  }
}

async function unpacked(bytes: Buffer, engine: UnpackEngine): Promise<{ readonly text: string; readonly reason?: string }> {
  const given: Buffer[] = []
  try {
    for await (const piece of pieces(bytes, engine)) given.push(piece)
  } catch (error) {
    if (!(error instanceof StorageError)) throw error
    expect(error.code).toBe('CORRUPT_RECORD')
    return { text: Buffer.concat(given).toString(), reason: error.reason }
  }
  return { text: Buffer.concat(given).toString() }
}

function zstd(text: string, flags: readonly string[]): Buffer {
  const path = join(folder.path, `${++files}.jsonl`)
  writeFileSync(path, text)
  execFileSync('zstd', ['-q', ...flags, path, '-o', `${path}.zst`], { stdio: 'pipe' })
  return readFileSync(`${path}.zst`)
}

function succeeds(act: () => unknown): boolean {
  try {
    act()
    return true
  } catch {
    return false
  }
}
