/** Corpora of the shared generator (../shared/tools/gen-corpus.mjs), each in a folder of its own. */
import { execFileSync } from 'node:child_process'
import { copyFileSync, existsSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { REPOSITORY, SHARED } from './real-sets.js'
import { started } from './started.js'
import { tempFolder } from './temp.js'

const GENERATOR = join(SHARED, 'tools', 'gen-corpus.mjs')

export const GENERATOR_IS_HERE = existsSync(GENERATOR)

export interface Generated extends Disposable {
  /** The data folder: `storage` and `opencode.db` stand in it, as asked for. */
  readonly data: string
  readonly counts: { readonly sessions: number; readonly messages: number; readonly parts: number; readonly corrupted: number }
}

/** The generator finds SQLite in a node_modules beside it. */
export function generated(...options: readonly string[]): Generated {
  const folder = tempFolder()
  copyFileSync(GENERATOR, join(folder.path, 'gen-corpus.mjs'))
  symlinkSync(join(REPOSITORY, 'node_modules'), join(folder.path, 'node_modules'))
  const generator = [join(folder.path, 'gen-corpus.mjs'), '--home', folder.path, ...options]
  const printed = started(() => execFileSync(process.execPath, generator, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }))
  const data = join(folder.path, '.local', 'share', 'opencode')
  return { data, counts: JSON.parse(printed), [Symbol.dispose]: () => folder[Symbol.dispose]() }
}

/** Chance that repeats: numbers in [0, 1), the same for the same seed. */
export function seeded(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
