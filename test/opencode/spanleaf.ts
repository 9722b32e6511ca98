/** The compiled command line, run beside a model that must go on answering: nothing here blocks. */
import { spawn } from 'node:child_process'
import { type CliResult, MAIN } from '../support/cli.js'

export type { CliResult } from '../support/cli.js'

export function spanleaf(args: readonly string[]): Promise<CliResult> {
  return new Promise((resolve, reject) => {
    const env = { PATH: process.env.PATH ?? '', HOME: '/nonexistent', NO_COLOR: '1', TZ: 'UTC' }
    const child = spawn(process.execPath, [MAIN, ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] })
    const pieces: Record<'stdout' | 'stderr', Buffer[]> = { stdout: [], stderr: [] }
    child.stdout.on('data', (piece: Buffer) => pieces.stdout.push(piece))
    child.stderr.on('data', (piece: Buffer) => pieces.stderr.push(piece))
    child.once('error', reject)
    child.once('close', (status) => {
      const text = (name: 'stdout' | 'stderr'): string => Buffer.concat(pieces[name]).toString('utf8')
      resolve({ status, stdout: text('stdout'), stderr: text('stderr') })
    })
  })
}
