/**
 * The delay of the caller's event loop: node loop.mjs STORE worker|inline list|refresh|verify|grep
 * Prints p99 and the longest, in milliseconds, and how long the work took; and how much of the longest this thread was on the CPU, where the
 * system tells that: the rest it waited for others.
 */
import { openSync, readSync } from 'node:fs'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout as delay } from 'node:timers/promises'
import { findSessionsContaining, openSessions, pageSessions, verifyStores } from 'spanleaf'

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
/** Milliseconds that this thread was on the CPU, in steps of the scheduler's tick. */
function cpuClock() {
  const buffer = Buffer.alloc(64)
  try {
    const file = openSync(`/proc/self/task/${process.pid}/schedstat`)
    return () => Number.parseInt(buffer.latin1Slice(0, readSync(file, buffer, 0, 64, 0)), 10) / 1e6
  } catch {
    return undefined
  }
}

await delay(50)
const onCpu = cpuClock()
let [longestCpu, last] = [0, onCpu?.()]
const sampler =
  onCpu &&
  setInterval(() => {
    const now = onCpu()
    longestCpu = Math.max(longestCpu, now - last)
    last = now
  }, 1)
const delays = monitorEventLoopDelay({ resolution: 1 })
delays.enable()
const started = performance.now()
const sessions = await openSessions({ data, worker: how === 'worker' })
await WORK[what](sessions)
const ms = performance.now() - started
await sessions.close()
delays.disable()
clearInterval(sampler)
// The timer of the monitor itself rests for its resolution.
const inMs = (nanoseconds) => Math.max(0, nanoseconds / 1e6 - 1)
console.log(JSON.stringify({ ms, p99: inMs(delays.percentile(99)), max: inMs(delays.max), ...(onCpu && { cpu: longestCpu }) }))
