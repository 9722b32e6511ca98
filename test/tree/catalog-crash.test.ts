/** Processes that are killed while they write the catalog, and several at once. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import Database from 'better-sqlite3'
import { describe, expect, it } from 'vitest'
import { systemClock } from '../../src/core/clock.js'
import { openSessions } from '../../src/open.js'
import { openCatalog } from '../../src/tree/catalog/catalog.js'
import type { Sessions } from '../../src/tree/sessions/sessions.js'
import { everyEra } from '../support/every-era.js'
import { seeded } from '../support/generated.js'
import { tempFolder } from '../support/temp.js'

const CHILD = fileURLToPath(new URL('../support/catalog-child.mjs', import.meta.url))
const DIST = fileURLToPath(new URL('../../dist/tree/catalog/catalog.js', import.meta.url))
const KILLS = Number(process.env.SPANLEAF_CATALOG_KILLS ?? 30)
const COUNT = 400
const STORE = { agent: 'opencode', kind: 'opencode-json', path: '/told' } as const

interface ChildOptions {
  readonly home: string
  readonly data?: readonly string[]
  readonly count?: number
  readonly rounds?: number
}

/** Runs a child until it has said so often that it is ready. */
async function begun(options: ChildOptions, times = 1): Promise<ChildProcess> {
  const child = spawn(process.execPath, [CHILD, JSON.stringify(options)], { stdio: ['ignore', 'pipe', 'pipe'] })
  let said = ''
  child.stderr?.on('data', (text) => {
    said += text
  })
  const ready = new Promise<void>((resolve, reject) => {
    let lines = 0
    child.stdout?.on('data', (text) => {
      lines += String(text).split('\n').length - 1
      if (lines >= times) resolve()
    })
    child.once('exit', (code) => (code === 0 ? resolve() : reject(new Error(`the child ended before it began: ${said}`))))
  })
  await ready
  return child
}

async function killedAfter(child: ChildProcess, ms: number): Promise<void> {
  await systemClock.sleep(ms)
  const ended = once(child, 'exit')
  child.kill('SIGKILL')
  await ended
}

/** What the two listings of the child are made of, by id. */
function listingOf(name: string): ReadonlyMap<string, string> {
  const versions = new Map<string, string>()
  for (let at = 0; at < COUNT; at++) if (name === 'a' || at % 3 !== 0) versions.set(`s${at}`, name === 'b' && at % 5 === 0 ? 'b' : 'a')
  if (name === 'b') for (let at = 0; at < COUNT / 4; at++) versions.set(`b${at}`, 'b')
  return versions
}

async function isWhole(home: string): Promise<string | undefined> {
  using catalog = await openCatalog({ home, clock: systemClock })
  expect(catalog.rebuilt).toBeUndefined()
  const before = await catalog.before(STORE)
  const rows = new Map(before?.entries.map(({ key, version }) => [key.session as string, version]))
  expect(rows).toEqual(listingOf(before?.mark ?? ''))
  const database = new Database(catalog.path, { readonly: true })
  expect(database.pragma('integrity_check')).toEqual([{ integrity_check: 'ok' }])
  expect(database.prepare('SELECT (SELECT count(*) FROM sessions), (SELECT count(*) FROM titles)').raw(true).get()).toEqual([rows.size, rows.size])
  database.close()
  return before?.mark
}

const metas = ({ index }: Sessions) => [...index.sessionsByTime()].sort((a, b) => (a.id < b.id ? -1 : 1))

describe.skipIf(!existsSync(DIST))('a process that is killed', () => {
  it(`while it writes the catalog leaves one listing or the other, whole: ${KILLS} times`, { timeout: 30_000 + KILLS * 3000 }, async () => {
    using folder = tempFolder()
    const random = seeded(KILLS)
    const marks = new Set<string | undefined>()
    for (let kill = 0; kill < KILLS; kill++) {
      // After one listing or two: both are met, however long the machine takes to write one.
      await killedAfter(await begun({ home: folder.path, count: COUNT }, 1 + (kill % 2)), random() * 120)
      marks.add(await isWhole(folder.path))
    }
    expect([...marks].sort()).toEqual(['a', 'b'])
  })

  it('while it lists the stores anew leaves what the next one opens as it should be', { timeout: 30_000 + KILLS * 3000 }, async () => {
    using era = everyEra()
    using folder = tempFolder()
    const home = join(folder.path, 'home')
    const data = [era.data]
    await using plain = await openSessions({ data })
    const random = seeded(KILLS + 1)
    for (let kill = 0; kill < Math.ceil(KILLS / 3); kill++) {
      if (kill % 4 === 0) rmSync(home, { recursive: true, force: true })
      await killedAfter(await begun({ home, data }), random() * 60)
      await using sessions = await openSessions({ data, home })
      expect(metas(sessions)).toEqual(metas(plain))
      await sessions.refresh()
      expect(metas(sessions)).toEqual(metas(plain))
      expect(sessions.issues.filter(({ code }) => code === 'CATALOG_UNAVAILABLE')).toEqual([])
    }
  })

  it('while it holds the lock is succeeded by the next one', async () => {
    using era = everyEra()
    using folder = tempFolder()
    const data = [era.data]
    const lock = join(folder.path, 'sessions.idx.lock')
    await (await openSessions({ data, home: folder.path })).close()
    let held = false
    for (let times = 0; times < 40 && !held; times++) {
      const child = await begun({ home: folder.path, data })
      for (let looks = 0; looks < 5000 && !existsSync(lock); looks++) await systemClock.sleep(1)
      await killedAfter(child, 0)
      held = existsSync(lock)
    }
    expect(held).toBe(true)
    const left = JSON.parse(readFileSync(lock, 'utf8'))
    expect(left).toMatchObject({ pid: expect.any(Number), boot: expect.any(String), start: expect.any(String), since: expect.any(Number) })
    await using sessions = await openSessions({ data, home: folder.path })
    for (let times = 0; sessions.stale && times < 2000; times++) await systemClock.sleep(10)
    expect(sessions.stale).toBe(false)
    await sessions.close()
    expect(existsSync(lock)).toBe(false)
  })
})

describe.skipIf(!existsSync(DIST))('several processes', () => {
  it('write one catalog at once, and leave a listing of one of them', { timeout: 120_000 }, async () => {
    using folder = tempFolder()
    const children = await Promise.all([1, 2, 3].map(() => begun({ home: folder.path, count: COUNT, rounds: 12 })))
    await Promise.all(children.map(async (child) => child.exitCode ?? (await once(child, 'exit'))[0])).then((codes) =>
      expect(codes).toEqual([0, 0, 0]),
    )
    using catalog = await openCatalog({ home: folder.path, clock: systemClock })
    const before = await catalog.before(STORE)
    const known = [listingOf('a'), listingOf('b')]
    for (const { key, version } of before?.entries ?? []) expect(known.map((listing) => listing.get(key.session))).toContain(version)
    if (before?.mark !== undefined) expect(before.entries).toHaveLength(listingOf(before.mark).size)
  })

  it('list the stores at once, and show the same', { timeout: 120_000 }, async () => {
    using era = everyEra()
    using folder = tempFolder()
    const data = [era.data]
    await using plain = await openSessions({ data })
    const children = await Promise.all([1, 2, 3].map(() => begun({ home: folder.path, data, rounds: 5 })))
    await Promise.all(children.map(async (child) => child.exitCode ?? (await once(child, 'exit'))[0])).then((codes) =>
      expect(codes).toEqual([0, 0, 0]),
    )
    await using sessions = await openSessions({ data, home: folder.path })
    expect(sessions.stale).toBe(true)
    expect(metas(sessions)).toEqual(metas(plain))
    await sessions.refresh()
    expect(metas(sessions)).toEqual(metas(plain))
  })
})
