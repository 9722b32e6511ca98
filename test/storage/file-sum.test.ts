import { appendFileSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { SUM_WINDOW, sumFile } from '../../src/storage/files/file-sum.js'
import { tempFolder } from '../support/temp.js'

describe('the sum of a file', () => {
  it.each([0, 1, SUM_WINDOW, 2 * SUM_WINDOW, 2 * SUM_WINDOW + 1, 100_000])('is of its head and tail: %d bytes', (size) => {
    using folder = tempFolder()
    const path = join(folder.path, 'file')
    const bytes = Buffer.from(Array.from({ length: size }, (_, at) => (at * 31 + (at >> 8)) & 0xff))
    writeFileSync(path, bytes)
    const windows = size <= 2 * SUM_WINDOW ? bytes : Buffer.concat([bytes.subarray(0, SUM_WINDOW), bytes.subarray(-SUM_WINDOW)])
    expect(sumFile(path)).toEqual({ size, sum: crc32(windows) })
    appendFileSync(path, 'x')
    expect(sumFile(path)?.sum).not.toBe(crc32(windows))
  })

  it('is none of what is no file, or is not there', () => {
    using folder = tempFolder()
    mkdirSync(join(folder.path, 'folder'))
    expect([sumFile(folder.path), sumFile(join(folder.path, 'nothing'))]).toEqual([undefined, undefined])
  })
})
