/** Every write to LMDB is one of a transaction that undoes it when it fails: what lmdb has beside that is used by nobody. */
import { readdirSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import { openLmdb } from '../../src/indexer/state/lmdb/env.js'
import { openLmdbState } from '../../src/indexer/state/lmdb/state.js'
import { tempFolder } from '../support/index-world.js'

const SRC = fileURLToPath(new URL('../../src/', import.meta.url))
const ENVIRONMENT = 'indexer/state/lmdb/env.ts'

function sources(): readonly { readonly file: string; readonly text: string }[] {
  const names = readdirSync(SRC, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ts'))
  return names.map((name) => ({ file: relative(SRC, join(SRC, name)), text: readFileSync(join(SRC, name), 'utf8') }))
}

/** The files in which any of these is called. */
function callers(...methods: readonly string[]): string[] {
  const called = new RegExp(`\\.(?:${methods.join('|')})\\(`)
  return sources().flatMap(({ file, text }) => (called.test(text) ? [file] : []))
}

it('transactions are made in one place, and of the kind that is undone as a whole', () => {
  expect(callers('childTransaction')).toEqual([ENVIRONMENT])
  // These keep what was written before a throw, or wait on the thread of the caller.
  expect(callers('transactionSync', 'transactionAsync', 'ifVersion', 'ifNoExists', 'putIfNoExists', 'clearSync', 'clearAsync')).toEqual([])
})

it('rows are written by changes alone, which get their tables from a transaction', () => {
  const writers = callers('putSync', 'removeSync')
  expect(writers.length).toBeGreaterThan(5)
  for (const { file, text } of sources().filter(({ file }) => writers.includes(file))) {
    expect(file).toMatch(/^indexer\/(?:state\/lmdb|embedding)\//)
    // Who has the environment at hand could write beside its transactions.
    expect(text, file).not.toMatch(/nvironment\.tables\.\w+\.(?:put|remove)/)
  }
})

it('lmdb is loaded by the environment alone', () => {
  expect(sources().flatMap(({ file, text }) => (/(?:from|import\() ?'lmdb'/.test(text) ? [file] : []))).toEqual([ENVIRONMENT])
})

it('a closing waits for the transactions that are under way, and for none that were not begun', async () => {
  using folder = tempFolder()
  const tables = { meta: 'msgpack', rows: 'msgpack' } as const
  const path = join(folder.path, 'x.mdb')
  const db = await openLmdb({ path, tables })
  await db.transact((t) => t.rows.putSync('a', 1))
  const late = db.transact((t) => t.rows.putSync('b', 1)).catch((error: unknown) => error)
  await db[Symbol.asyncDispose]()
  const end = await late
  await using again = await openLmdb({ path, tables })
  expect(again.tables.rows.get('a')).toBe(1)
  // Told that it was done, or that it was not: never the one and the other.
  expect(again.tables.rows.get('b')).toBe(end === true ? 1 : undefined)
  if (end !== true) expect(end).toMatchObject({ code: 'STATE_UNAVAILABLE' })
  await using state = await openLmdbState({ directory: folder.path })
  expect(state.status().ledger.sessions).toBe(0)
})
