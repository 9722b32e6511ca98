/** A Chroma server of our own for the time of a run, where one can be had. */
import { existsSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { start, temporaryFolder } from './processes.mjs'

const REPOSITORY = join(import.meta.dirname, '..', '..')
const TOOL = join(REPOSITORY, '..', 'shared', 'tools', 'chroma', 'chroma-server.sh')
const START_MS = 90_000

/** { url, pid, stop } or { skipped }. Another node project with chromadb may be named in SPANLEAF_CHROMA_PROJECT. */
export async function startChroma() {
  if (!existsSync(TOOL)) return { skipped: 'the shared tool that starts a server is not beside this repository' }
  const { path: folder, remove } = temporaryFolder('chroma')
  const port = await freePort()
  const project = process.env.SPANLEAF_CHROMA_PROJECT ?? REPOSITORY
  const server = start('bash', [TOOL, folder, String(port), project])
  const stop = () => {
    server.kill()
    remove()
  }
  const url = `http://127.0.0.1:${port}`
  for (const begun = performance.now(); performance.now() - begun < START_MS && server.alive(); await delay(200)) {
    if (await answers(url)) return { url, pid: server.pid, stop }
  }
  stop()
  const said = server.errors().trim().split('\n').at(-1)
  return { skipped: `the server did not start (${said || 'no answer in time'})` }
}

async function answers(url) {
  try {
    return (await fetch(`${url}/api/v2/heartbeat`)).ok
  } catch {
    return false
  }
}

function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer().once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address()
      server.close(() => resolve(port))
    })
  })
}
