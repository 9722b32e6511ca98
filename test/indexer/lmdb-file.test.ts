/** The look at a file before it is mapped, while another process writes it. Found by the soak. */
import { copyFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it, vi } from 'vitest'
import { openLmdb } from '../../src/indexer/state/lmdb/env.js'
import { checkLmdbFile } from '../../src/indexer/state/lmdb/file.js'
import { tempFolder } from '../support/temp.js'

let beforeReading: (() => void) | undefined
vi.mock('node:fs', async (load) => {
  const fs = await load<typeof import('node:fs')>()
  const openSync: typeof fs.openSync = (...args) => {
    const change = beforeReading
    beforeReading = undefined
    change?.()
    return fs.openSync(...args)
  }
  return { ...fs, openSync }
})

it('does not take a file for cut short that grew by a commit between two looks at it', async () => {
  using folder = tempFolder()
  const path = join(folder.path, 'state.mdb')
  const small = join(folder.path, 'small')
  const large = join(folder.path, 'large')
  const write = async (rows: number): Promise<void> => {
    await using environment = await openLmdb({ path, tables: { rows: 'binary' } })
    await environment.transact(({ rows: table }) => {
      for (let at = 0; at < rows; at++) table.putSync(at, Buffer.alloc(3000, at))
    })
  }
  await write(1)
  copyFileSync(path, small)
  await write(400)
  copyFileSync(path, large)
  expect(statSync(large).size).toBeGreaterThan(statSync(small).size)
  for (const whole of [false, true]) {
    copyFileSync(small, path)
    beforeReading = () => copyFileSync(large, path)
    expect(() => checkLmdbFile(path, { whole })).not.toThrow()
  }
})
