/**
 * ccusage, a program that adds up tokens, beside the project in node_modules/.cache/bench: never a dependency, skipped where it
 * cannot be had. It runs as npm installs it: a launcher on Node starts a binary made from Rust.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { REPOSITORY } from './corpus.mjs'
import { Skipped } from './measure.mjs'

const VERSION = '20.0.24'
const FOLDER = join(REPOSITORY, 'node_modules', '.cache', 'bench')
const LAUNCHER = join(FOLDER, 'node_modules', '.bin', 'ccusage')
const BINARY = join(FOLDER, 'node_modules', '@ccusage', `ccusage-${process.platform}-${process.arch}`, 'bin', 'ccusage')

/** The command that reports every session of an agent below `home`, with prices that it brings along. */
export function ccusage(agent, home) {
  if (!existsSync(BINARY)) install()
  const places = { CLAUDE_CONFIG_DIR: join(home, '.claude'), CODEX_HOME: join(home, '.codex'), PI_AGENT_DIR: join(home, '.pi', 'agent', 'sessions') }
  const environment = Object.entries({ HOME: home, ...places }).map(([name, value]) => `${name}=${value}`)
  return ['env', ...environment, LAUNCHER, agent, 'session', '--json', '--offline']
}
ccusage.version = VERSION

function install() {
  mkdirSync(FOLDER, { recursive: true })
  writeFileSync(join(FOLDER, 'package.json'), '{"private":true}')
  spawnSync('npm', ['install', '--no-save', '--no-audit', '--no-fund', `ccusage@${VERSION}`], { cwd: FOLDER, stdio: 'ignore' })
  if (!existsSync(BINARY)) throw new Skipped(`ccusage ${VERSION} could not be installed`)
}
