// Runs every shell command of README.md in a fresh clone, as a new user would; any failure fails.
// The test command is left out: .ci/run has run it on this very commit.
import { execFileSync, spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'

const repository = resolve(import.meta.dirname, '../..')
const commands = [...readFileSync(join(repository, 'README.md'), 'utf8').matchAll(/^```sh\n(.*?)^```/gms)]
  .flatMap(([, block]) => block.trim().split('\n'))
  .filter((command) => !command.endsWith('npm test'))
if (!commands.some((command) => command.endsWith('npm start'))) throw new Error('README.md does not tell how to start')

const folder = mkdtempSync(join(tmpdir(), 'spanleaf-readme-'))
try {
  const clone = join(folder, 'spanleaf')
  execFileSync('git', ['clone', '--quiet', repository, clone], { stdio: 'inherit' })
  // A machine with sessions for all commands but the first, which is also to work on one without.
  const home = join(folder, 'home')
  mkdirSync(home)
  for (const command of commands) {
    console.log(`$ ${command}`)
    const env = {
      ...process.env,
      HOME: home,
      XDG_DATA_HOME: '',
      XDG_STATE_HOME: '',
      npm_config_cache: process.env.npm_config_cache ?? join(process.env.HOME ?? home, '.npm'),
    }
    if (process.env.HOME) env.npm_config_userconfig = join(process.env.HOME, '.npmrc')
    const { status } = spawnSync('bash', ['-euo', 'pipefail', '-c', command], { cwd: clone, env, stdio: ['ignore', 'inherit', 'inherit'] })
    if (status !== 0) throw new Error(`the command ended with ${status}: ${command}`)
    if (command.endsWith('npm start')) cpSync(join(clone, 'examples/demo-store/opencode'), join(home, '.local/share/opencode'), { recursive: true })
  }
  console.log(`${commands.length} commands of README.md passed`)
} finally {
  rmSync(folder, { recursive: true, force: true })
}
