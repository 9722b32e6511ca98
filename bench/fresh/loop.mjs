/**
 * The delay of the caller's event loop: node loop.mjs STORE worker|inline list|refresh|verify|grep
 * Prints p99 and the longest, in milliseconds, and how long the work took.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout as delay } from 'node:timers/promises'
import { findSessionsContaining, openSessions, pageSessions, verifyStores } from '../../dist/index.js'

const [data, how, what] = process.argv.slice(2)
const WORK = {
  list: async (sessions) => {
    let after
    do {
      const page = await pageSessions(sessions, { children: true, archived: true, ...(after !== undefined && { after }) })
      after = page.next
    } while (after !== undefined)
  },
  refresh: async (sessions) => {
    for (let round = 0; round < 5; round++) await sessions.refresh()
  },
  verify: (sessions) => verifyStores(sessions, { deep: true }),
  grep: async (sessions) => {
    for await (const _ of findSessionsContaining(sessions, 'no such text stands anywhere'));
  },
}
await delay(50)
const delays = monitorEventLoopDelay({ resolution: 1 })
delays.enable()
const started = performance.now()
const sessions = await openSessions({ data, worker: how === 'worker' })
await WORK[what](sessions)
const ms = performance.now() - started
await sessions.close()
delays.disable()
// The timer of the monitor itself rests for its resolution.
const inMs = (nanoseconds) => Math.max(0, nanoseconds / 1e6 - 1)
console.log(JSON.stringify({ ms, p99: inMs(delays.percentile(99)), max: inMs(delays.max) }))
