/** Several processes on one state: real ones, of the compiled code. */
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'
import { openLmdbState } from '../../src/indexer/state/lmdb/state.js'
import type { LocalIndexStore } from '../../src/indexer/state/state.js'
import { A, seen } from '../contracts/state-stage.js'
import { keyOf, tempFolder } from '../support/index-world.js'

const CHILD = fileURLToPath(new URL('../support/lmdb-child.mjs', import.meta.url))
const run = promisify(execFile)

/** Another process that is in the middle of a transaction until `end` is called. */
async function holder(directory: string) {
  const until = join(directory, 'until')
  const child = spawn(process.execPath, [CHILD, JSON.stringify({ task: 'hold', directory, until })], { stdio: ['ignore', 'pipe', 'inherit'] })
  const [said] = (await Promise.race([once(child.stdout, 'data'), once(child, 'exit')])) as [unknown]
  if (String(said) !== 'holding\n') throw new Error(`the other process ended (${said})`)
  return {
    end: async () => {
      const exit = once(child, 'exit')
      writeFileSync(until, '')
      await exit
    },
    kill: async () => {
      const exit = once(child, 'exit')
      child.kill('SIGKILL')
      await exit
    },
  }
}

async function stateIn(directory: string, lockWaitMs?: number): Promise<LocalIndexStore> {
  const state = await openLmdbState({ directory, lockWaitMs })
  await state.bind({ space: 'space', namespace: 'ns' })
  await state.observe(seen(A))
  return state
}

/** Turns of the event loop that pass, one by one, for as long as it is free. */
async function turns(times: number): Promise<void> {
  for (let turn = 0; turn < times; turn++) await sleep(1)
}

describe('while another process writes', () => {
  it('a transaction waits, and the event loop goes on', async () => {
    using folder = tempFolder()
    await using state = await stateIn(folder.path)
    const other = await holder(folder.path)
    let done = false
    const claiming = state.claim().then((claim) => {
      done = true
      return claim
    })
    // A transaction that waited on this thread would let no turn pass before the other process ends, which waits for us.
    await turns(100)
    expect(done).toBe(false)
    expect(state.status().queue).toEqual({ ready: 1, leased: 0, backoff: 0 })
    await other.end()
    expect(await claiming).toMatchObject({ key: A })
  })

  it('several wait in their order', async () => {
    using folder = tempFolder()
    await using state = await stateIn(folder.path)
    const other = await holder(folder.path)
    const ended: string[] = []
    const steps = [
      state.observe(seen(keyOf('ses_b'))).then(() => ended.push('observe')),
      state.claim().then((claim) => ended.push(`claim ${claim?.key.session}`)),
      state.wake([keyOf('ses_b')], 'replay').then((woken) => ended.push(`wake ${woken}`)),
    ]
    await turns(20)
    expect(ended).toEqual([])
    await other.end()
    await Promise.all(steps)
    expect(ended).toEqual(['observe', 'claim ses_a', 'wake 1'])
  })

  it('one that waits too long says so, does nothing later, and the state goes on', async () => {
    using folder = tempFolder()
    await using state = await stateIn(folder.path, 300)
    const other = await holder(folder.path)
    await expect(state.claim()).rejects.toMatchObject({
      code: 'STATE_UNAVAILABLE',
      retryable: true,
      reason: 'another process has been writing for 300 ms',
    })
    await other.end()
    expect(await state.wake([A], 'fresh')).toBe(1)
    expect(state.status()).toMatchObject({ queue: { ready: 1, leased: 0 }, counters: { claims: 0 } })
    expect(await state.claim()).toMatchObject({ key: A, token: 1 })
  })

  it('one that is killed in the middle leaves nothing, and holds nobody up', async () => {
    using folder = tempFolder()
    await using state = await stateIn(folder.path)
    const other = await holder(folder.path)
    const claiming = state.claim()
    await turns(20)
    await other.kill()
    expect(await claiming).toMatchObject({ key: A, token: 1 })
  })
})

it('four processes claim each session one at a time, and the sums are exact', async () => {
  using folder = tempFolder()
  const directory = join(folder.path, 'index')
  const marks = join(folder.path, 'marks')
  mkdirSync(marks)
  const [sessions, messages, processes] = [25, 6, 4]
  await using state = await stateIn(directory)
  const keys = Array.from({ length: sessions }, (_, i) => keyOf(`ses_${i}`))
  await state.observe({ seen: keys.map((key) => ({ key, revision: 'r', meta: 'm', store: '/store' })), gone: [] })
  const task = JSON.stringify({ task: 'hammer', directory, marks, messages })
  const ended = await Promise.all(Array.from({ length: processes }, () => run(process.execPath, [CHILD, task])))
  const claims = ended.flatMap(({ stdout }) => JSON.parse(stdout) as [number, string][])
  const all = (sessions + 1) * messages
  expect(claims).toHaveLength(all)
  expect(new Set(claims.map(([token]) => token)).size).toBe(all)
  expect(state.status()).toMatchObject({
    queue: { ready: 0, leased: 0, backoff: 0 },
    ledger: { sessions: sessions + 1, messages: all, documents: all },
    counters: { claims: all, commits: all, takeovers: 0 },
  })
  for (const key of [A, ...keys]) {
    const tokens = claims.filter(([, session]) => session === key.session).map(([token]) => token)
    // The n-th claim of a session wrote its n-th message.
    expect([...state.ledger(key)].map(([message, { at }]) => [message, at])).toEqual(
      tokens.sort((a, b) => a - b).map((token, n) => [`msg_${n + 1}`, token]),
    )
  }
}, 180_000)

it.runIf(process.platform === 'linux')(
  'a disk that is full ends no process: the failure is told, what was committed before stays',
  async () => {
    using folder = tempFolder()
    const task = JSON.stringify({ task: 'fill', directory: folder.path })
    // Blocks of 1 KiB; the signal of a file that grows too large is ignored, so that writing fails with EFBIG.
    const { stdout } = await run('bash', ['-c', `trap '' XFSZ; ulimit -f 512; exec "$0" "$@"`, process.execPath, CHILD, task])
    const { committed, messages, code, unhandled } = JSON.parse(stdout) as Record<string, number | string>
    expect([code, unhandled]).toEqual(['STATE_UNAVAILABLE', 0])
    expect(committed).toBeGreaterThan(10)
    expect(messages).toBe(committed)
    await using state = await openLmdbState({ directory: folder.path })
    expect(state.status().ledger.messages).toBe(committed)
    expect(state.ledger(A).size).toBe(committed)
    await state.observe(seen(keyOf('ses_b')))
    expect(state.status().queue.ready).toBe(1)
  },
  180_000,
)

it.runIf(process.platform === 'linux')(
  'a change that the disk has no room for takes with it none of those that share its commit, and nothing of it is seen by them',
  async () => {
    using folder = tempFolder()
    const task = JSON.stringify({ task: 'share', directory: folder.path })
    const { stdout } = await run('bash', ['-c', `trap '' XFSZ; ulimit -f 512; exec "$0" "$@"`, process.execPath, CHILD, task])
    expect(JSON.parse(stdout)).toEqual({ ends: [true, 'STATE_UNAVAILABLE', true, 'free'], held: ['before', 'after'] })
  },
  180_000,
)

it('a process that was killed while it read is forgotten by the next sweep, so that freed pages are used again', async () => {
  using folder = tempFolder()
  await using state = await stateIn(folder.path)
  const { open } = await import('lmdb')
  const path = join(folder.path, 'state.mdb')
  // Opening forgets dead readers too, so this is opened before.
  const looking = open({ path, noSubdir: true, maxDbs: 24, overlappingSync: false })
  const script = `
    import { open } from ${JSON.stringify(import.meta.resolve('lmdb'))}
    const root = open({ path: ${JSON.stringify(path)}, noSubdir: true, maxDbs: 24, overlappingSync: false })
    const table = root.openDB({ name: 'sess' })
    const reading = root.useReadTransaction()
    table.get('x', { transaction: reading })
    console.log('reading')
    setInterval(() => reading, 1000)
  `
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })
  await once(child.stdout, 'data')
  const named = new RegExp(`\\b${child.pid}\\b`)
  expect(looking.readerList()).toMatch(named)
  const exit = once(child, 'exit')
  child.kill('SIGKILL')
  await exit
  expect(looking.readerList()).toMatch(named)
  await state.sweep()
  expect(looking.readerList()).not.toMatch(named)
  await looking.flushed
  await looking.close()
}, 180_000)
