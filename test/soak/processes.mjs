/** Child processes, each the head of a group of its own; none outlives this one. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const living = new Set()

/** Ends what was started, whatever way this process ends but SIGKILL; then their standard inputs end, which they heed. */
process.once('exit', killAll)
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, () => process.exit(1))

export function killAll() {
  for (const child of living) killGroup(child)
}

/** Gone by `remove`, or when this process ends before, unless it is to be kept. */
export function temporaryFolder(name) {
  const path = mkdtempSync(join(tmpdir(), `spanleaf-${name}-`))
  const remove = () => {
    process.off('exit', remove)
    rmSync(path, { recursive: true, force: true, maxRetries: 5 })
  }
  process.once('exit', remove)
  return { path, remove, keep: () => process.off('exit', remove) }
}

function killGroup({ pid }) {
  try {
    process.kill(-pid, 'SIGKILL')
  } catch {
    // It is gone.
  }
}

/** `ready` resolves with the first line that the child writes; `ended` with its exit code or signal. */
export function start(command, args, options = {}) {
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'], ...options, detached: true })
  living.add(child)
  let output = ''
  let errors = ''
  const ended = once(child, 'close').then(([code, signal]) => {
    living.delete(child)
    return signal ?? code
  })
  const ready = new Promise((resolve) => {
    child.stdout.on('data', (chunk) => {
      output += chunk
      if (output.includes('\n')) resolve(true)
    })
    void ended.then(() => resolve(false))
  })
  child.stderr.on('data', (chunk) => {
    errors = (errors + chunk).slice(-20_000)
  })
  child.stdin.on('error', () => undefined)
  return {
    pid: child.pid,
    startedAt: performance.now(),
    ready,
    ended,
    alive: () => living.has(child),
    output: () => output,
    errors: () => errors,
    signal: (name) => living.has(child) && child.kill(name),
    kill: () => killGroup(child),
    rest: () => child.stdin.end(),
  }
}
