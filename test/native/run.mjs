// Runs the suites that need optional native peers: `npm run test:native`. Installs simdjson and mmap-io beside the project first, which only
// names them as peers. Both are built from source where nobody built them: what cannot be built or loaded here is skipped by name.
import { spawnSync } from 'node:child_process'
import { existsSync, lstatSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

const REPOSITORY = fileURLToPath(new URL('../..', import.meta.url))
const BESIDE = join(REPOSITORY, 'node_modules', '.cache', 'native')
const PEERS = [
  ['simdjson', 'simdjson@0.9.2'],
  ['mmap-io', 'mmap-io@npm:@riaskov/mmap-io@^1.4.3'],
]
const INSTALL_MS = 300_000

mkdirSync(BESIDE, { recursive: true })
for (const [name, specifier] of PEERS) {
  const problem = install(name, specifier)
  if (problem !== undefined) console.log(`test:native: ${name} is SKIPPED: ${problem}; remove ${relative(REPOSITORY, BESIDE)} to try again`)
}
const vitest = join(REPOSITORY, 'node_modules', 'vitest', 'vitest.mjs')
const { status } = spawnSync(process.execPath, [vitest, 'run', '--config', 'vitest.native.config.ts', ...process.argv.slice(2)], {
  cwd: REPOSITORY,
  stdio: 'inherit',
})
process.exit(status ?? 1)

/** Why it cannot be used here; a failure is noted, so that the next run of this Node does not build in vain again. */
function install(name, specifier) {
  const link = join(REPOSITORY, 'node_modules', name)
  // Somebody installed it into the project.
  if (existsSync(link) && !lstatSync(link).isSymbolicLink()) return problemOfLoading(link)
  const folder = join(BESIDE, 'node_modules', name)
  const note = join(BESIDE, `${name}.failed`)
  if (!existsSync(folder)) {
    if (existsSync(note) && readFileSync(note, 'utf8') === process.version) return `it could not be installed for Node ${process.version}`
    const { status } = npmInstall(specifier)
    if (status !== 0 || !existsSync(folder)) {
      writeFileSync(note, process.version)
      return `it cannot be installed for Node ${process.version}`
    }
    rmSync(note, { force: true })
  }
  rmSync(link, { force: true })
  symlinkSync(relative(dirname(link), folder), link)
  return problemOfLoading(folder)
}

function npmInstall(specifier) {
  return spawnSync('npm', ['install', '--prefix', BESIDE, '--no-audit', '--no-fund', '--loglevel=error', specifier], {
    cwd: BESIDE,
    stdio: ['ignore', 'inherit', 'inherit'],
    timeout: INSTALL_MS,
    shell: process.platform === 'win32',
  })
}

/** In a process of its own: what was built for another Node may crash. */
function problemOfLoading(folder) {
  const { status, signal, stderr } = spawnSync(process.execPath, ['-e', 'require(process.argv[1])', folder], { encoding: 'utf8' })
  if (status === 0) return undefined
  const [line = `it ended with ${status ?? signal}`] = stderr.split('\n').filter((text) => /^\w*Error\b/.test(text))
  return `it does not load in Node ${process.version}: ${line}`
}
