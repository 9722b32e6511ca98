/** Where stores are looked for: XDG, OPENCODE_DB, channels, and paths that the caller names. */
import fs, { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { isAbsolute, join, relative } from 'node:path'
import { describe, expect, it } from 'vitest'
import { openSessions } from '../../src/open.js'
import { discoverStores, opencodeDataDir, spanleafHome, storesAt } from '../../src/storage/paths.js'
import { replaced } from '../support/builtin.js'
import { conversation, corpusSession } from '../support/corpus.js'
import { jsonFixture, sqliteFixture, writeFileAt } from '../support/store-fixtures.js'
import { tempFolder } from '../support/temp.js'

const HOME = '/home/somebody'

describe('the data folder', () => {
  it('is under XDG_DATA_HOME, else under the home, on every system', () => {
    expect(opencodeDataDir({ XDG_DATA_HOME: '/xdg' }, HOME)).toBe('/xdg/opencode')
    expect(opencodeDataDir({}, HOME)).toBe('/home/somebody/.local/share/opencode')
    expect(opencodeDataDir({ XDG_DATA_HOME: '' }, HOME)).toBe('/home/somebody/.local/share/opencode')
    expect(isAbsolute(opencodeDataDir({ XDG_DATA_HOME: 'relative' }, HOME))).toBe(true)
  })

  it('of spanleaf is $SPANLEAF_HOME, else $XDG_STATE_HOME/spanleaf, else ~/.local/state/spanleaf', () => {
    expect(spanleafHome({ SPANLEAF_HOME: '/s', XDG_STATE_HOME: '/x' }, HOME)).toBe('/s')
    expect(spanleafHome({ XDG_STATE_HOME: '/x' }, HOME)).toBe('/x/spanleaf')
    expect(spanleafHome({}, HOME)).toBe('/home/somebody/.local/state/spanleaf')
  })
})

/** A data folder with the given files; `storage/message` makes a JSON tree. */
function dataFolder(...names: readonly string[]): Disposable & { readonly home: string; readonly data: string } {
  const folder = tempFolder()
  const data = join(folder.path, 'opencode')
  mkdirSync(data)
  for (const name of names) {
    if (name.endsWith('/')) mkdirSync(join(data, name), { recursive: true })
    else writeFileAt(join(data, name), '', 0)
  }
  return { home: folder.path, data, [Symbol.dispose]: () => folder[Symbol.dispose]() }
}

function found(folder: { readonly home: string; readonly data: string }, env: Readonly<Record<string, string>> = {}): string[] {
  const { places, issues } = discoverStores({ XDG_DATA_HOME: folder.home, ...env }, HOME)
  expect(issues).toEqual([])
  return places.map(({ path }) => relative(folder.data, path))
}

describe('discovery', () => {
  it('finds opencode.db first, then the channels by name, then the JSON tree', () => {
    using folder = dataFolder('opencode-next.db', 'opencode-dev.db', 'opencode.db', 'storage/session/')
    expect(found(folder)).toEqual(['opencode.db', 'opencode-dev.db', 'opencode-next.db', 'storage'])
  })

  it('takes no -wal, -shm, backup or other database, and no storage that databases left behind', () => {
    using folder = dataFolder(
      'opencode.db-wal',
      'opencode.db-shm',
      'opencode.db.bak',
      'other.db',
      'opencode-.db.tmp',
      'auth.json',
      'storage/session_diff/',
      'storage/migration',
    )
    expect(found(folder)).toEqual([])
  })

  it.each(['session', 'message', 'part'])('takes a storage folder with only %s for a tree', (name) => {
    using folder = dataFolder(`storage/${name}/`)
    expect(found(folder)).toEqual(['storage'])
  })

  it('takes OPENCODE_DB first: absolute, or relative to the data folder; once, however it is spelled', () => {
    using folder = dataFolder('opencode.db', 'sub/mine.db')
    expect(found(folder, { OPENCODE_DB: join(folder.data, 'sub', 'mine.db') })).toEqual(['sub/mine.db', 'opencode.db'])
    expect(found(folder, { OPENCODE_DB: 'sub/mine.db' })).toEqual(['sub/mine.db', 'opencode.db'])
    for (const spelled of ['opencode.db', './opencode.db', join(folder.data, 'sub', '..', 'opencode.db'), `${folder.data}//opencode.db`]) {
      expect(found(folder, { OPENCODE_DB: spelled })).toEqual(['opencode.db'])
    }
  })

  it('passes by an OPENCODE_DB that is in memory, empty, or not there', () => {
    using folder = dataFolder('opencode.db')
    for (const named of [':memory:', '', 'nowhere.db', '/nowhere/at.db']) expect(found(folder, { OPENCODE_DB: named })).toEqual(['opencode.db'])
  })

  it('finds nothing, without an error, on a machine without OpenCode', async () => {
    using empty = tempFolder()
    await using set = await openSessions({ env: { HOME: empty.path } })
    expect([set.stores, set.issues, set.index.sessionsByTime()]).toEqual([[], [], []])
  })

  it('looks under $HOME of the given environment, not of the process', async () => {
    using home = tempFolder()
    mkdirSync(join(home.path, '.local', 'share', 'opencode', 'storage', 'session'), { recursive: true })
    await using set = await openSessions({ env: { HOME: home.path } })
    expect(set.stores.map(({ path }) => path)).toEqual([join(home.path, '.local', 'share', 'opencode', 'storage')])
  })
})

describe('explicit data', () => {
  it('may be a data folder, the folder above it, a storage folder, or a database', () => {
    using folder = dataFolder('opencode.db', 'storage/message/')
    const both = [join(folder.data, 'opencode.db'), join(folder.data, 'storage')]
    const paths = (...data: string[]): string[] => storesAt(data).places.map(({ path }) => path)
    expect(paths(folder.data)).toEqual(both)
    expect(paths(folder.home)).toEqual(both)
    expect(paths(join(folder.data, 'storage'))).toEqual([both[1]])
    expect(paths(join(folder.data, 'opencode.db'))).toEqual([both[0]])
    expect(paths(relative(process.cwd(), folder.data))).toEqual(both)
    expect(paths(`${folder.data}/`, folder.home, both[0] ?? '')).toEqual(both)
  })

  it('is followed through symbolic links', () => {
    using folder = dataFolder('storage/message/')
    using other = tempFolder()
    symlinkSync(folder.data, join(other.path, 'link'))
    expect(storesAt([join(other.path, 'link')]).places).toEqual([{ kind: 'opencode-json', path: join(other.path, 'link', 'storage') }])
  })

  it('is STORE_MISSING when nothing is there, or nothing of OpenCode', async () => {
    using folder = dataFolder('auth.json')
    writeFileSync(join(folder.data, 'notes.txt'), 'x')
    for (const data of [join(folder.data, 'nowhere'), folder.data, [folder.home, join(folder.data, 'x')]]) {
      await expect(openSessions({ data })).rejects.toMatchObject({ code: 'STORE_MISSING' })
    }
  })

  it('replaces discovery', async () => {
    using fixture = jsonFixture([corpusSession(1_760_000_000_000, conversation(1_760_000_000_500, 1))])
    using other = sqliteFixture('1.18')([corpusSession(1_770_000_000_000, [])])
    await using set = await openSessions({ data: fixture.path, env: { OPENCODE_DB: other.path } })
    expect(set.stores.map(({ path }) => path)).toEqual([fixture.path])
  })

  it.each([[''], [['/tmp', '']], [[7]], [{}]])('refuses %j as data', async (data) => {
    await expect(openSessions({ data: data as string })).rejects.toMatchObject({ code: 'INVALID_OPTION' })
  })

  it('refuses options that are not there, and budgets that are none', async () => {
    await expect(openSessions({ dta: '/tmp' } as object)).rejects.toMatchObject({ code: 'INVALID_OPTION', reason: 'there is no option "dta"' })
    await expect(openSessions({ cacheBytes: -1 })).rejects.toMatchObject({ code: 'INVALID_OPTION' })
  })
})

it('a folder that is made between two looks is a folder', () => {
  using folder = tempFolder()
  const data = join(folder.path, 'opencode')
  let looks = 0
  const once = (real: typeof fs.statSync): typeof fs.statSync =>
    ((path: string, options: object) => {
      if (path !== data || looks++ > 0) return real(path, options)
      mkdirSync(data)
      return undefined
    }) as typeof fs.statSync
  using _ = replaced(fs, 'statSync', once)
  const { places, issues } = storesAt([data])
  expect([places, looks > 1]).toEqual([[], true])
  expect(issues.map(({ code, reason }) => `${code} ${reason}`)).not.toContainEqual(expect.stringContaining('database'))
})
