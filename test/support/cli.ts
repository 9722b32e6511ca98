/** Runs the compiled command line as users do. */
import { spawn, spawnSync } from 'node:child_process'
import { cpSync, mkdtempSync, readdirSync, rmSync, utimesSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { started } from './started.js'

export const REPOSITORY = fileURLToPath(new URL('../..', import.meta.url))
export const MAIN = `${REPOSITORY}dist/bundle/spanleaf.js`
export const DEMO = `${REPOSITORY}examples/demo-store/opencode`

export interface CliResult {
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
}

/** No store of the machine is ever found: HOME is an empty folder unless `env` says otherwise. */
function environment(env: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  const home = env.HOME === undefined && env.SPANLEAF_HOME === undefined ? { SPANLEAF_HOME: ownHome() } : {}
  return { PATH: process.env.PATH ?? '', HOME: '/nonexistent', NO_COLOR: '1', ...home, ...env }
}

let held: string | undefined

/** Where commands keep what they listed, for as long as the tests of a file run. */
function ownHome(): string {
  if (held !== undefined) return held
  const made = mkdtempSync(join(tmpdir(), 'spanleaf-cli-home-'))
  process.once('exit', () => rmSync(made, { recursive: true, force: true }))
  held = made
  return made
}

export function runCli(args: readonly string[], env: Readonly<Record<string, string>> = {}): CliResult {
  return started(() => {
    const { status, stdout, stderr, error } = spawnSync(process.execPath, [MAIN, ...args], {
      encoding: 'utf8',
      env: { TZ: 'UTC', ...environment(env) },
      maxBuffer: 2 ** 28,
    })
    if (error !== undefined) throw error
    return { status, stdout, stderr }
  })
}

/** The JSON lines that a command printed. */
export function jsonLines(result: CliResult): Record<string, unknown>[] {
  return result.stdout
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line))
}

export function startCli(args: readonly string[], env: Readonly<Record<string, string>> = {}): ReturnType<typeof spawn> {
  return spawn(process.execPath, [MAIN, ...args], {
    env: environment(env),
    stdio: ['ignore', 'pipe', 'pipe'],
  })
}

/** A copy of the demo store that nobody wrote to for a day: in a fresh clone its unfinished messages would still count as being written. */
export function settledDemo(folder: string): string {
  const copy = join(folder, 'demo')
  cpSync(DEMO, copy, { recursive: true })
  const yesterday = new Date(Date.now() - 86_400_000)
  for (const name of readdirSync(copy, { recursive: true, encoding: 'utf8' })) utimesSync(join(copy, name), yesterday, yesterday)
  return copy
}

/** As `runCli`, while this process goes on: it may serve what the command asks for. */
export async function runCliBeside(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<CliResult> {
  const child = startCli(args, env)
  const { stdout, stderr, ended } = outputOf(child)
  const { code } = await ended
  return { status: code, stdout: stdout(), stderr: stderr() }
}

/** What a child has written so far, and how it ended. */
export function outputOf(child: ReturnType<typeof spawn>) {
  const written = { stdout: '', stderr: '' }
  const listeners = new Set<() => void>()
  for (const name of ['stdout', 'stderr'] as const) {
    child[name]?.setEncoding('utf8').on('data', (text: string) => {
      written[name] += text
      for (const listener of listeners) listener()
    })
  }
  const ended = new Promise<{ readonly code: number | null; readonly signal: NodeJS.Signals | null }>((resolve) => {
    child.once('close', (code, signal) => resolve({ code, signal }))
  })
  const matching = (name: 'stdout' | 'stderr', pattern: RegExp): Promise<void> =>
    new Promise((resolve, reject) => {
      const look = (): void => {
        if (!pattern.test(written[name])) return
        listeners.delete(look)
        resolve()
      }
      listeners.add(look)
      ended.then(() => reject(new Error(`it ended without ${pattern} on ${name}: ${written.stderr}`)), reject)
      look()
    })
  /** Resolve once it matches; reject when the child ends before. */
  const said = (pattern: RegExp): Promise<void> => matching('stderr', pattern)
  const wrote = (pattern: RegExp): Promise<void> => matching('stdout', pattern)
  return { stdout: () => written.stdout, stderr: () => written.stderr, ended, said, wrote }
}
