// Runs the tests on a real Chroma server: `npm run test:chroma`. Starts a server once first, which fetches the C runtime that it may need.
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

const REPOSITORY = fileURLToPath(new URL('../..', import.meta.url))
const SCRIPT = join(REPOSITORY, '..', 'shared', 'tools', 'chroma', 'chroma-server.sh')
const PATIENCE_MS = 180_000

const problem = process.env.SPANLEAF_TEST_CHROMA === undefined ? await problemOfStart() : undefined
if (problem !== undefined) {
  console.log(`test:chroma: SKIPPED, no Chroma server can be started here: ${problem}`)
  process.exit(0)
}
const { status } = spawnSync('npx', ['vitest', 'run', 'test/chroma'], { cwd: REPOSITORY, stdio: 'inherit' })
process.exit(status ?? 1)

/** What keeps a server from starting; undefined once one answered. */
async function problemOfStart() {
  if (!existsSync(SCRIPT)) return '../shared/tools/chroma is not there'
  const folder = mkdtempSync(join(tmpdir(), 'spanleaf-chroma-'))
  const port = await freePort()
  const child = spawn(SCRIPT, [folder, String(port), REPOSITORY], { stdio: ['ignore', 'ignore', 'pipe'] })
  let words = ''
  child.stderr.on('data', (data) => {
    words = `${words}${data}`.slice(-2000)
  })
  try {
    for (let waitedMs = 0; waitedMs < PATIENCE_MS; waitedMs += 100) {
      if (child.exitCode !== null) return words.trim().split('\n').at(-1) || `it ended with ${child.exitCode}`
      const answer = await fetch(`http://127.0.0.1:${port}/api/v2/heartbeat`).catch(() => undefined)
      if (answer?.ok) return undefined
      await delay(100)
    }
    return `it does not answer within ${PATIENCE_MS / 1000} s`
  } finally {
    child.kill('SIGKILL')
    rmSync(folder, { recursive: true, force: true })
  }
}

function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address()
      server.close(() => resolve(port))
    })
  })
}
