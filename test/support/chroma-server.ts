/**
 * A real Chroma server for tests: the one that SPANLEAF_TEST_CHROMA names, else one of our own on a free port of this machine,
 * where ../shared has what it takes and the C runtime that it needs is there already (`npm run test:chroma` fetches it).
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

const REPOSITORY = fileURLToPath(new URL('../..', import.meta.url))
const SCRIPT = join(REPOSITORY, '..', 'shared', 'tools', 'chroma', 'chroma-server.sh')

export interface ChromaTestServer extends AsyncDisposable {
  readonly url: string
  /** As a power cut would: nothing is flushed. */
  kill(): Promise<void>
  /** On the same data and the same port. */
  start(): Promise<void>
}

/** Why no server can be had; undefined when one can. */
export function whyNoServer(): string | undefined {
  if (!existsSync(SCRIPT)) return 'no ../shared'
  if (!existsSync(join(REPOSITORY, 'node_modules', 'chromadb', 'dist', 'cli.mjs'))) return 'chromadb is not installed'
  return hasRuntime() ? undefined : 'its C runtime is not there, npm run test:chroma fetches it'
}

function hasRuntime(): boolean {
  if (process.platform !== 'linux' || process.arch !== 'x64') return false
  const [major = 0, minor = 0] = execFileSync('getconf', ['GNU_LIBC_VERSION'], { encoding: 'utf8' }).replace(/^\D+/, '').split('.').map(Number)
  if (major > 2 || minor >= 39) return true
  const { CHROMA_GLIBC_DIR, XDG_CACHE_HOME } = process.env
  const root = CHROMA_GLIBC_DIR ?? join(XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'chroma-glibc')
  return existsSync(join(root, 'root', 'usr', 'lib', 'x86_64-linux-gnu', 'ld-linux-x86-64.so.2'))
}

/** One of our own, which may be killed. */
export async function startChromaServer(): Promise<ChromaTestServer> {
  const folder = mkdtempSync(join(tmpdir(), 'spanleaf-chroma-'))
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  let child: ChildProcess | undefined
  const kill = async (): Promise<void> => {
    const ended = child
    child = undefined
    if (ended === undefined || ended.exitCode !== null || ended.signalCode !== null) return
    const gone = new Promise((resolve) => ended.once('exit', resolve))
    ended.kill('SIGKILL')
    await gone
  }
  const start = async (): Promise<void> => {
    const started = spawn(SCRIPT, [folder, String(port), REPOSITORY], { stdio: 'ignore' })
    process.once('exit', () => started.kill('SIGKILL'))
    child = started
    await answering(url, () => started.exitCode === null)
  }
  await start()
  return {
    url,
    kill,
    start,
    async [Symbol.asyncDispose]() {
      await kill()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

async function answering(url: string, isRunning: () => boolean): Promise<void> {
  for (let tries = 0; tries < 600 && isRunning(); tries++) {
    const answer = await fetch(`${url}/api/v2/heartbeat`).catch(() => undefined)
    if (answer?.ok === true) return
    await delay(25)
  }
  throw new Error('the Chroma server does not start')
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0))
    })
  })
}
