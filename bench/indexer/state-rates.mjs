/** B6, B14, B15, one process on a state. Argument: {"what":"prepare"|"rates"|"churn"|"bytes","directory","count","sessions","live"}. */
import { closeSync, fdatasyncSync, openSync, rmSync, statSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { deflateRawSync } from 'node:zlib'
import { openLmdbState } from '../../dist/indexer/state/lmdb/state.js'
import { keyOf, recordOf, say } from './world.mjs'

const { what, directory, count = 200, sessions = 20_000, live = 64 } = JSON.parse(process.argv[2])
const state = await openLmdbState({ directory })
await state.bind({ space: 'fake', namespace: 'local' })
say(await { prepare, rates, churn, bytes }[what]())
await state[Symbol.asyncDispose]()

async function prepare() {
  for (let from = 0; from < sessions; from += 256) {
    const seen = Array.from({ length: Math.min(256, sessions - from) }, (_, at) => ({
      key: keyOf(from + at),
      revision: '1',
      meta: 'm',
      store: '/store',
    }))
    await state.observe({ seen, gone: [] })
  }
  return { sessions: state.status().queue.ready }
}

/** Operations per second of each transition alone, with a state of `sessions` sessions. 32 rows of 4096 dimensions and their texts: 575 KiB. */
async function rates() {
  const spent = { claim: 0, renew: 0, append: 0, commit: 0, release: 0 }
  const timed = async (name, work) => {
    const started = performance.now()
    const value = await work()
    spent[name] += performance.now() - started
    return value
  }
  const synced = syncRate()
  const begun = performance.now()
  for (let n = 0; n < count; n++) {
    const claim = await timed('claim', () => state.claim())
    await timed('renew', () => state.renew(claim))
    const record = recordOf(claim, { rows: 32, dimensions: 4096, now: Date.now() })
    const seq = await timed('append', () => state.walAppend(claim, record))
    await timed('commit', () => state.commit(claim, { wal: { seq, record, replayed: false } }))
    await timed('release', () => state.release(claim, { kind: 'done' }))
  }
  const perSecond = Object.fromEntries(Object.entries(spent).map(([name, ms]) => [name, (count / ms) * 1000]))
  return { perSecond: { ...perSecond, synced }, seconds: (performance.now() - begun) / 1000, count }
}

/** What the disk allows at most: 4 KiB written and synced, per second. */
function syncRate() {
  const path = join(directory, `sync-${process.pid}`)
  const file = openSync(path, 'w')
  const page = Buffer.alloc(4096, 1)
  const started = performance.now()
  for (let n = 0; n < count; n++) {
    writeSync(file, page, 0, page.length, n * page.length)
    fdatasyncSync(file)
  }
  const rate = (count / (performance.now() - started)) * 1000
  closeSync(file)
  rmSync(path)
  return rate
}

/** Records come and go, `live` of them at a time. */
async function churn() {
  const open = []
  let peak = 0
  for (let n = 0; n < count; n++) {
    const claim = await state.claim()
    const record = recordOf(claim, { rows: 32, dimensions: 1024, now: Date.now() })
    open.push({ claim, record, seq: await state.walAppend(claim, record) })
    if (open.length < live) continue
    if (n < live + 2) peak = Math.max(peak, state.status().wal.bytes)
    const { claim: old, record: oldest, seq } = open.shift()
    await state.commit(old, { wal: { seq, record: oldest, replayed: false } })
    // The session is to be claimed again, so that there are ledger rows for `live` sessions and few more.
    await state.release(old, { kind: 'done', more: true })
  }
  return { peakWalBytes: peak, fileBytes: statSync(join(directory, 'state.mdb')).size, rssMbAtEnd: process.memoryUsage().rss / 2 ** 20 }
}

async function bytes() {
  const sizes = {}
  for (const dimensions of [1024, 4096]) {
    const before = state.status().wal.bytes
    const claim = await state.claim()
    const record = recordOf(claim, { rows: 32, dimensions, now: Date.now() })
    await state.walAppend(claim, record)
    const texts = deflateRawSync(record.rows.map(({ text }) => text).join('\n')).length
    const wal = state.status().wal.bytes - before
    sizes[dimensions] = { wal, matrix: 32 * dimensions * 4, texts, ratio: wal / (32 * dimensions * 4 + texts) }
  }
  return { sizes }
}
