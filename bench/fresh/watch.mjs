/**
 * From a write to the event of a watch: node watch.mjs json|db|claude STORE WRITES [BACKEND]
 * Prints milliseconds p50 and p99, and the peak of the process's memory while it watches.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { openSessions, watchSessions } from 'spanleaf'
import { writerOf } from './writer.mjs'

const BETWEEN_MS = 150
const LOST_MS = 10_000

const [layout, store, writes, backend = 'auto'] = process.argv.slice(2)
const writer = await writerOf(layout, store)
const sessions = await openSessions({ data: store })
const ids = sessions.index.sessionsByTime().map(({ id }) => id)
const ending = new AbortController()
const issues = []
const waiting = new Map()
const watching = watch()
try {
  await delay(1500)
  const took = []
  for (let round = 0; round < Number(writes); round++) {
    const id = ids[(round * 7) % ids.length]
    const started = performance.now()
    const told = new Promise((resolve) => waiting.set(id, resolve))
    writer.append(id, round)
    const lost = new AbortController()
    const at = await Promise.race([told, delay(LOST_MS, undefined, { signal: lost.signal }).catch(() => undefined)])
    lost.abort()
    if (at === undefined) throw new Error(`the write of round ${round} was not told within ${LOST_MS} ms`)
    took.push(at - started)
    await delay(BETWEEN_MS * (0.5 + Math.random()))
  }
  const sorted = took.toSorted((a, b) => a - b)
  const at = (share) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]
  console.log(JSON.stringify({ layout, p50: at(0.5), p99: at(0.99), rssMb: process.memoryUsage.rss() / 2 ** 20, issues: issues.length }))
} finally {
  ending.abort()
  await watching
  await sessions.close()
  writer.clear()
  writer.close()
}

async function watch() {
  for await (const { session } of watchSessions(sessions, { signal: ending.signal, watch: backend, onIssue: (issue) => issues.push(issue) })) {
    waiting.get(session.session)?.(performance.now())
    waiting.delete(session.session)
  }
}
