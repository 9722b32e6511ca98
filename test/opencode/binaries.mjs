// Fetches OpenCode's binaries with npm, as its platform packages hold them, and keeps them in a cache folder.
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'

/** @returns {string} the binary of one version, fetched when the cache lacks it */
export function binaryOf(version) {
  const folder = join(cacheFolder(), version)
  const binary = join(folder, 'node_modules', packageName(), 'bin', 'opencode')
  if (!existsSync(binary)) fetchInto(folder, version)
  const { stdout, error, signal } = spawnSync(binary, ['--version'], { encoding: 'utf8', env: quietEnvironment() })
  const told = stdout?.trim() || error?.message || signal || 'nothing'
  if (told !== version) throw new Error(`the binary of ${version} answers ${told} when asked for its version (${binary})`)
  return binary
}

/** @returns {string | undefined} the newest published version, as far as npm can tell */
export function newestVersion() {
  const { status, stdout } = spawnSync('npm', ['view', packageName(), 'version'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] })
  return status === 0 ? stdout.trim() : undefined
}

/** The folder appears whole or not at all. */
function fetchInto(folder, version) {
  const cache = cacheFolder()
  mkdirSync(cache, { recursive: true })
  const unfinished = mkdtempSync(join(cache, `.${version}-`))
  try {
    writeFileSync(join(unfinished, 'package.json'), '{"private":true}')
    const options = ['--no-audit', '--no-fund', '--ignore-scripts', '--no-package-lock', '--loglevel=error']
    execFileSync('npm', ['install', ...options, `${packageName()}@${version}`], { cwd: unfinished, stdio: ['ignore', 'ignore', 'inherit'] })
    rmSync(folder, { recursive: true, force: true })
    renameSync(unfinished, folder)
  } catch (error) {
    throw new Error(`npm could not fetch ${packageName()}@${version}`, { cause: error })
  } finally {
    rmSync(unfinished, { recursive: true, force: true })
  }
}

function cacheFolder() {
  return process.env.SPANLEAF_LAB ? resolve(process.env.SPANLEAF_LAB) : resolve(import.meta.dirname, '../../node_modules/.cache/spanleaf-lab')
}

/** The ordinary x64 binaries need AVX2 and glibc. */
function packageName() {
  const { platform, arch } = process
  if (platform === 'darwin') return `opencode-darwin-${arch}`
  if (platform !== 'linux') throw new Error(`this suite runs OpenCode on Linux and macOS, not on ${platform}`)
  const baseline = arch === 'x64' && !/\bavx2\b/.test(readFileSync('/proc/cpuinfo', 'utf8')) ? '-baseline' : ''
  const musl = process.report.getReport().header.glibcVersionRuntime === undefined ? '-musl' : ''
  return `opencode-linux-${arch}${baseline}${musl}`
}

function quietEnvironment() {
  const nowhere = join(cacheFolder(), '.home')
  const xdg = ['DATA', 'CONFIG', 'STATE', 'CACHE'].map((name) => [`XDG_${name}_HOME`, join(nowhere, name.toLowerCase())])
  return { PATH: process.env.PATH, HOME: nowhere, OPENCODE_DISABLE_AUTOUPDATE: '1', OPENCODE_DISABLE_MODELS_FETCH: '1', ...Object.fromEntries(xdg) }
}
