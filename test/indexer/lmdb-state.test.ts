import { execFile } from 'node:child_process'
import { chmodSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Key } from 'lmdb'
import { open } from 'lmdb'
import { describe, expect, it } from 'vitest'
import type { MessageId } from '../../src/core/ids.js'
import { openLmdb } from '../../src/indexer/state/lmdb/env.js'
import { openLmdbState, STATE_SCHEMA } from '../../src/indexer/state/lmdb/state.js'
import { A, claimed, describeState, ledgerRow, walRecord } from '../contracts/state.js'
import { keyOf, tempFolder } from '../support/index-world.js'
import { commitsIn } from '../support/lmdb-commits.js'

describeState('lmdb', () => {
  const folder = tempFolder()
  return {
    open: (settings) => openLmdbState({ directory: join(folder.path, 'index'), ...settings }),
    [Symbol.dispose]: () => folder[Symbol.dispose](),
  }
})

async function withEnvironment(path: string, change: (root: ReturnType<typeof open<unknown, Key>>) => void): Promise<void> {
  const root = open<unknown, Key>({ path, noSubdir: true, maxDbs: 24, overlappingSync: false })
  change(root)
  await root.flushed
  await root.close()
}

describe('the folder of the state', () => {
  it('is private', async () => {
    using folder = tempFolder()
    const directory = join(folder.path, 'a', 'index')
    await using _state = await openLmdbState({ directory })
    expect(statSync(directory).mode & 0o777).toBe(0o700)
    expect(readdirSync(directory).sort()).toEqual(['state.mdb', 'state.mdb-lock'])
    for (const file of readdirSync(directory)) expect(statSync(join(directory, file)).mode & 0o777).toBe(0o600)
  })

  it.each([
    [0x6969, 'NFS'],
    [0x517b, 'SMB'],
    [0xff534d42, 'CIFS'],
    [-11317950, 'CIFS'],
    [0x01021997, '9p'],
  ])('is refused on a network file system (%i)', async (type, name) => {
    using folder = tempFolder()
    const options = { directory: folder.path, filesystem: () => type }
    await expect(openLmdbState(options)).rejects.toMatchObject({ code: 'NETWORK_FILESYSTEM', message: expect.stringContaining(name) })
    expect(readdirSync(folder.path)).toEqual([])
    await using state = await openLmdbState({ ...options, force: true })
    expect(state.status().queue.ready).toBe(0)
  })

  it('that is no folder is refused in a sentence', async () => {
    using folder = tempFolder()
    const file = join(folder.path, 'file')
    writeFileSync(file, '')
    await expect(openLmdbState({ directory: file })).rejects.toMatchObject({ code: 'STATE_UNAVAILABLE' })
    await expect(openLmdbState({ directory: '' })).rejects.toMatchObject({ code: 'INVALID_OPTION' })
  })
})

describe('an environment that is not ours', () => {
  it('of a newer schema is refused and left as it is', async () => {
    using folder = tempFolder()
    await (await openLmdbState({ directory: folder.path }))[Symbol.asyncDispose]()
    const path = join(folder.path, 'state.mdb')
    await withEnvironment(path, (root) => root.openDB<unknown, Key>({ name: 'meta' }).putSync('schema', STATE_SCHEMA + 1))
    const before = readFileSync(path)
    await expect(openLmdbState({ directory: folder.path })).rejects.toMatchObject({
      code: 'STATE_TOO_NEW',
      reason: `the index state has schema ${STATE_SCHEMA + 1}, this spanleaf knows up to ${STATE_SCHEMA}`,
    })
    expect(readFileSync(path).equals(before)).toBe(true)
  })

  it('that is no LMDB file is STATE_DAMAGED, and kept', async () => {
    using folder = tempFolder()
    const path = join(folder.path, 'state.mdb')
    writeFileSync(path, Buffer.alloc(16384, 7))
    await expect(openLmdbState({ directory: folder.path })).rejects.toMatchObject({ code: 'STATE_DAMAGED' })
    expect(readFileSync(path).equals(Buffer.alloc(16384, 7))).toBe(true)
  })

  it.each([9000, 20_000])('cut to %i bytes does not end the process', async (size) => {
    using folder = tempFolder()
    const path = join(folder.path, 'state.mdb')
    await withEnvironment(path, (root) => {
      const rows = root.openDB<unknown, Key>({ name: 'rows' })
      for (let i = 0; i < 500; i++) rows.putSync(i, 'x'.repeat(100))
    })
    truncateSync(path, size)
    await expect(openLmdbState({ directory: folder.path })).rejects.toMatchObject({ code: 'STATE_DAMAGED' })
  })

  it('opens once the damage is moved away', async () => {
    using folder = tempFolder()
    const path = join(folder.path, 'state.mdb')
    writeFileSync(path, Buffer.alloc(16384, 7))
    await expect(openLmdbState({ directory: folder.path })).rejects.toMatchObject({ code: 'STATE_DAMAGED' })
    for (const file of [path, `${path}-lock`]) rmSync(file, { force: true })
    await using state = await openLmdbState({ directory: folder.path })
    expect(state.status().ledger.sessions).toBe(0)
  })
})

describe('a transaction', () => {
  const tables = { meta: 'msgpack', rows: 'msgpack' } as const

  it('that throws leaves nothing behind', async () => {
    using folder = tempFolder()
    await using db = await openLmdb({ path: join(folder.path, 'x.mdb'), tables })
    const failing = db.transact((t) => {
      t.rows.putSync('a', 1)
      throw new TypeError('a bug')
    })
    await expect(failing).rejects.toThrow('a bug')
    expect(db.tables.rows.get('a')).toBeUndefined()
  })

  it('whose commit fails runs again on a handle opened anew, and once only takes effect', async () => {
    using folder = tempFolder()
    let faults = 2
    const failpoint = (): void => {
      if (faults-- > 0) throw new Error('MDB_PROBLEM: Unexpected problem - txn should abort')
    }
    await using db = await openLmdb({ path: join(folder.path, 'x.mdb'), tables, failpoint })
    const before = db.tables.rows
    await db.transact((t) => t.rows.putSync('n', Number(t.rows.get('n') ?? 0) + 1))
    expect(db.tables.rows.get('n')).toBe(1)
    expect(db.tables.rows).not.toBe(before)
  })

  it('shares its commit with those that are asked for at the same time, and fails for itself alone', async () => {
    using folder = tempFolder()
    const path = join(folder.path, 'x.mdb')
    await using db = await openLmdb({ path, tables })
    const ends = await Promise.allSettled([
      db.transact((t) => t.rows.putSync('a', 1)),
      db.transact((t) => {
        t.rows.putSync('b', 1)
        throw new TypeError('a bug')
      }),
      // What the one before it did is there, what the failed one did is not.
      db.transact((t) => [t.rows.get('a'), t.rows.get('b')]),
    ])
    expect(ends).toMatchObject([{ status: 'fulfilled' }, { status: 'rejected', reason: { message: 'a bug' } }, { value: [1, undefined] }])
    expect([db.tables.rows.get('a'), db.tables.rows.get('b')]).toEqual([1, undefined])

    const before = commitsIn(path)
    await Promise.all(Array.from({ length: 20 }, (_, i) => db.transact((t) => t.rows.putSync(i, i))))
    expect(commitsIn(path) - before).toBe(1)
    // So do chains that go on as soon as they are told.
    const chain = async (name: string): Promise<void> => {
      for (let step = 0; step < 5; step++) await db.transact((t) => t.rows.putSync(name, step))
    }
    await Promise.all(['c', 'd', 'e'].map(chain))
    expect(commitsIn(path) - before).toBe(6)
  })

  it.each([1, 2, 3])('of several whose commit fails takes effect once, whichever it was (%i)', async (nth) => {
    using folder = tempFolder()
    let passed = 0
    const failpoint = (): void => {
      if (++passed === nth) throw new Error('MDB_PROBLEM: Unexpected problem - txn should abort')
    }
    await using db = await openLmdb({ path: join(folder.path, 'x.mdb'), tables, failpoint })
    await Promise.all([1, 2, 3].map((i) => db.transact((t) => t.rows.putSync('n', Number(t.rows.get('n') ?? 0) + i))))
    expect(db.tables.rows.get('n')).toBe(6)
    expect(passed).toBe(4)
  })

  it('that can never be committed ends with a clear error', async () => {
    using folder = tempFolder()
    const failpoint = (): void => {
      throw Object.assign(new Error('MDB_MAP_FULL: Environment mapsize limit reached'), { code: -30792 })
    }
    await using db = await openLmdb({ path: join(folder.path, 'x.mdb'), tables, failpoint })
    await expect(db.transact((t) => t.rows.putSync('n', 1))).rejects.toMatchObject({ code: 'STATE_UNAVAILABLE' })
    expect(db.tables.rows.get('n')).toBeUndefined()
  })

  it('or a read after close is refused, and says nothing about the file', async () => {
    using folder = tempFolder()
    const db = await openLmdb({ path: join(folder.path, 'x.mdb'), tables })
    await db[Symbol.asyncDispose]()
    await db[Symbol.asyncDispose]()
    const closed = { code: 'STATE_UNAVAILABLE', reason: 'the index is closed' }
    await expect(db.transact(() => 1)).rejects.toMatchObject(closed)
    expect(() => db.tables).toThrow(expect.objectContaining(closed))
    const state = await openLmdbState({ directory: folder.path })
    await state[Symbol.asyncDispose]()
    for (const read of [() => state.status(), () => state.sessions(), () => state.ledger(A), () => state.pending(), () => state.identity()]) {
      expect(read).toThrow(expect.objectContaining(closed))
    }
    await expect(state.sweep()).rejects.toMatchObject(closed)
    await expect(state.claim()).rejects.toMatchObject(closed)
  })
})

it('lmdb is loaded when a state is opened, not when the module is imported', async () => {
  using folder = tempFolder()
  const script = `
    const { openLmdbState } = await import(${JSON.stringify(new URL('../../dist/indexer/state/lmdb/state.js', import.meta.url).href)})
    await import(${JSON.stringify(new URL('../../dist/indexer/indexer.js', import.meta.url).href)})
    await import(${JSON.stringify(new URL('../../dist/indexer/embedding/embed-cache.js', import.meta.url).href)})
    const loaded = () => process.report.getReport().sharedObjects.some((name) => name.includes('lmdb'))
    const before = loaded()
    const state = await openLmdbState({ directory: ${JSON.stringify(folder.path)} })
    process.stdout.write(JSON.stringify([before, loaded()]))
    await state[Symbol.asyncDispose]()
  `
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script])
  expect(JSON.parse(stdout)).toEqual([false, true])
})

describe('keys', () => {
  it('beyond the limit of LMDB are KEY_TOO_LONG and write nothing', async () => {
    using folder = tempFolder()
    await using state = await openLmdbState({ directory: folder.path })
    await state.bind({ space: 's', namespace: 'n' })
    const long = keyOf('s'.repeat(2000))
    await expect(state.observe({ seen: [{ key: long, revision: 'r', meta: 'm', store: '/store' }], gone: [] })).rejects.toMatchObject({
      code: 'KEY_TOO_LONG',
    })
    await state.observe({ seen: [{ key: A, revision: 'r', meta: 'm', store: '/store' }], gone: [] })
    const ledger = [{ message: 'm'.repeat(2000) as MessageId, row: ledgerRow() }]
    const claim = await claimed(state)
    await expect(state.walAppend(claim, walRecord({ ledger }))).rejects.toMatchObject({ code: 'KEY_TOO_LONG' })
    expect(state.status().wal.records).toBe(0)
  })

  it('may hold ids of 800 bytes on both levels', async () => {
    using folder = tempFolder()
    await using state = await openLmdbState({ directory: folder.path })
    await state.bind({ space: 's', namespace: 'n' })
    const key = keyOf('é'.repeat(400))
    await state.observe({ seen: [{ key, revision: 'r', meta: 'm', store: '/store' }], gone: [] })
    const claim = await claimed(state)
    const ledger = [{ message: 'm'.repeat(800) as MessageId, row: ledgerRow() }]
    await state.commit(claim, { ledger })
    expect(state.ledger(key).size).toBe(1)
  })
})

describe('rows', () => {
  it('[F26] that cannot be read are STATE_DAMAGED, never taken for missing', async () => {
    using folder = tempFolder()
    const observation = { seen: [{ key: A, revision: 'r', meta: 'm', store: '/store' }], gone: [] }
    {
      await using state = await openLmdbState({ directory: folder.path })
      await state.observe(observation)
    }
    await withEnvironment(join(folder.path, 'state.mdb'), (root) => {
      root.openDB<unknown, Key>({ name: 'sess', encoding: 'binary' }).putSync([A.agent, A.session], Buffer.from([0xc1, 0xff, 0x00]))
    })
    await using state = await openLmdbState({ directory: folder.path })
    await expect(state.observe(observation)).rejects.toMatchObject({ code: 'STATE_DAMAGED' })
    await expect(state.claim()).rejects.toMatchObject({ code: 'STATE_DAMAGED' })
    expect(() => state.sessions()).toThrow(expect.objectContaining({ code: 'STATE_DAMAGED' }))
    expect(state.status().queue.ready).toBe(1)
  })

  it('without the fields of later versions get their defaults', async () => {
    using folder = tempFolder()
    await (await openLmdbState({ directory: folder.path }))[Symbol.asyncDispose]()
    await withEnvironment(join(folder.path, 'state.mdb'), (root) => {
      root.openDB<unknown, Key>({ name: 'sess' }).putSync([A.agent, A.session], { observedRev: 'r' })
    })
    await using state = await openLmdbState({ directory: folder.path })
    expect(state.sessions()).toMatchObject([{ key: A, revision: 'r', store: '', gone: false, stranded: true }])
  })
})

it('is readable only by its owner even when the folder was open before', async () => {
  using folder = tempFolder()
  chmodSync(folder.path, 0o755)
  await using _state = await openLmdbState({ directory: folder.path })
  expect(statSync(folder.path).mode & 0o777).toBe(0o700)
})
