/** The corpora, made once by the shared generator and kept in a cache folder; rows with databases and trees of the same content. */
import { spawnSync } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, statfsSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { Skipped } from './measure.mjs'

export const REPOSITORY = resolve(import.meta.dirname, '..')
export const TOOLS = resolve(REPOSITORY, '..', 'shared', 'tools')

/** Days old, so that only the last eight messages of the tail sessions are checked for changes. */
const CORPORA = {
  main: ['--sessions', '500', '--messages', '40', '--parts', '5', '--seed', '1'],
  many: ['--sessions', '10000', '--messages', '10', '--parts', '5', '--seed', '1'],
  // Written to, and put back: 500 sessions, and as many as a store of years has.
  fresh: ['--layout', 'legacy,db,claude', '--sessions', '500', '--messages', '40', '--parts', '5', '--seed', '2'],
  'fresh-many': ['--layout', 'legacy,db,claude', '--sessions', '10000', '--messages', '10', '--parts', '5', '--seed', '2'],
  // Some 44,000 files.
  watched: ['--layout', 'legacy', '--sessions', '500', '--messages', '15', '--parts', '5', '--seed', '1'],
  short: ['--sessions', '1', '--messages', '50', '--parts', '5', '--seed', '1'],
  long: ['--sessions', '1', '--messages', '5000', '--parts', '5', '--seed', '1'],
  logs: ['--layout', 'claude,codex,pi,jcode', '--sessions', '500', '--messages', '40', '--parts', '5', '--seed', '1'],
  // A session of 2 MB and one of 200 MB.
  'log-short': ['--layout', 'claude,codex,pi', '--sessions', '1', '--messages', '280', '--parts', '5', '--seed', '1'],
  'log-long': ['--layout', 'claude,codex,pi', '--sessions', '1', '--messages', '28000', '--parts', '5', '--seed', '1'],
}

/** 622,009 files and a database take 3.5 GB and a minute. */
const MANY_BYTES = 6 * 2 ** 30

export function toolsPresent() {
  return ['gen-corpus.mjs', 'naive-reader.mjs', 'read-floor.c'].every((name) => existsSync(join(TOOLS, name)))
}

/** The folder that all corpora and compiled tools are kept in. */
export function cacheFolder() {
  return resolve(process.env.SPANLEAF_BENCH_DIR || join(REPOSITORY, '.cache', 'bench'))
}

/** A corpus, made if it is not there yet: its home, its tree, its database, the folder of both, and what the generator counted. */
export function corpus(name) {
  const home = join(cacheFolder(), name)
  const data = join(home, '.local', 'share', 'opencode')
  const made = join(home, 'made.json')
  if (!existsSync(made)) {
    mkdirSync(cacheFolder(), { recursive: true })
    const { bavail, bsize } = statfsSync(cacheFolder())
    if (name.endsWith('many') && bavail * bsize < MANY_BYTES) throw new Skipped('the disk has no room for the corpus of 10,000 sessions')
    make(home, made, CORPORA[name])
  }
  return { home, json: join(data, 'storage'), db: join(data, 'opencode.db'), dual: data, counts: JSON.parse(readFileSync(made, 'utf8')) }
}

function make(home, made, options) {
  process.stderr.write(`making the corpus ${home} ...\n`)
  rmSync(home, { recursive: true, force: true })
  const generator = generatorInReach()
  const layout = options.includes('--layout') ? [] : ['--layout', 'legacy,db']
  const run = spawnSync(process.execPath, [generator, '--home', home, ...layout, ...options], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  if (run.status !== 0) throw new Error(`gen-corpus.mjs ended with ${run.status ?? run.signal}`)
  writeFileSync(`${made}.new`, run.stdout)
  renameSync(`${made}.new`, made)
}

/** Inside the repository, where Node before 22.5 finds the better-sqlite3 that the database layout needs. */
function generatorInReach() {
  const folder = join(REPOSITORY, '.cache')
  mkdirSync(folder, { recursive: true })
  const generator = join(folder, 'gen-corpus.mjs')
  copyFileSync(join(TOOLS, 'gen-corpus.mjs'), generator)
  return generator
}
