/** What commands keep of what they listed: the catalog in spanleaf's own folder. */
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Ajv } from 'ajv'
import Database from 'better-sqlite3'
import { describe, expect, it } from 'vitest'
import { jsonLines, REPOSITORY, runCli } from '../support/cli.js'
import { conversation, corpusSession } from '../support/corpus.js'
import { jsonFixture, pretty, type StoreFixture, writeFileAt } from '../support/store-fixtures.js'
import { tempFolder } from '../support/temp.js'

const START = Date.parse('2026-03-01T10:00:00Z')
/** Of the sessions of the corpus. */
const PROJECT = 'b0c1309ee409b71c257bdf8e5d96cf91a77ff40b'
const CATALOG = 'sessions.idx.db'

function fixtureOf(count: number): StoreFixture {
  return jsonFixture(
    Array.from({ length: count }, (_, at) => corpusSession(START + at * 1000, conversation(START + at * 1000, 1), { id: `ses_${at}` })),
  )
}

function writeSession(fixture: StoreFixture, id: string, title: string): void {
  const path = join(fixture.path, 'session', PROJECT, `${id}.json`)
  writeFileAt(path, pretty({ id, title, directory: '/srv/sky', version: '1', time: { created: START, updated: START + 999_000 } }), Date.now())
}

function expectValid(schema: string, value: object | undefined): void {
  const validate = new Ajv({ allowUnionTypes: true }).compile(JSON.parse(readFileSync(`${REPOSITORY}docs/schemas/${schema}.schema.json`, 'utf8')))
  expect(validate(value), JSON.stringify(validate.errors)).toBe(true)
}

describe('reindex', () => {
  it('lists everything, keeps it for its owner alone, and tells how much that was', () => {
    using fixture = fixtureOf(3)
    using home = tempFolder()
    const at = ['--data', fixture.path, '--home', home.path]
    const result = runCli(['reindex', '--json', ...at])
    expect([result.status, result.stderr]).toEqual([0, ''])
    const [told] = jsonLines(result)
    expectValid('reindex', told)
    expect(told).toMatchObject({ sessions: 3, stores: 1, catalog: { path: join(home.path, CATALOG) } })
    expect(statSync(join(home.path, CATALOG)).mode & 0o777).toBe(0o600)
    expect(runCli(['reindex', ...at]).stdout).toMatch(
      /^3 sessions in 1 store, listed in \d+ m?s \(\d+ files, [\d.]+ K?B read\)\nkept in \S+sessions\.idx\.db \([\d.]+ [KM]?B\)\n$/,
    )
    const [stores] = jsonLines(runCli(['stores', '--json', ...at]))
    expectValid('stores', stores)
    expect(stores).toMatchObject({ catalog: { path: join(home.path, CATALOG) } })
    expect(runCli(['stores', ...at]).stdout).toContain(`what was listed is kept in ${home.path}`)
  })

  it('makes a damaged one anew, and says so when none can be kept', () => {
    using fixture = fixtureOf(2)
    using home = tempFolder()
    const at = ['--data', fixture.path, '--home', home.path]
    writeFileSync(join(home.path, CATALOG), 'no database at all'.repeat(1000))
    expect(runCli(['reindex', ...at]).status).toBe(0)
    expect(jsonLines(runCli(['ls', '--json', ...at]))).toHaveLength(2)
    writeFileSync(join(home.path, 'file'), '')
    const nowhere = ['--data', fixture.path, '--home', join(home.path, 'file', 'home')]
    const failed = runCli(['reindex', ...nowhere])
    expect(failed.status).toBe(1)
    expect(failed.stderr).toContain('the catalog cannot be used')
    const listed = runCli(['ls', '--json', ...nowhere])
    expect([listed.status, listed.stderr, jsonLines(listed).length]).toEqual([0, '', 2])
  })
})

describe('what reindex could not keep', () => {
  const expectNotKept = (at: readonly string[], reason: RegExp): void => {
    const result = runCli(['reindex', ...at])
    expect([result.status, result.stdout.split('\n').at(-2)]).toEqual([1, expect.stringMatching(reason)])
    const json = runCli(['reindex', '--json', ...at])
    const [told] = jsonLines(json)
    expectValid('reindex', told)
    expect([json.status, told]).toMatchObject([1, { sessions: 2, catalog: null }])
  }

  it('is all of it while another process writes, and none once it is done', () => {
    using fixture = fixtureOf(2)
    using home = tempFolder()
    const at = ['--data', fixture.path, '--home', home.path]
    expect(runCli(['reindex', ...at]).status).toBe(0)
    writeSession(fixture, 'ses_1', 'Renamed')
    const other = new Database(join(home.path, CATALOG))
    other.exec('BEGIN IMMEDIATE')
    expectNotKept(at, /^not kept: another process was writing to \S+sessions\.idx\.db$/)
    other.exec('ROLLBACK')
    other.close()
    expect(runCli(['reindex', ...at]).stdout).toMatch(/\nkept in /)
  })

  it('is all of it where there can be no file', () => {
    using fixture = fixtureOf(2)
    using home = tempFolder()
    writeFileSync(join(home.path, 'file'), '')
    expectNotKept(['--data', fixture.path, '--home', join(home.path, 'file', 'home')], /^not kept: the catalog cannot be used: /)
  })

  it('is named by the file that it is in where the first name is another program’s', () => {
    using fixture = fixtureOf(2)
    using home = tempFolder()
    const other = new Database(join(home.path, CATALOG))
    other.exec('CREATE TABLE theirs (a)')
    other.close()
    const result = runCli(['reindex', '--data', fixture.path, '--home', home.path])
    expect([result.status, result.stdout]).toEqual([0, expect.stringMatching(/\nkept in \S+sessions\.idx\.\d+\.db \(/)])
  })
})

describe('ls from the catalog', () => {
  it('is exact whatever happened since: sessions that came, changed and went', () => {
    using fixture = fixtureOf(4)
    using home = tempFolder()
    const at = ['--data', fixture.path, '--home', home.path]
    const titles = (...more: readonly string[]): readonly unknown[] =>
      jsonLines(runCli(['ls', '--json', '--sort', 'name', ...at, ...more])).map(({ session, title }) => `${session} ${title}`)
    expect(titles()).toHaveLength(4)
    expect(existsSync(join(home.path, CATALOG))).toBe(true)
    writeSession(fixture, 'ses_new', 'Brand new')
    writeSession(fixture, 'ses_1', 'Renamed')
    rmSync(join(fixture.path, 'session', PROJECT, 'ses_2.json'))
    expect(titles()).toEqual(titles('--no-catalog'))
    expect(titles()).toContain('ses_1 Renamed')
    expect(titles('--search', 'brand')).toEqual(['ses_new Brand new'])
    expect(jsonLines(runCli(['grep', '--sessions', '--json', 'question 0', ...at])).length).toBe(3)
  })

  it('keeps nothing with --no-catalog, nor of a view that is narrowed', () => {
    using fixture = fixtureOf(2)
    using home = tempFolder()
    mkdirSync(join(home.path, 'own'))
    const at = ['--data', fixture.path, '--home', join(home.path, 'own')]
    expect(runCli(['ls', '--no-catalog', ...at]).status).toBe(0)
    expect(runCli(['ls', '--store', 'opencode-json', ...at]).status).toBe(0)
    expect(existsSync(join(home.path, 'own', CATALOG))).toBe(false)
  })
})
