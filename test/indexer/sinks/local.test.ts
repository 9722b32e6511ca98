import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { gunzipSync } from 'node:zlib'
import { afterEach, describe, expect, it } from 'vitest'
import type { HeldDocument } from '../../../src/indexer/ports.js'
import { type LocalSinkOptions, localSinkPath, openLocalSink } from '../../../src/indexer/sinks/local.js'
import { openSqlite } from '../../../src/storage/sqlite/driver.js'
import { describeSink, sinkRow } from '../../contracts/sink.js'
import { libraryForOthers, runAsNobody } from '../../support/as-nobody.js'

const folders: string[] = []

function freshPath(): string {
  const folder = mkdtempSync(join(tmpdir(), 'spanleaf-sink-'))
  folders.push(folder)
  return join(folder, 'index', 'sink.db')
}

afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true })
})

const open = (options: Partial<LocalSinkOptions> = {}) => openLocalSink({ path: freshPath(), ...options })

describeSink('local', () => open())
describeSink('local without memory for vectors', () => open({ maxVectorBytes: 0 }), { runs: 10 })

describe('local sink file', () => {
  it('is private, and so is its folder', async () => {
    const path = freshPath()
    await using sink = await openLocalSink({ path })
    await sink.upsert([sinkRow('a')])
    for (const file of [path, `${path}-wal`, `${path}-shm`]) expect(statSync(file).mode & 0o777, file).toBe(0o600)
    expect(statSync(join(path, '..')).mode & 0o777).toBe(0o700)
  })

  it('holds its documents after it was closed, and takes a second close', async () => {
    const path = freshPath()
    const first = await openLocalSink({ path })
    await first.upsert([sinkRow('a', 'apple', [1, 2]), sinkRow('b', 'banana', [2, 1])])
    await first[Symbol.asyncDispose]()
    await first[Symbol.asyncDispose]()
    await expect(first.count()).rejects.toMatchObject({ code: 'SINK_FAILED' })
    await using second = await openLocalSink({ path })
    expect(await second.count()).toBe(2)
    expect(await second.matching('banana', 5)).toMatchObject([{ id: 'b' }])
    expect(await second.nearest(sinkRow('x', '', [1, 2]).vector, 1)).toMatchObject([{ id: 'a' }])
  })

  it('refuses a newer schema, another database, and what is no database', async () => {
    const newer = freshPath()
    await (await openLocalSink({ path: newer }))[Symbol.asyncDispose]()
    await change(newer, 'PRAGMA user_version = 4')
    await expect(openLocalSink({ path: newer })).rejects.toMatchObject({ code: 'STATE_TOO_NEW', path: newer })

    const foreign = join(newer, '..', 'foreign.db')
    await change(foreign, 'CREATE TABLE session (id TEXT)')
    await expect(openLocalSink({ path: foreign })).rejects.toMatchObject({ code: 'STORE_UNSUPPORTED' })

    const text = join(newer, '..', 'text.db')
    writeFileSync(text, 'this is no database at all. '.repeat(100))
    await expect(openLocalSink({ path: text })).rejects.toMatchObject({ code: 'STATE_DAMAGED' })
    await expect(openLocalSink({ path: join(text, 'below', 'sink.db') })).rejects.toMatchObject({ code: 'STATE_UNAVAILABLE' })
    await expect(openLocalSink({ path: '' })).rejects.toMatchObject({ code: 'INVALID_OPTION' })
  })

  it('waits no longer than it was told for a process that writes, and then works again', async () => {
    const path = freshPath()
    await using sink = await openLocalSink({ path, busyTimeoutMs: 10 })
    using writer = await openSqlite(path, { readOnly: false })
    writer.exec('BEGIN IMMEDIATE')
    await expect(sink.upsert([sinkRow('a')])).rejects.toMatchObject({ code: 'SINK_FAILED', retryable: true })
    expect(await sink.count()).toBe(0)
    writer.exec('ROLLBACK')
    await sink.upsert([sinkRow('a')])
    expect(await sink.count()).toBe(1)
  })

  it.each(['upsert', 'delete'] as const)('leaves the thread free while another process writes (%s)', async (call) => {
    const path = freshPath()
    await using sink = await openLocalSink({ path })
    await sink.upsert([sinkRow('a')])
    // It holds the file until this very thread has had its turn.
    using writer = await openSqlite(path, { readOnly: false })
    writer.exec('BEGIN IMMEDIATE')
    const turns = setTimeout(() => writer.exec('ROLLBACK'), 50)
    const write = call === 'upsert' ? sink.upsert([sinkRow('b')]) : sink.delete(['a'])
    expect(await sink.count()).toBe(1)
    await write
    clearTimeout(turns)
    expect(await sink.count()).toBe(call === 'upsert' ? 2 : 0)
  })

  it('writes in the order in which it was asked, however long the first had to wait', async () => {
    const path = freshPath()
    await using sink = await openLocalSink({ path })
    using writer = await openSqlite(path, { readOnly: false })
    writer.exec('BEGIN IMMEDIATE')
    const first = sink.upsert([sinkRow('a', 'apple'), sinkRow('b')])
    await delay(100) // it tries again every 20 ms by now
    writer.exec('ROLLBACK')
    await Promise.all([first, sink.upsert([sinkRow('a', 'banana')]), sink.delete(['b'])])
    expect(await sink.matching('banana', 5)).toMatchObject([{ id: 'a' }])
    expect(await sink.count()).toBe(1)
  })

  it('ends its waiting with the signal, and when it is closed', async () => {
    const path = freshPath()
    const sink = await openLocalSink({ path })
    using writer = await openSqlite(path, { readOnly: false })
    writer.exec('BEGIN IMMEDIATE')
    const abort = new AbortController()
    const reason = new Error('enough')
    const given = sink.upsert([sinkRow('a')], { signal: abort.signal })
    abort.abort(reason)
    await expect(given).rejects.toBe(reason)
    const left = sink.upsert([sinkRow('a')])
    await sink[Symbol.asyncDispose]()
    await expect(left).rejects.toMatchObject({ code: 'SINK_FAILED', reason: 'the sink is closed' })
    writer.exec('ROLLBACK')
  })

  it('leaves nothing of a forgotten text in its tables', async () => {
    const path = freshPath()
    await using sink = await openLocalSink({ path })
    await sink.upsert([sinkRow('a', 'unforgettable'), sinkRow('b', 'kept')])
    await sink.delete(['a'])
    using reader = await openSqlite(path, { readOnly: true })
    expect(reader.prepare("SELECT count(*) FROM documents WHERE text LIKE '%unforgettable%'").get()).toEqual([0])
    for (const table of ['documents', 'vectors', 'words']) expect(reader.prepare(`SELECT count(*) FROM ${table}`).get(), table).toEqual([1])
  })
})

/** A file as version 0.1.0 made it, with two documents, `a` and `b`. */
function oldFile(): string {
  const path = freshPath()
  mkdirSync(dirname(path))
  writeFileSync(path, gunzipSync(readFileSync(new URL('local-version-1.db.gz', import.meta.url))))
  return path
}

async function heldBy(sink: { ids(): AsyncIterable<HeldDocument> }): Promise<HeldDocument[]> {
  const held: HeldDocument[] = []
  for await (const document of sink.ids()) held.push(document)
  return held
}

describe('local sink of schema version 1', () => {
  const old = [
    { id: 'a', text_hash: 'hash of apple of yesterday', rev: 0 },
    { id: 'b', text_hash: 'hash of banana split', rev: 0 },
  ]

  it('keeps its documents when it is opened, as written before any other write', async () => {
    const path = oldFile()
    {
      await using sink = await openLocalSink({ path, space: 'hash/1/8' })
      expect(await heldBy(sink)).toEqual(old)
      expect(await sink.matching('banana', 5)).toMatchObject([{ id: 'b', metadata: { role: 'assistant', rev: 0, space: '' } }])
      await sink.upsert([sinkRow('a', 'apricot', [3], { rev: 7, space: 'cafe0123', inherited: true })])
    }
    await using sink = await openLocalSink({ path, space: 'hash/1/8' })
    expect(await sink.matching('apricot', 5)).toMatchObject([{ id: 'a', metadata: { inherited: true } }])
    expect((await sink.matching('banana', 5))[0]?.metadata).not.toHaveProperty('inherited')
    expect(await heldBy(sink)).toEqual([{ id: 'a', text_hash: 'hash of apricot', rev: 7 }, old[1]])
    expect(await sink.nearest(sinkRow('q').vector, 1)).toMatchObject([{ id: 'a', metadata: { rev: 7, space: 'cafe0123' } }])
    expect(await sink.matching('apple', 5)).toEqual([])
  })

  it('is read as it is when it is opened to be read, also while another process brings it to the new version', async () => {
    const path = oldFile()
    const bytes = readFileSync(path)
    await using reader = await openLocalSink({ path, readOnly: true })
    expect(await heldBy(reader)).toEqual(old)
    expect(await reader.matching('apple', 5)).toMatchObject([{ id: 'a', metadata: { rev: 0, space: '' } }])
    expect(await reader.nearest(sinkRow('q', '', [1, 2]).vector, 1)).toMatchObject([{ id: 'a', metadata: { title: 'A title' } }])
    expect(readFileSync(path)).toEqual(bytes)
    await using writer = await openLocalSink({ path })
    await writer.upsert([sinkRow('c', 'cherry', [1, 2], { rev: 7 })])
    expect((await heldBy(reader)).map(({ id }) => id)).toEqual(['a', 'b', 'c'])
    expect(await reader.matching('cherry', 5)).toMatchObject([{ id: 'c', text: 'cherry' }])
  })
})

describe('local sink of a space', () => {
  it('has a file of its own; that of the first space is where it always was', () => {
    expect(localSinkPath('/x', 'cafe0123', { isFirst: true })).toBe(join('/x', 'documents.db'))
    expect(localSinkPath('/x', 'cafe0123', { isFirst: false })).toBe(join('/x', 'documents-cafe0123.db'))
  })

  it('leaves no file when it is dropped, and nothing of its texts while another process has it open', async () => {
    const path = freshPath()
    const sink = await openLocalSink({ path })
    await sink.upsert([sinkRow('a', 'unforgettable')])
    await sink.drop?.()
    await sink.drop?.()
    expect(readdirSync(dirname(path))).toEqual([])
    await expect(sink.count()).rejects.toMatchObject({ code: 'SINK_FAILED' })

    const again = await openLocalSink({ path })
    await again.upsert([sinkRow('a', 'unforgettable')])
    const other = await openLocalSink({ path })
    expect(await other.count()).toBe(1)
    await again.drop?.()
    for (const name of readdirSync(dirname(path))) expect(readFileSync(join(dirname(path), name)).includes('unforgettable'), name).toBe(false)
    await expect(other.count()).rejects.toMatchObject({ code: 'SINK_FAILED' })
    await expect(other.upsert([sinkRow('b')])).rejects.toMatchObject({ code: 'SINK_FAILED' })
    await other[Symbol.asyncDispose]()
    await using fresh = await openLocalSink({ path, space: 'model/4' })
    expect(await fresh.count()).toBe(0)
  })
})

describe('local sink space', () => {
  it('is the one it was opened with, else the one it holds, else none', async () => {
    const path = freshPath()
    {
      await using unknown = await openLocalSink({ path })
      expect(unknown.space).toBeUndefined()
      await using sink = await openLocalSink({ path, space: 'hash/1/8' })
      expect(sink.space).toBe('hash/1/8')
      await sink.upsert([sinkRow('a')])
    }
    await using again = await openLocalSink({ path })
    expect(again.space).toBe('hash/1/8')
  })
})

describe('local sink scrub', () => {
  const filler = (i: number): string => `kept number ${i} ${'of many words that stay here '.repeat(30 + (i % 40))}`
  const SECRET = 'qjxzvkwq'
  const holding = (path: string, needle: string): readonly string[] =>
    readdirSync(dirname(path)).filter((name) => readFileSync(join(dirname(path), name)).includes(needle))

  it('leaves no byte of a deleted text, of its terms or of its metadata in any file', async () => {
    const path = freshPath()
    await using sink = await openLocalSink({ path })
    const needles = [SECRET, 'wvbzxqk', 'Zqwpvjk', 'secretfolder', 'secretmessage']
    const secret = (i: number) =>
      sinkRow(`secret${i}`, `wvbzxqk${i} ${SECRET} ${'plain words '.repeat(i * 10)} ZqwpvjkTail`, [i], {
        directory: `/secretfolder/${i}`,
        message_id: `secretmessage${i}`,
      })
    for (let i = 0; i < 60; i++) await sink.upsert([sinkRow(`k${i}`, filler(i)), secret(i), sinkRow(`l${i}`, filler(i))])
    for (const needle of needles) expect(holding(path, needle), needle).not.toEqual([])
    await sink.delete(Array.from({ length: 60 }, (_, i) => `secret${i}`))
    await sink.upsert([sinkRow('k7', filler(7))])
    expect(holding(path, SECRET)).not.toEqual([])
    await sink.scrub?.()
    for (const needle of needles) expect(holding(path, needle), needle).toEqual([])
    expect(await sink.count()).toBe(120)
    expect(await sink.matching('kept', 1000)).toHaveLength(120)
  })

  it('leaves no copy behind of what SQLite moved from page to page while documents came and went', async () => {
    const path = freshPath()
    await using sink = await openLocalSink({ path })
    let seed = 25
    const random = (below: number): number => {
      seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0
      return Math.floor((seed / 2 ** 32) * below)
    }
    const secrets = new Set<string>()
    for (let i = 0; i < 1500; i += 10) {
      const rows = Array.from({ length: 10 }, (_, j) => {
        const word = random(10) < 4 ? SECRET : 'kept'
        const metadata = { session_id: `${random(1e6)}${word}`, directory: `${random(1e6)}${word}`, created_at: random(1e6) }
        return sinkRow(`${random(1e9)}-${i + j}`, `${word} ${'abc '.repeat(random(300))}`, [1], metadata)
      })
      await sink.upsert(rows)
      for (const { id, text } of rows) if (text.startsWith(SECRET)) secrets.add(id)
      const gone = random(10) < 3 ? [...secrets].filter(() => random(2) === 0) : []
      await sink.delete(gone)
      for (const id of gone) secrets.delete(id)
    }
    await sink.delete([...secrets])
    await sink.scrub?.()
    expect(holding(path, SECRET)).toEqual([])
  })

  it('leaves nothing of a text that was the only one, nor of one that was replaced', async () => {
    const path = freshPath()
    await using sink = await openLocalSink({ path })
    await sink.upsert([sinkRow('a', `the ${SECRET} text`)])
    await sink.upsert([sinkRow('a', 'another text')])
    await sink.scrub?.()
    expect(holding(path, SECRET)).toEqual([])
    await sink.upsert([sinkRow('b', `the ${SECRET} text`)])
    await sink.delete(['a', 'b'])
    await sink.scrub?.()
    expect(holding(path, SECRET)).toEqual([])
  })

  it('says so when a reader keeps it from wiping, and wipes once the reader is gone', async () => {
    const path = freshPath()
    await using sink = await openLocalSink({ path, busyTimeoutMs: 10 })
    await sink.upsert([sinkRow('a', `the ${SECRET} text`), sinkRow('b', 'kept')])
    using reader = await openSqlite(path, { readOnly: true })
    reader.exec('BEGIN')
    reader.prepare('SELECT count(*) FROM documents').get()
    await sink.delete(['a'])
    await expect(sink.scrub?.()).rejects.toMatchObject({ code: 'SINK_FAILED', retryable: true })
    reader.exec('COMMIT')
    await sink.scrub?.()
    expect(holding(path, SECRET)).toEqual([])
    expect(await sink.matching('kept', 5)).toMatchObject([{ id: 'b' }])
  })
})

describe('local sink for reading only', () => {
  it('answers as the other does, sees what is written, and writes nothing', async () => {
    const path = freshPath()
    await using writer = await openLocalSink({ path, space: 'hash/1/8' })
    await writer.upsert([sinkRow('a', 'apple', [1, 2]), sinkRow('b', 'banana', [2, 1])])
    await using sink = await openLocalSink({ path, readOnly: true })
    expect(sink.space).toBe('hash/1/8')
    expect(await sink.count()).toBe(2)
    expect(await sink.matching('banana', 5)).toMatchObject([{ id: 'b' }])
    expect(await sink.nearest(sinkRow('x', '', [1, 2]).vector, 1)).toMatchObject([{ id: 'a' }])
    await writer.upsert([sinkRow('c', 'cherry', [1, 2])])
    expect(await sink.matching('cherry', 5)).toMatchObject([{ id: 'c' }])
    for (const write of [sink.upsert([sinkRow('d')]), sink.delete(['a']), sink.scrub?.()])
      await expect(write).rejects.toMatchObject({ code: 'INVALID_OPTION' })
    expect(await writer.count()).toBe(3)
    await expect(openLocalSink({ path, readOnly: true, space: 'model/8' })).rejects.toMatchObject({ code: 'SINK_MISMATCH' })
  })

  it('is refused where there is none, and makes none', async () => {
    const path = freshPath()
    await expect(openLocalSink({ path, readOnly: true })).rejects.toMatchObject({ code: 'STORE_MISSING', path })
    expect(existsSync(dirname(path))).toBe(false)
    mkdirSync(dirname(path))
    writeFileSync(path, '')
    await expect(openLocalSink({ path, readOnly: true })).rejects.toMatchObject({ code: 'STORE_MISSING', path })
    expect(statSync(path).size).toBe(0)
  })

  it('refuses a newer schema and another database', async () => {
    const path = freshPath()
    await (await openLocalSink({ path }))[Symbol.asyncDispose]()
    await change(path, 'PRAGMA user_version = 4')
    await expect(openLocalSink({ path, readOnly: true })).rejects.toMatchObject({ code: 'STATE_TOO_NEW', path })
    const foreign = join(dirname(path), 'foreign.db')
    await change(foreign, 'CREATE TABLE session (id TEXT)')
    await expect(openLocalSink({ path: foreign, readOnly: true })).rejects.toMatchObject({ code: 'STORE_UNSUPPORTED' })
  })

  it('keeps the modes of the file and of its folder', async () => {
    const path = freshPath()
    await (await openLocalSink({ path }))[Symbol.asyncDispose]()
    chmodSync(path, 0o640)
    chmodSync(dirname(path), 0o750)
    await using sink = await openLocalSink({ path, readOnly: true })
    expect(await sink.count()).toBe(0)
    expect(statSync(path).mode & 0o777).toBe(0o640)
    expect(statSync(dirname(path)).mode & 0o777).toBe(0o750)
  })

  it('works in a folder that cannot be written', async () => {
    const path = freshPath()
    const folder = dirname(dirname(path))
    {
      await using sink = await openLocalSink({ path })
      await sink.upsert([sinkRow('a', 'apple'), sinkRow('b', 'banana')])
    }
    for (const [place, mode] of [
      [path, 0o444],
      [dirname(path), 0o555],
      [folder, 0o755],
    ] as const)
      chmodSync(place, mode)
    const library = libraryForOthers(folder)
    const body = `
      const { openLocalSink } = await import(${JSON.stringify(join(library, 'dist', 'indexer', 'sinks', 'local.js'))})
      const sink = await openLocalSink({ path: data, readOnly: true })
      return (await sink.matching('banana', 5)).map(({ id }) => id)`
    expect(runAsNobody(library, path, body)).toEqual(['b'])
    expect(readdirSync(dirname(path))).toEqual(['sink.db'])
    expect(runAsNobody(library, join(folder, 'none', 'sink.db'), body)).toMatchObject({ code: 'STORE_MISSING' })
    chmodSync(path, 0o400)
    expect(runAsNobody(library, path, body)).toMatchObject({ code: 'STORE_UNREADABLE', path })
    chmodSync(dirname(path), 0o700)
    expect(runAsNobody(library, path, body)).toMatchObject({ code: 'STORE_UNREADABLE', path })
    chmodSync(dirname(path), 0o755)
  })
})

describe('local sink vectors', () => {
  const query = sinkRow('q', '', [1, 0]).vector

  it('must all have one length and be finite, or nothing of the call is stored', async () => {
    await using sink = await open()
    const short = { ...sinkRow('b'), vector: new Float32Array(4).fill(1) }
    await expect(sink.upsert([sinkRow('a'), short])).rejects.toMatchObject({ code: 'EMBEDDING_INVALID' })
    await expect(sink.upsert([sinkRow('a'), sinkRow('b', 'x', [Number.NaN])])).rejects.toMatchObject({ code: 'EMBEDDING_INVALID' })
    expect(await sink.count()).toBe(0)
    await sink.upsert([sinkRow('a')])
    await expect(sink.upsert([short])).rejects.toMatchObject({ code: 'SINK_MISMATCH' })
    await expect(sink.nearest(short.vector, 1)).rejects.toMatchObject({ code: 'SINK_MISMATCH' })
    expect(await sink.count()).toBe(1)
  })

  it('are of one space, until all are gone', async () => {
    const path = freshPath()
    {
      await using sink = await openLocalSink({ path, space: 'hash/1/8' })
      await sink.upsert([sinkRow('a')])
    }
    await expect(openLocalSink({ path, space: 'model/8' })).rejects.toMatchObject({ code: 'SINK_MISMATCH' })
    {
      await using unchecked = await openLocalSink({ path })
      await unchecked.delete(['a'])
    }
    await using sink = await openLocalSink({ path, space: 'model/4' })
    await sink.upsert([{ ...sinkRow('b'), vector: new Float32Array(4).fill(1) }])
    expect(await sink.nearest(new Float32Array(4).fill(2), 1)).toMatchObject([{ id: 'b' }])
    await using other = await openLocalSink({ path })
    await other.delete(['b'])
    await other.upsert([sinkRow('c', 'c', [1])])
    expect(await sink.nearest(query, 1)).toMatchObject([{ id: 'c' }])
  })

  it('may have length 0, and are then like nothing', async () => {
    await using sink = await open()
    await sink.upsert([sinkRow('zero', 'x', [0]), sinkRow('one', 'x', [1])])
    expect(await sink.nearest(query, 5)).toMatchObject([
      { id: 'one', score: 1 },
      { id: 'zero', score: 0 },
    ])
    expect(await sink.nearest(new Float32Array(8), 1)).toMatchObject([{ score: 0 }])
  })

  it('are seen by a second handle as soon as they are written, in both directions', async () => {
    const path = freshPath()
    await using one = await openLocalSink({ path })
    await using two = await openLocalSink({ path })
    const seen = async (sink: typeof one) => (await sink.nearest(query, 9)).map(({ id }) => id).join('')
    await one.upsert([sinkRow('a', 'apple', [1, 3]), sinkRow('b', 'banana', [1, 2])])
    expect(await Promise.all([seen(one), seen(two)])).toEqual(['ba', 'ba'])
    await two.upsert([sinkRow('c', 'cherry', [1, 1])])
    expect(await Promise.all([seen(one), seen(two)])).toEqual(['cba', 'cba'])
    await one.upsert([sinkRow('a', 'apricot', [1, 0])])
    await two.delete(['b'])
    await one.upsert([sinkRow('d', 'date', [1, 5])])
    expect(await Promise.all([seen(one), seen(two)])).toEqual(['acd', 'acd'])
    expect(await two.matching('apricot', 5)).toMatchObject([{ id: 'a' }])
    expect(await two.matching('apple', 5)).toEqual([])
  })
})

describe('local sink full text', () => {
  const ids = (hits: readonly { readonly id: string }[]) => hits.map(({ id }) => id)

  it('finds identifiers whole, by their pieces and across notations', async () => {
    await using sink = await open()
    await sink.upsert([
      sinkRow('camel', 'call parseSpanTree(bytes) here'),
      sinkRow('snake', 'the column next_run_at is ordered'),
      sinkRow('path', 'edit src/indexer/ports.ts please'),
      sinkRow('words', 'a tree that spans the garden'),
    ])
    expect(ids(await sink.matching('parseSpanTree', 9))).toEqual(['camel'])
    expect(ids(await sink.matching('parsespantree', 9))).toEqual(['camel'])
    expect(ids(await sink.matching('"span tree"', 9))).toEqual(['camel'])
    expect(ids(await sink.matching('next_run_at', 9))).toEqual(['snake'])
    expect(ids(await sink.matching('nextRunAt', 9))).toEqual(['snake'])
    expect(ids(await sink.matching('src/indexer/ports.ts', 9))).toEqual(['path'])
    expect(ids(await sink.matching('bytes(indexer)', 9)).sort()).toEqual(['camel', 'path'])
    expect(ids(await sink.matching('indexer', 9))).toEqual(['path'])
  })

  it('takes the last word as a beginning too, and quoted words as a phrase', async () => {
    await using sink = await open()
    await sink.upsert([sinkRow('a', 'the tombstones are paged'), sinkRow('b', 'paged are the ledgers')])
    expect(ids(await sink.matching('tombst', 9))).toEqual(['a'])
    expect(ids(await sink.matching('tombst absent', 9))).toEqual([])
    expect(ids(await sink.matching('"are paged"', 9))).toEqual(['a'])
  })

  it('knows accents as their letters, and finds inside of unspaced scripts', async () => {
    await using sink = await open()
    await sink.upsert([sinkRow('a', 'un café noir'), sinkRow('b', 'セッションの検索を実装する'), sinkRow('c', 'naı\u0308ve क्षत्रिय')])
    expect(ids(await sink.matching('cafe', 9))).toEqual(['a'])
    expect(ids(await sink.matching('検索', 9))).toEqual(['b'])
    expect(ids(await sink.matching('क्षत्रिय', 9))).toEqual(['c'])
  })
})

async function change(path: string, sql: string): Promise<void> {
  using database = await openSqlite(path, { readOnly: false })
  database.exec(sql)
  expect(existsSync(path)).toBe(true)
  chmodSync(path, 0o600)
}
