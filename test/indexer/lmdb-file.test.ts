/** The look at a file before it is mapped, while another process writes it. Found by the soak. */
import fs, { copyFileSync, statSync } from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { openLmdb } from '../../src/indexer/state/lmdb/env.js'
import { checkLmdbFile } from '../../src/indexer/state/lmdb/file.js'
import { tempFolder } from '../support/temp.js'

/** Calls `change` once, right before the next file is opened. */
function beforeNextOpen(change: () => void): void {
  const { openSync } = fs
  fs.openSync = (...args) => {
    fs.openSync = openSync
    syncBuiltinESMExports()
    change()
    return openSync(...args)
  }
  syncBuiltinESMExports()
}

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
    beforeNextOpen(() => copyFileSync(large, path))
    expect(() => checkLmdbFile(path, { whole })).not.toThrow()
    expect(statSync(path).size).toBe(statSync(large).size)
  }
})
