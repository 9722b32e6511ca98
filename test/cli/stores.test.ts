/** Every store, one view: `stores`, `ls` and `search` over the union of all eras, and narrowed with `--store`. */
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Ajv } from 'ajv'
import stringWidth from 'string-width'
import { afterAll, describe, expect, it } from 'vitest'
import { storesText } from '../../src/cli/stores.js'
import { describeStores, openSessions } from '../../src/index.js'
import { jsonLines, REPOSITORY, runCli } from '../support/cli.js'
import { conversation, corpusSession, DAY, WRAP } from '../support/corpus.js'
import { tamper } from '../support/databases.js'
import { everyEra, KINDS } from '../support/every-era.js'
import { manifestOf } from '../support/manifest.js'
import { jsonFixture, sqliteFixture } from '../support/store-fixtures.js'

const era = everyEra()
const data = ['--data', era.data]
const folder = mkdtempSync(join(tmpdir(), 'spanleaf-cli-stores-'))
const home = ['--home', join(folder, 'home')]
const ajv = new Ajv({ allowUnionTypes: true })

afterAll(() => {
  era[Symbol.dispose]()
  rmSync(folder, { recursive: true, force: true })
})

function expectValid(schema: string, values: readonly object[]): void {
  const validate = ajv.compile(JSON.parse(readFileSync(`${REPOSITORY}docs/schemas/${schema}.schema.json`, 'utf8')))
  expect(values.length).toBeGreaterThan(0)
  for (const value of values) expect(validate(value), JSON.stringify(validate.errors)).toBe(true)
}

describe('stores', () => {
  it('lists every store, what hides what, and the stranger', () => {
    const before = manifestOf(era.data)
    const result = runCli(['stores', '--json', ...data])
    expect([result.stderr, result.status]).toEqual(['', 0])
    const found = jsonLines(result) as { stores: Record<string, unknown>[]; issues: object[]; total: object }[]
    expectValid('stores', found)
    const [{ stores, issues, total } = { stores: [], issues: [], total: {} }] = found
    expect(stores.map(({ kind, sessions, shown }) => [kind, sessions, shown])).toEqual(KINDS.map((kind, at) => [kind, at + 1, 1]))
    expect(stores.at(-1)).toMatchObject({ era: 'OpenCode 0.x files', path: join(era.data, 'project'), hides: [] })
    expect(stores[0]).toMatchObject({ parts: null, partsInMessages: true })
    expect(issues).toMatchObject([{ code: 'STORE_UNSUPPORTED', path: era.stranger }])
    expect(total).toMatchObject({ sessions: 4 })
    expect(manifestOf(era.data)).toEqual(before)
  })

  it('is a table with a path and a sentence for each', () => {
    const { stdout } = runCli(['stores', ...data])
    expect(stdout).toMatch(/^KIND +WRITTEN BY +SESSIONS +MESSAGES +PARTS +SIZE\n/)
    expect(stdout).toMatch(/^opencode-v2 +OpenCode 2 database +1 +4 +inside messages +\d/m)
    expect(stdout).toMatch(/^ {2}1 shown; written [^;]+; hides 1 of opencode-sqlite, 1 of opencode-json, 1 of opencode-era-a$/m)
    expect(stdout).toMatch(/^ {2}1 shown; written [^;]+; hides 1 of opencode-era-a; hidden: 1 by opencode-v2, 1 by opencode-sqlite$/m)
    expect(stdout).toContain(`! STORE_UNSUPPORTED  ${era.stranger}\n  this is a database of the OpenCode that is written in Go`)
    expect(stdout).toMatch(/\n4 sessions in all, each shown once; [\d.]+ [KM]B on disk\n$/)
  })

  it('tells when each store was written to: a database by its files, a folder by its sessions', () => {
    const found = jsonLines(runCli(['stores', '--json', ...data])) as { stores: { kind: string; written: number; stale: boolean }[] }[]
    const written = new Map(found[0]?.stores.map((store) => [store.kind, store.written]))
    const file = statSync(join(era.data, 'opencode.db')).mtimeMs
    expect([written.get('opencode-v2'), written.get('opencode-sqlite')]).toEqual([Math.round(file), Math.round(file)])
    expect([written.get('opencode-json'), written.get('opencode-era-a')]).toEqual([era.sessions[2].updated, era.sessions[3].updated])
    expect(found[0]?.stores.map(({ stale }) => stale)).toEqual([false, false, false, false])
    const old = {
      kind: 'opencode-json',
      era: '',
      path: '/a',
      sessions: 1,
      messages: 1,
      parts: 1,
      bytes: 1,
      partsInMessages: false,
      shown: 1,
      hides: [],
      hiddenBy: [],
    } as const
    const text = storesText({ stores: [{ ...old, written: Date.now() - 180_000, stale: true }], issues: [], total: { sessions: 1, bytes: 1 } }, 200)
    expect(text).toContain('  1 shown; written 3 min ago; could not be listed now, so this may be old\n')
  })

  it.each([100, 80])('fits a terminal of %i columns: paths lose their beginning', async (width) => {
    await using set = await openSessions({ data: era.data })
    const { stores, ...rest } = await describeStores(set)
    const long = stores.map((store) => ({ ...store, path: `/どこか/${'deep/'.repeat(30)}opencode.db` }))
    const lines = storesText({ ...rest, stores: long }, width).split('\n')
    expect(lines.filter((line) => stringWidth(line) > width)).toEqual([])
    expect(lines.filter((line) => /^ {2}….*deep\/opencode\.db$/.test(line))).toHaveLength(4)
  })

  it('tells two stores of one kind apart by the ends of their paths', async () => {
    await using set = await openSessions({ data: era.data })
    const { stores, ...rest } = await describeStores(set)
    const twice = [...stores, { ...(stores[1] as (typeof stores)[number]), path: '/elsewhere/opencode-dev.db' }]
    expect(storesText({ ...rest, stores: twice }, 1000)).toContain('hides 1 of opencode-sqlite (opencode.db), 1 of opencode-json,')
    const alike = [...stores, { ...(stores[1] as (typeof stores)[number]), path: '/elsewhere/opencode/opencode.db' }]
    const parent = era.data.split('/').at(-2)
    expect(storesText({ ...rest, stores: alike }, 1000)).toContain(`hides 1 of opencode-sqlite (${parent}/opencode/opencode.db), 1 of`)
  })

  it('tells of the only store even when it cannot be read, and ends with 1', () => {
    const text = runCli(['stores', '--data', era.stranger])
    expect(text).toMatchObject({ status: 1, stderr: '' })
    expect(text.stdout).toMatch(/^! STORE_UNSUPPORTED {2}\S+opencode-go\.db\n {2}this is a database of the OpenCode that is written in Go.*\n$/)
    const json = runCli(['stores', '--json', '--data', era.stranger])
    expect(json.status).toBe(1)
    expectValid('stores', jsonLines(json))
    expect(jsonLines(json)).toMatchObject([{ stores: [], issues: [{ code: 'STORE_UNSUPPORTED', path: era.stranger }] }])
  })

  it('ends with 1 and a sentence where there is none', () => {
    for (const args of [['stores'], ['stores', '--data', join(folder, 'nothing')]]) {
      const { status, stdout, stderr } = runCli(args)
      expect([status, stdout]).toEqual([1, ''])
      expect(stderr).toMatch(/no store of a coding agent was found|there is nothing here/)
    }
  })
})

describe('ls', () => {
  it('lists each session once, with its store and those it hides', () => {
    const result = runCli(['ls', '--json', ...data])
    const listed = jsonLines(result) as { session: string; source: { kind: string }; hides: { kind: string }[]; messages: number }[]
    expectValid('ls', listed)
    expect(listed.map(({ session }) => session)).toEqual(era.sessions.map(({ id }) => id))
    expect(listed.map(({ source, hides }) => [source.kind, ...hides.map(({ kind }) => kind)])).toEqual(KINDS.map((_, at) => KINDS.slice(at)))
    expect(listed.map(({ messages }) => messages)).toEqual([4, 4, 4, 4])
    expect(result.stderr).toContain('written in Go')
    const [, , ...lines] = runCli(['ls', ...data]).stdout.split('\n')
    expect(lines).toMatchObject([
      expect.stringMatching(/ {2}\(no title\) · C:\\work\\sky\\deep$/),
      expect.anything(),
      expect.stringMatching(/The sky of opencode-era-a · \/srv\/sky$/),
      '',
    ])
  })

  it('says so where there is no store of the kind, and sends nobody looking for stores', () => {
    using fixture = sqliteFixture('1.18')([])
    const { status, stderr } = runCli(['ls', '--store', 'opencode-v2', '--store', 'opencode-json', '--data', fixture.path])
    expect(stderr).toMatch(/^spanleaf: there is no store of the kind opencode-v2 or opencode-json\. `spanleaf stores` lists those that are here\./)
    expect(status).toBe(1)
  })

  it('lists what one store holds with --store, hidden or not', () => {
    for (const [at, kind] of KINDS.entries()) {
      const listed = jsonLines(runCli(['ls', '--json', '--store', kind, ...data]))
      expect(listed.map(({ session }) => session)).toEqual(era.sessions.slice(0, at + 1).map(({ id }) => id))
      expect(listed.every(({ source }) => (source as { kind: string }).kind === kind)).toBe(true)
    }
    const byPath = jsonLines(runCli(['ls', '--json', '--store', join(era.data, 'storage'), ...data]))
    expect(byPath).toHaveLength(3)
    expect(jsonLines(runCli(['ls', '--json', '--store', 'opencode-v2', '--store', 'opencode-json', ...data]))).toHaveLength(3)
  })

  it('takes a Windows folder in either spelling, whatever the store has', () => {
    for (const folder of ['C:\\work\\sky', 'C:/work/sky', 'C:\\work\\sky\\']) {
      const listed = jsonLines(runCli(['ls', '--json', '--project', folder, ...data]))
      expect(listed.map(({ directory }) => directory)).toEqual(['C:/work/sky', 'C:\\work\\sky\\deep'])
    }
    expect(jsonLines(runCli(['ls', '--json', '--project', 'global', ...data]))).toMatchObject([
      { session: era.sessions[3].id, directory: '/srv/sky' },
    ])
  })
})

describe('show, plan, spans, verify', () => {
  const [{ id }] = era.sessions
  const read = (name: string, ...args: string[]): Record<string, unknown>[] => jsonLines(runCli([name, id, '--json', ...args, ...data]))

  it('read the hidden copy with --store', () => {
    const partIds = (...args: string[]): string[] => {
      const [shown] = read('show', ...args) as [{ messages: { parts: { id: string }[] }[] }]
      return shown.messages.flatMap(({ parts }) => parts.map((part) => part.id))
    }
    expect(partIds().every((part) => /^msg_\w+_\d+$/.test(part))).toBe(true)
    expect(partIds('--store', 'opencode-json').every((part) => part.startsWith('prt_'))).toBe(true)
    const reads = (...args: string[]): number => read('plan', ...args).flatMap((plan) => plan.reads).length
    expect([reads(), reads('--store', 'opencode-json')]).toEqual([5, 11])
    const places = (...args: string[]): unknown[] => read('spans', ...args).map(({ source }) => (source as { path: string }).path)
    expect(places().every((path) => path === join(era.data, 'opencode.db'))).toBe(true)
    expect(places('--store', 'opencode-json').every((path) => String(path).startsWith(join(era.data, 'storage')))).toBe(true)
  })

  it('verify accounts for one store alone', () => {
    const [ledger] = jsonLines(runCli(['verify', '--json', '--store', 'opencode-json', ...data])) as [
      { stores: { kind: string; sessions: number }[] },
    ]
    expect(ledger.stores).toMatchObject([{ kind: 'opencode-json', sessions: 3, superseded: 0 }])
  })

  it.each(['ls', 'verify'])('%s names what there is when --store fits nothing', (name) => {
    const { status, stderr } = runCli([name, '--store', 'sqlite', ...data])
    expect(status).toBe(2)
    expect(stderr).toMatch(/opencode-v2, opencode-sqlite, opencode-json, opencode-era-a/)
  })
})

describe('index and search', () => {
  it('holds each session once, from its own store; --store narrows by it', () => {
    const { status, stderr } = runCli(['index', '--store', 'opencode-json', ...data, ...home])
    expect(status).toBe(2)
    expect(stderr).toMatch(/index takes no --store/)
    runCli(['index', ...data, ...home])
    const search = (...args: string[]): Record<string, unknown>[] =>
      jsonLines(runCli(['search', 'telescope notes', '--json', '--limit', '50', ...args, ...data, ...home]))
    const all = search()
    expectValid('search', all)
    expect(new Set(all.map(({ session }) => session))).toEqual(new Set(era.sessions.map(({ id }) => id)))
    for (const [at, kind] of KINDS.entries()) {
      const hits = search('--store', kind)
      expect(hits.length).toBeGreaterThan(0)
      expect(new Set(hits.map(({ session, source }) => `${session} ${source}`))).toEqual(new Set([`${era.sessions[at]?.id} ${kind}`]))
      // What comes first without the filter does not use up the limit.
      expect(search('--store', kind, '--limit', '1')).toHaveLength(1)
    }
    const both = search('--store', 'opencode-v2', '--store', 'opencode-era-a')
    expect(new Set(both.map(({ source }) => source))).toEqual(new Set(['opencode-v2', 'opencode-era-a']))
    const inDatabase = search('--store', join(era.data, 'opencode.db'))
    expect(new Set(inDatabase.map(({ source }) => source))).toEqual(new Set(['opencode-v2', 'opencode-sqlite']))
  })

  it('filters by a Windows folder in either spelling', () => {
    for (const option of ['--dir', '--project']) {
      for (const folder of ['C:\\work\\sky', 'C:/work/sky/']) {
        const hits = jsonLines(runCli(['search', 'telescope', '--json', '--limit', '50', option, folder, ...data, ...home]))
        expect(new Set(hits.map(({ directory }) => directory)), `${option} ${folder}`).toEqual(new Set(['C:/work/sky', 'C:\\work\\sky\\deep']))
      }
    }
  })

  it('says which stores the index knows when --store names another', () => {
    const { status, stderr } = runCli(['search', 'telescope', '--store', 'sqlite', ...data, ...home])
    expect(status).toBe(2)
    expect(stderr).toMatch(/opencode-v2, opencode-sqlite/)
    expect(stderr).toContain(join(era.data, 'storage'))
  })

  it('keeps an excluded folder out in whichever spelling its sessions have it', () => {
    const at = ['--home', join(folder, 'excluding')]
    runCli(['index', '--exclude', 'C:\\work\\sky', ...data, ...at])
    const search = (): unknown[] =>
      jsonLines(runCli(['search', 'telescope', '--json', '--limit', '50', ...data, ...at])).map(({ directory }) => directory)
    expect(new Set(search())).toEqual(new Set(['C:\\work\\sea', '/srv/sky']))
    runCli(['index', '--include', 'C:/work/sky', ...data, ...at])
    expect(new Set(search())).toContain('C:\\work\\sky\\deep')
  })
})

describe('projects', () => {
  const session = corpusSession(WRAP, conversation(WRAP, 1))
  const list = (path: string, ...args: string[]): unknown[] =>
    jsonLines(runCli(['ls', '--json', ...args, '--data', path])).map((line) => [line.session, line.project, line.directory])
  const listed = [[session.id, session.project, '/srv/sky']]

  it('that were deleted leave their sessions listed like any other', () => {
    using tree = jsonFixture([session])
    rmSync(join(tree.path, 'project'), { recursive: true })
    expect(list(tree.path)).toEqual(listed)
    using database = sqliteFixture('1.18')([session])
    tamper(database.path, (writer) => {
      writer.pragma('foreign_keys = OFF')
      writer.exec('DELETE FROM project')
    })
    expect(list(database.path)).toEqual(listed)
    for (const path of [tree.path, database.path]) expect(list(path, '--project', session.project)).toEqual(listed)
  })

  it('that a session moved to are told by its record, and its folder is its own', () => {
    using tree = jsonFixture([session])
    renameSync(join(tree.path, 'session', session.project), join(tree.path, 'session', 'global'))
    writeFileSync(join(tree.path, 'project', 'global.json'), JSON.stringify({ id: 'global', worktree: '/', time: { created: 1 } }))
    expect(list(tree.path, '--project', session.project)).toEqual(listed)
    expect(list(tree.path, '--project', 'global')).toEqual([])
    expect(list(tree.path, '--project', '/srv/sky/')).toEqual(listed)
    expect(list(tree.path, '--project', '/srv/other')).toEqual([])
  })
})

describe('a folder behind a link', () => {
  it('is found by the name of the link and by its own, in ls and in search', () => {
    const [real, link] = [join(folder, 'real'), join(folder, 'link')]
    mkdirSync(real)
    symlinkSync(real, link)
    const corpus = [real, link, folder].map((directory, at) =>
      corpusSession(WRAP + at * DAY, conversation(WRAP + at * DAY, 2), { info: { slug: 's', directory, title: directory, version: '1' } }),
    )
    using tree = jsonFixture(corpus)
    const at = ['--data', tree.path, '--home', join(folder, 'linked')]
    runCli(['index', ...at])
    const titles = (...args: string[]): unknown[] => [...new Set(jsonLines(runCli([...args, '--json', ...at])).map(({ title }) => title))].sort()
    expect(titles('ls', '--project', link)).toEqual([link, real])
    expect(titles('search', 'question', '--dir', link)).toEqual([link, real])
    expect(titles('search', 'question', '--project', link, '--limit', '1')).toHaveLength(1)
    expect(titles('search', 'question', '--dir', real)).toEqual([real])
  })
})
