import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, describe, expect, it } from 'vitest'
import type { Sink } from '../../../src/indexer/ports.js'
import { openLocalSink } from '../../../src/indexer/sinks/local.js'
import { openSqlite } from '../../../src/storage/sqlite/driver.js'

const WRITER = fileURLToPath(new URL('../../support/sink-writer.mjs', import.meta.url))
const OPENER = fileURLToPath(new URL('../../support/sink-opener.mjs', import.meta.url))
const ROWS_LEFT = 9
const folders: string[] = []

function freshPath(): string {
  const folder = mkdtempSync(join(tmpdir(), 'spanleaf-sink-'))
  folders.push(folder)
  return join(folder, 'sink.db')
}

function startWriter(path: string, name: string, batches: number): { readonly child: ChildProcess; readonly stored: () => readonly string[] } {
  const child = spawn(process.execPath, [WRITER, path, name, String(batches)], { stdio: ['ignore', 'pipe', 'inherit'] })
  let printed = ''
  child.stdout?.on('data', (data: Buffer) => (printed += data.toString()))
  return { child, stored: () => printed.split('\n').slice(0, -1) }
}

/** `said` is the last line that it printed. */
function startOpener(path: string): { readonly child: ChildProcess; readonly ready: Promise<unknown>; readonly said: Promise<string> } {
  const child = spawn(process.execPath, [OPENER, path], { stdio: ['pipe', 'pipe', 'inherit'] })
  let printed = ''
  child.stdout?.on('data', (data: Buffer) => (printed += data.toString()))
  const ready = once(child.stdout ?? child, 'data')
  return { child, ready, said: once(child, 'close').then(() => printed.trim().split('\n').at(-1) ?? '') }
}

afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true })
})

describe('local sink in several processes', () => {
  it('is made by six processes at the same moment', async () => {
    for (let round = 0; round < 8; round++) {
      const path = freshPath()
      const openers = Array.from({ length: 6 }, () => startOpener(path))
      await Promise.all(openers.map(({ ready }) => ready))
      for (const { child } of openers) child.stdin?.write('go')
      expect(await Promise.all(openers.map(({ said }) => said)), `round ${round}`).toEqual(new Array(6).fill('opened 0'))
      await expectWhole(path)
    }
  }, 180_000)

  it('is made by all at once, written by all at once, and loses nothing', async () => {
    const path = freshPath()
    const names = ['one', 'two', 'three']
    const writers = names.map((name) => startWriter(path, name, 12))
    await using sink = await openLocalSink({ path })
    const query = Float32Array.from({ length: 16 }, (_, i) => i)
    // this handle keeps vectors in memory while the others write
    const exits = Promise.all(writers.map(async ({ child }) => (await once(child, 'exit'))[0]))
    let isRunning = true
    const finished = exits.then(() => (isRunning = false))
    while (isRunning) {
      expect(await idsAgree(sink, query)).toBe(true)
      await new Promise(setImmediate)
    }
    await finished
    expect(await exits).toEqual([0, 0, 0])
    expect(await sink.count()).toBe(names.length * 12 * ROWS_LEFT)
    for (const name of names) expect(await sink.matching(`${name}batch7`, 100)).toHaveLength(ROWS_LEFT)
    expect(await sink.nearest(query, 1000)).toHaveLength(names.length * 12 * ROWS_LEFT)
    await expectWhole(path)
  })

  it('holds every acknowledged batch, and no half of another, when its writer is killed', async () => {
    const path = freshPath()
    for (const name of ['first', 'second']) {
      const { child, stored } = startWriter(path, name, 100_000)
      while (stored().length < 5) await once(child.stdout ?? child, 'data')
      child.kill('SIGKILL')
      await once(child, 'close')
      await using sink = await openLocalSink({ path })
      for (const batch of stored()) {
        const number = batch.split('-')[1] ?? ''
        const hits = await sink.matching(`${name}batch${number}`, 100, { session: name, since: Number(number), until: Number(number) })
        expect(new Set(hits.map(({ id }) => id)).size).toBe(ROWS_LEFT)
      }
      await expectWhole(path)
    }
  })
})

/**
 * No document is found twice, and as many are found as are there. Each writer adds ten, takes one away, adds ten ...,
 * so from any moment on there are at most three fewer for the three of them.
 */
async function idsAgree(sink: Sink, query: Float32Array): Promise<boolean> {
  const before = await sink.count()
  const hits = await sink.nearest(query, 10_000)
  const after = await sink.count()
  return new Set(hits.map(({ id }) => id)).size === hits.length && hits.length >= before - 3 && hits.length <= after + 3
}

/** The three tables hold the same documents, and the full text index is intact. */
async function expectWhole(path: string): Promise<void> {
  using database = await openSqlite(path, { readOnly: false })
  const docs = database.prepare('SELECT doc FROM documents ORDER BY doc').all()
  expect(database.prepare('SELECT doc FROM vectors ORDER BY doc').all()).toEqual(docs)
  expect(database.prepare('SELECT rowid FROM words ORDER BY rowid').all()).toEqual(docs)
  expect(database.prepare('PRAGMA integrity_check').all()).toEqual([['ok']])
  database.exec("INSERT INTO words (words) VALUES ('integrity-check')")
}
