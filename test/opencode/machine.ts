/** A machine for OpenCode alone: its own HOME and XDG folders, its configuration, its projects. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import type { RunPlace } from './run-place.js'

export interface Machine {
  readonly root: string
  /** OpenCode's data folder. */
  readonly data: string
  readonly env: Readonly<Record<string, string>>
  readonly place: RunPlace
}

/** Nothing of the caller's environment gets in but PATH, and nothing leaves: no updates, no model lists, no sharing, no plugins. */
export function makeMachine(place: RunPlace, name: string, model: string): Machine {
  const root = mkdtempSync(join(place.root, `${name}-`))
  const folders = { HOME: 'home', XDG_DATA_HOME: 'data', XDG_CONFIG_HOME: 'config', XDG_STATE_HOME: 'state', XDG_CACHE_HOME: 'cache' }
  const places = Object.fromEntries(Object.entries(folders).map(([variable, folder]) => [variable, join(root, folder)]))
  for (const folder of Object.values(places)) mkdirSync(folder)
  const disabled = ['AUTOUPDATE', 'MODELS_FETCH', 'DEFAULT_PLUGINS', 'LSP_DOWNLOAD', 'SHARE', 'TERMINAL_TITLE', 'FILETIME_CHECK']
  const env = {
    PATH: pathWithoutPackages(),
    LANG: 'C.UTF-8',
    TERM: 'dumb',
    TZ: 'UTC',
    GIT_CONFIG_NOSYSTEM: '1',
    ...places,
    // A package that OpenCode would like to have beside its configuration is not to be had.
    npm_config_registry: NOWHERE,
    BUN_CONFIG_REGISTRY: NOWHERE,
    ...Object.fromEntries(disabled.map((name) => [`OPENCODE_DISABLE_${name}`, '1'])),
  }
  const configuration = join(root, 'config', 'opencode', 'opencode.json')
  mkdirSync(dirname(configuration))
  writeFileSync(configuration, JSON.stringify(configurationFor(model)))
  return { root, data: join(root, 'data', 'opencode'), env, place }
}

/** npm puts the commands of our own packages first; OpenCode would format with them. */
function pathWithoutPackages(): string {
  return (process.env.PATH ?? '')
    .split(delimiter)
    .filter((folder) => !folder.includes('node_modules'))
    .join(delimiter)
}

/** The discard port: nobody answers. */
const NOWHERE = 'http://127.0.0.1:9/'

function configurationFor(model: string): object {
  const about = { tool_call: true, reasoning: true, attachment: true, limit: { context: 200_000, output: 8192 }, cost: { input: 3, output: 15 } }
  const images = { modalities: { input: ['text', 'image'], output: ['text'] } }
  return {
    autoupdate: false,
    share: 'disabled',
    formatter: false,
    lsp: false,
    model: 'mock/large',
    small_model: 'mock/small',
    provider: {
      mock: {
        npm: '@ai-sdk/openai-compatible',
        name: 'Mock',
        options: { baseURL: `${model}/v1`, apiKey: 'none' },
        models: { large: { name: 'Large', ...about, ...images }, small: { name: 'Small', ...about } },
      },
    },
    permission: { edit: 'allow', bash: 'allow', webfetch: 'deny', external_directory: 'allow' },
  }
}

/** A project folder with two files; a git repository where git is wanted and there is one. */
export function makeProject(machine: Machine, name: string, git: boolean): string {
  const folder = join(machine.root, 'projects', name)
  mkdirSync(join(folder, 'src'), { recursive: true })
  writeFileSync(join(folder, 'README.md'), `# ${name}\n`)
  writeFileSync(join(folder, 'src', 'index.js'), 'export const add = (a, b) => a + b\n')
  if (!git) return folder
  const author = ['-c', 'user.name=Test', '-c', 'user.email=test@example.invalid']
  for (const args of [
    ['init', '--quiet'],
    ['add', '--all'],
    [...author, 'commit', '--quiet', '--message', name],
  ]) {
    execFileSync('git', args, { cwd: folder, env: machine.env, stdio: 'pipe' })
  }
  return folder
}

/** Starts a binary in a process group of its own, which the launcher ends if nobody else does. */
export function startBinary(machine: Machine, binary: string, args: readonly string[], cwd: string, output: string): ChildProcess {
  const file = openSync(output, 'a')
  const child = spawn(binary, args, { cwd, env: machine.env, stdio: ['ignore', file, openSync(`${output}.err`, 'a')], detached: true })
  closeSync(file)
  if (child.pid !== undefined) writeFileSync(join(machine.place.root, `${child.pid}.pid`), '')
  return child
}

/** Ends what the binary started, too. */
export function killGroup(machine: Machine, child: ChildProcess, signal: NodeJS.Signals): void {
  if (child.pid === undefined) return
  try {
    process.kill(-child.pid, signal)
  } catch {
    // all of it has ended
  }
  if (signal === 'SIGKILL') rmSync(join(machine.place.root, `${child.pid}.pid`), { force: true })
}

/** Runs a command of the binary to its end. A pipe would lose the tail of long output: 1.x exits before it is written. */
export async function runBinary(
  machine: Machine,
  binary: string,
  args: readonly string[],
  cwd: string,
): Promise<{ code: number | null; out: string; err: string }> {
  const output = join(mkdtempSync(join(machine.root, 'run-')), 'out')
  const child = startBinary(machine, binary, args, cwd, output)
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('exit', resolve)
    child.once('error', reject)
    setTimeout(() => killGroup(machine, child, 'SIGKILL'), 60_000).unref()
  })
  killGroup(machine, child, 'SIGKILL')
  return { code, out: readFileSync(output, 'utf8'), err: readFileSync(`${output}.err`, 'utf8') }
}
