// npm run test:opencode [-- VERSION... | --ci]: fetches real OpenCode binaries and holds spanleaf against what they write.
// Without arguments: every version of versions.json, and the newest one, which is reported and decides nothing.
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { binaryOf, newestVersion } from './binaries.mjs'

const repository = resolve(import.meta.dirname, '../..')
const { all, ci, chain } = JSON.parse(readFileSync(join(import.meta.dirname, 'versions.json'), 'utf8'))
const asked = process.argv.slice(2)
const wanted = asked.length === 0 ? all : asked.includes('--ci') ? ci : asked.filter((version) => version !== 'newest')
const withNewest = asked.length === 0 || asked.includes('newest')

const root = mkdtempSync(join(tmpdir(), 'spanleaf-opencode-'))
let suite
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.on(signal, () => {
    suite?.kill('SIGTERM')
    process.exit(130)
  })
}
process.on('exit', cleanUp)

const DAY = ['sessions', 'streaming', 'watching', 'killed', 'starting']
const binaries = {}
const rows = []
for (const version of wanted) rows.push(fetched(version) ? await run(version, version, DAY, true) : unfetched(version, true))
if (chain.every((version) => version in binaries)) rows.push(await run(chain.join(' -> '), chain.at(-1), ['upgrade'], true))
else console.log(`\nskipped: the upgrade from ${chain.join(' to ')}, which needs all of them`)
if (withNewest) rows.push(await newest())
printTable(rows)
process.exitCode = rows.some(({ gates, status }) => gates && status !== 'passed') ? 1 : 0

function fetched(version) {
  try {
    binaries[version] = binaryOf(version)
    return true
  } catch (error) {
    console.error(`\n${error.message}`)
    return false
  }
}

function unfetched(name, gates) {
  return { name, gates, status: gates ? 'FAILED: not fetched' : 'not fetched', cells: {} }
}

/** Tells early of what is to come; fails nobody. */
async function newest() {
  const version = newestVersion()
  if (version === undefined) return unfetched('newest', false)
  const name = `newest (${version})`
  if (wanted.includes(version)) return { name, gates: false, status: 'see above', cells: {} }
  return fetched(version) ? run(name, version, DAY, false) : unfetched(name, false)
}

async function run(name, version, suites, gates) {
  console.log(`\n== OpenCode ${name}`)
  const began = performance.now()
  const report = join(root, `report-${rows.length}.jsonl`)
  const place = join(root, `run-${rows.length}.json`)
  writeFileSync(place, JSON.stringify({ root, report, version, binaries, chain }))
  const vitest = join(repository, 'node_modules/vitest/vitest.mjs')
  const files = suites.map((suite) => `test/opencode/${suite}.lab.ts`)
  suite = spawn(process.execPath, [vitest, 'run', '--config', 'vitest.opencode.config.ts', ...files], {
    cwd: repository,
    env: { ...process.env, SPANLEAF_OPENCODE_RUN: place },
    stdio: ['ignore', 'inherit', 'inherit'],
  })
  const status = await new Promise((resolve) => suite.once('exit', resolve))
  const lines = existsSync(report) ? readFileSync(report, 'utf8').trim().split('\n') : []
  const cells = Object.fromEntries(
    lines
      .filter(Boolean)
      .map((line) => JSON.parse(line))
      .map(({ column, value }) => [column, value]),
  )
  cells.seconds = Math.round((performance.now() - began) / 1000)
  return { name, gates, status: status === 0 ? 'passed' : 'FAILED', cells }
}

function printTable(rows) {
  const columns = [...new Set(rows.flatMap(({ cells }) => Object.keys(cells)))]
  const table = [
    ['OpenCode', 'result', ...columns],
    ...rows.map(({ name, status, gates, cells }) => [
      name,
      gates ? status : `${status} (does not count)`,
      ...columns.map((column) => cells[column] ?? ''),
    ]),
  ].map((row) => row.map(String))
  const widths = table[0].map((_, at) => Math.max(...table.map((row) => row[at].length)))
  console.log('')
  for (const row of table)
    console.log(
      row
        .map((cell, at) => cell.padEnd(widths[at]))
        .join('  ')
        .trimEnd(),
    )
}

/** Ends what a suite that was interrupted left running, and removes every machine. */
function cleanUp() {
  for (const name of readdirSync(root).filter((file) => file.endsWith('.pid'))) {
    const pid = Number(name.slice(0, -'.pid'.length))
    if (!isOurs(pid)) continue
    try {
      process.kill(-pid, 'SIGKILL')
    } catch {
      // it has ended
    }
  }
  rmSync(root, { recursive: true, force: true, maxRetries: 5 })
}

/** A number may have been given to another process since. */
function isOurs(pid) {
  const command = existsSync(`/proc/${pid}/cmdline`)
    ? readFileSync(`/proc/${pid}/cmdline`, 'utf8')
    : spawnSync('ps', ['-o', 'command=', '-p', String(pid)], { encoding: 'utf8' }).stdout
  return Object.values(binaries).some((binary) => command?.includes(binary))
}
