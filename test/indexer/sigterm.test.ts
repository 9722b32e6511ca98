/** SIGTERM in the midst of an embedding, in a process of its own: the bar B21. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { tempFolder } from '../support/index-world.js'

const CHILD = fileURLToPath(new URL('../support/stop-child.mjs', import.meta.url))

interface Ended {
  readonly report: { readonly embedded: readonly string[]; readonly sent: number; readonly wal: number; readonly leased: number }
  readonly code: number | null
  /** Milliseconds from the signal to the end. */
  readonly tookMs: number
}

async function run(folder: string, { embedMs, drainMs, signal }: { embedMs: number; drainMs: number; signal: boolean }): Promise<Ended> {
  const child = spawn(process.execPath, [CHILD, folder, String(embedMs), String(drainMs)], { stdio: ['ignore', 'pipe', 'inherit'] })
  let out = ''
  let signalled = 0
  child.stdout.on('data', (data: Buffer) => {
    out += data.toString()
    if (!signal || signalled > 0 || !out.includes('embedding')) return
    signalled = performance.now()
    child.kill('SIGTERM')
  })
  const [code] = (await once(child, 'close')) as [number | null]
  const last = out.trim().split('\n').at(-1) ?? ''
  return { report: JSON.parse(last) as Ended['report'], code, tookMs: performance.now() - signalled }
}

describe('SIGTERM during an embedding', () => {
  it('[B21] keeps what is paid for, and the next start embeds none of it again', async () => {
    using folder = tempFolder()
    const first = await run(folder.path, { embedMs: 300, drainMs: 60_000, signal: true })
    expect(first).toMatchObject({ code: 0, report: { embedded: ['one'], sent: 0, wal: 1, leased: 0 } })
    const second = await run(folder.path, { embedMs: 0, drainMs: 60_000, signal: false })
    expect(second.report).toMatchObject({ embedded: ['two', 'three'], sent: 3, wal: 0 })
  }, 180_000)

  it('[B21] waits no longer than drainMs', async () => {
    using folder = tempFolder()
    const first = await run(folder.path, { embedMs: 600_000, drainMs: 500, signal: true })
    expect(first).toMatchObject({ code: 0, report: { embedded: [], sent: 0, wal: 0, leased: 0 } })
    expect(first.tookMs).toBeGreaterThanOrEqual(450)
    // Far less than the embedding would take; the machine may be busy.
    expect(first.tookMs).toBeLessThan(20_000)
  }, 180_000)
})
