/** Whose the file is, and what happens to it. */
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { systemClock } from '../../src/core/clock.js'
import { type Catalog, openCatalog } from '../../src/tree/catalog/catalog.js'
import { SECOND_NAME } from '../../src/tree/catalog/file.js'
import { APPLICATION, SCHEMA_VERSION } from '../../src/tree/catalog/schema.js'
import { readQuery } from '../../src/tree/sessions/session-page.js'
import { listed, manyEntries, plainly, storeOf } from '../support/catalog-world.js'
import { tempFolder } from '../support/temp.js'

const STORE = storeOf()
const ENTRIES = manyEntries(300)
const IDS = ENTRIES.map(({ key }) => key.session)

const open = (home: string): Promise<Catalog> => openCatalog({ home, clock: systemClock })
const fill = (catalog: Catalog): Promise<number | undefined> => catalog.write(STORE, listed(ENTRIES, 'm'), plainly(STORE))
const read = (catalog: Catalog): readonly string[] => catalog.page(readQuery({ limit: 1000 }), [STORE]).sessions.map(({ id }) => id)

/** Makes a database, and gives its bytes. */
function database(path: string, sql: string): Buffer {
  const made = new Database(path)
  made.exec(sql)
  made.close()
  return readFileSync(path)
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path)
  } catch {
    return ''
  }
}

describe('the file of the catalog', () => {
  it('is made with its folder, both for their owner alone', async () => {
    using folder = tempFolder()
    const home = join(folder.path, 'new', 'home')
    using catalog = await open(home)
    await fill(catalog)
    expect([catalog.path, catalog.rebuilt, catalog.issues]).toEqual([join(home, 'sessions.idx.db'), undefined, []])
    expect(statSync(home).mode & 0o777).toBe(0o700)
  })

  it('is closed to others when it was open to them', async () => {
    using folder = tempFolder()
    ;(await open(folder.path))[Symbol.dispose]()
    const path = join(folder.path, 'sessions.idx.db')
    chmodSync(path, 0o644)
    using catalog = await open(folder.path)
    await fill(catalog)
    for (const name of [path, `${path}-wal`, `${path}-shm`]) expect(statSync(name).mode & 0o777).toBe(0o600)
  })

  it('is of large pages when it is made, and goes on with the smaller ones that it was once made of', async () => {
    using folder = tempFolder()
    const path = join(folder.path, 'sessions.idx.db')
    const pageBytes = (): number => readFileSync(path).readUInt16BE(16)
    {
      using catalog = await open(folder.path)
      await fill(catalog)
    }
    expect(pageBytes()).toBe(8192)
    database(path, 'PRAGMA journal_mode = DELETE; PRAGMA page_size = 4096; VACUUM; PRAGMA journal_mode = WAL')
    expect(pageBytes()).toBe(4096)
    using catalog = await open(folder.path)
    expect([read(catalog), catalog.rebuilt]).toEqual([IDS, undefined])
    await catalog.write(STORE, listed(ENTRIES.slice(1)), plainly(STORE))
    expect(read(catalog)).toEqual(IDS.slice(1))
    expect(pageBytes()).toBe(4096)
  })

  it('is known as ours from its first bytes at once, before anything of the -wal is in it', async () => {
    using folder = tempFolder()
    using _catalog = await open(folder.path)
    const header = readFileSync(join(folder.path, 'sessions.idx.db'))
    expect([header.readUInt32BE(68), header.readUInt32BE(60)]).toEqual([APPLICATION, SCHEMA_VERSION])
  })

  const strangers: readonly (readonly [string, (path: string) => void, RegExp])[] = [
    [
      'a newer version of it',
      (path) => database(path, `PRAGMA application_id = ${APPLICATION}; PRAGMA user_version = 99; CREATE TABLE t (a)`),
      /newer version/,
    ],
    ['a database of another program', (path) => database(path, 'CREATE TABLE notes (text)'), /another program/],
    ['no database', (path) => writeFileSync(path, 'my notes '.repeat(100)), /no database/],
    ['a link', (path) => symlinkSync(join(path, '..', 'nowhere'), path), /no regular file/],
    ['a folder', (path) => mkdirSync(path), /no regular file/],
  ]

  it.each(strangers)('is beside %s, which is left as it is', async (_name, make, reason) => {
    using folder = tempFolder()
    const path = join(folder.path, 'sessions.idx.db')
    make(path)
    const before = statSync(path, { throwIfNoEntry: false })?.isFile() ? readFileSync(path) : undefined
    for (let times = 0; times < 2; times++) {
      using catalog = await open(folder.path)
      await fill(catalog)
      expect(read(catalog)).toEqual(IDS)
      expect(catalog.path).toBe(join(folder.path, SECOND_NAME))
      expect(catalog.issues).toMatchObject([{ code: 'CATALOG_UNAVAILABLE', path, reason: expect.stringMatching(reason) }])
    }
    if (before !== undefined) expect(readFileSync(path).equals(before)).toBe(true)
    expect(existsSync(join(folder.path, 'nowhere'))).toBe(false)
    expect(existsSync(`${path}-wal`)).toBe(false)
  })

  it('is not where both of its names are taken, or where no folder can be', async () => {
    using folder = tempFolder()
    for (const name of ['sessions.idx.db', SECOND_NAME]) writeFileSync(join(folder.path, name), 'notes')
    await expect(open(folder.path)).rejects.toMatchObject({ code: 'CATALOG_UNAVAILABLE' })
    expect(readFileSync(join(folder.path, 'sessions.idx.db'), 'utf8')).toBe('notes')
    await expect(open(join(folder.path, 'sessions.idx.db', 'home'))).rejects.toMatchObject({ code: 'CATALOG_UNAVAILABLE' })
  })

  it('is made anew where it is of an older version, and where it lost a table', async () => {
    using folder = tempFolder()
    database(join(folder.path, 'sessions.idx.db'), `PRAGMA application_id = ${APPLICATION}; CREATE TABLE t (a)`)
    {
      using catalog = await open(folder.path)
      expect(catalog.rebuilt).toMatch(/older version/)
      await fill(catalog)
    }
    for (const table of ['stores', 'sessions', 'titles']) {
      database(join(folder.path, 'sessions.idx.db'), `DROP TABLE ${table}`)
      using catalog = await open(folder.path)
      expect(catalog.rebuilt).toMatch(/damaged.*no such table/)
      expect(catalog.knows(STORE)).toBe(false)
      await fill(catalog)
      expect(read(catalog)).toEqual(IDS)
    }
  })

  it('still gives what it has when it is deleted while it is open, and is there again after the next write', async () => {
    using folder = tempFolder()
    using catalog = await open(folder.path)
    await fill(catalog)
    for (const end of ['', '-wal', '-shm']) rmSync(join(folder.path, `sessions.idx.db${end}`))
    expect(read(catalog)).toEqual(IDS)
    await fill(catalog)
    expect(catalog.rebuilt).toMatch(/deleted or replaced/)
    expect(read(catalog)).toEqual(IDS)
    using other = await open(folder.path)
    expect(read(other)).toEqual(IDS)
  })

  it('is the one that another process made in its place', async () => {
    using folder = tempFolder()
    using catalog = await open(folder.path)
    await fill(catalog)
    for (const end of ['', '-wal', '-shm']) rmSync(join(folder.path, `sessions.idx.db${end}`))
    using other = await open(folder.path)
    const claude = storeOf('claude')
    await other.write(claude, listed([]), plainly(claude))
    await fill(catalog)
    expect(other.knows(STORE)).toBe(true)
    expect(catalog.knows(claude)).toBe(true)
  })

  it.skipIf(!existsSync('/proc/locks'))('keeps its locks when it is opened twice in one process', async () => {
    using folder = tempFolder()
    using catalog = await open(folder.path)
    await fill(catalog)
    const ends = `:${statSync(catalog.path).ino} `
    const isLocked = (): boolean => readFileSync('/proc/locks', 'utf8').includes(ends)
    expect(isLocked()).toBe(true)
    {
      using again = await open(folder.path)
      expect(read(again)).toEqual(IDS)
      expect(isLocked()).toBe(true)
    }
    expect(isLocked()).toBe(true)
    catalog[Symbol.dispose]()
    expect(isLocked()).toBe(false)
    using last = await open(folder.path)
    expect(read(last)).toEqual(IDS)
  })

  it('is not left open where it is closed while it is made anew', async () => {
    using folder = tempFolder()
    const held = (): readonly string[] => readdirSync('/proc/self/fd').filter((fd) => linkOf(`/proc/self/fd/${fd}`).startsWith(folder.path))
    for (let ticks = 0; ticks < 12; ticks++) {
      const catalog = await open(folder.path)
      for (const end of ['', '-wal', '-shm']) rmSync(join(folder.path, `sessions.idx.db${end}`), { force: true })
      const writing = fill(catalog)
      for (let tick = 0; tick < ticks; tick++) await undefined
      catalog[Symbol.dispose]()
      expect([ticks, await writing, held()]).toEqual([ticks, undefined, []])
    }
  })

  it('is left for later where its folder is gone, and one issue says so', async () => {
    using folder = tempFolder()
    const home = join(folder.path, 'home')
    using catalog = await open(home)
    await fill(catalog)
    rmSync(home, { recursive: true })
    writeFileSync(home, '')
    await fill(catalog)
    await fill(catalog)
    expect(catalog.issues).toMatchObject([{ code: 'CATALOG_UNAVAILABLE' }])
    rmSync(home)
    await fill(catalog)
    expect(catalog.issues).toEqual([])
    expect(read(catalog)).toEqual(IDS)
  })
})

describe('a catalog with damaged bytes', () => {
  /** As big as it gets with all of its rows, and nothing in a -wal. */
  async function filled(): Promise<Buffer> {
    using folder = tempFolder()
    const catalog = await open(folder.path)
    await fill(catalog)
    catalog[Symbol.dispose]()
    return readFileSync(join(folder.path, 'sessions.idx.db'))
  }

  const originals = new Map(ENTRIES.map((entry) => [entry.key.session, entry]))

  /** Gives nothing but what was written, whatever it lacks, and after the next write has all. */
  async function survives(home: string): Promise<void> {
    using catalog = await open(home)
    let mark: string | undefined
    try {
      const before = await catalog.before(STORE)
      mark = before?.mark
      for (const entry of before?.entries ?? []) expect(entry).toEqual(originals.get(entry.key.session))
      if (mark !== undefined) expect(before?.entries).toHaveLength(ENTRIES.length)
      expect(IDS).toEqual(expect.arrayContaining([...read(catalog)]))
    } catch (error) {
      expect(error).toMatchObject({ code: 'CATALOG_UNAVAILABLE' })
    }
    await fill(catalog)
    expect(catalog.issues.filter(({ transient }) => transient)).toEqual([])
    const after = await catalog.before(STORE)
    expect(new Map(after?.entries.map((entry) => [entry.key.session, entry]))).toEqual(originals)
  }

  // A case that fails is made smaller before it is told.
  it.each([
    ['anywhere', { numRuns: Number(process.env.SPANLEAF_RUNS ?? 60) }],
    // SQLite gives 157 of the 300 rows without a word, and finds each of the others.
    ['where an index ends early', { seed: 386348859, path: '994', endOnFailure: true }],
  ])('gives nothing that was not written, and is whole after the next write: %s', { timeout: 300_000 }, async (_, runs) => {
    const whole = await filled()
    const harm = fc.record({
      at: fc.nat(whole.length - 1),
      bytes: fc.uint8Array({ minLength: 1, maxLength: 64 }),
    })
    await fc.assert(
      fc.asyncProperty(fc.array(harm, { minLength: 1, maxLength: 6 }), fc.option(fc.nat(whole.length)), async (harms, end) => {
        using folder = tempFolder()
        const path = join(folder.path, 'sessions.idx.db')
        const bytes = Buffer.from(whole)
        for (const { at, bytes: others } of harms) bytes.set(others.subarray(0, bytes.length - at), at)
        writeFileSync(path, bytes)
        if (end !== null) truncateSync(path, end)
        await survives(folder.path)
      }),
      runs,
    )
  })

  it('likewise where the -wal is damaged', { timeout: 300_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
        fc.uint8Array({ minLength: 1, maxLength: 64 }),
        async (place, others) => {
          using folder = tempFolder()
          using copy = tempFolder()
          using catalog = await open(folder.path)
          await fill(catalog)
          for (const end of ['', '-wal'])
            writeFileSync(join(copy.path, `sessions.idx.db${end}`), readFileSync(join(folder.path, `sessions.idx.db${end}`)))
          const wal = join(copy.path, 'sessions.idx.db-wal')
          const bytes = readFileSync(wal)
          const at = Math.floor(place * bytes.length)
          bytes.set(others.subarray(0, bytes.length - at), at)
          writeFileSync(wal, bytes)
          await survives(copy.path)
        },
      ),
      { numRuns: 15 },
    )
  })
})
