/**
 * What a refresh costs: node refresh.mjs json|db|claude STORE ROUNDS nothing|append|rewrite|busy
 * 'append': a message in each of five sessions before every round; 'rewrite': one record written anew; 'busy': another process commits
 * every 100 ms. Prints the median milliseconds of a round, and the work of one: files opened, rows stepped, bytes read, stats.
 */
import { spawn } from 'node:child_process'
import { setTimeout as delay } from 'node:timers/promises'
import { openSessions } from 'spanleaf'
import { spread } from '../measure.mjs'
import { writerOf } from './writer.mjs'

/** Rounds whose times are not counted: the compiler is still at work. */
const WARM_UP = 10
const CHANGED = 5
/** So long after a write its time tells it from a later one, in milliseconds. */
const GRAIN_MS = 60

const [layout, store, rounds, change] = process.argv.slice(2)
const writer = change === 'nothing' ? undefined : change === 'busy' ? busyWriter() : await writerOf(layout, store)
const sessions = await openSessions({ data: store })
try {
  // What was written moments before the first look is looked at once more.
  await delay(change === 'nothing' ? 2500 : GRAIN_MS)
  // What is rewritten in place is of a session that is worked on.
  if (change === 'rewrite') writer.append(sessions.index.sessionsByTime()[0].id, 0)
  await delay(GRAIN_MS)
  await sessions.refresh()
  console.log(JSON.stringify({ layout, change, ...(await measured(sessions)) }))
} finally {
  await sessions.close()
  writer?.clear()
  writer?.close()
}

async function measured() {
  const metas = sessions.index.sessionsByTime()
  const times = []
  let work
  let seen = 0
  for (let round = 0; round < WARM_UP + Number(rounds); round++) {
    const touched = change === 'append' ? Array.from({ length: CHANGED }, (_, at) => metas[(round * CHANGED + at) % metas.length].id) : []
    for (const session of touched) writer.append(session, round)
    if (change === 'rewrite') writer.rewrite(metas[0].id)
    if (change !== 'nothing') await delay(GRAIN_MS)
    const started = performance.now()
    const { added, changed, removed, report } = await sessions.refresh()
    const took = performance.now() - started
    seen += changed.length
    if (added.length + removed.length > 0) throw new Error(`round ${round}: ${added.length} sessions added, ${removed.length} removed`)
    if (change === 'nothing' && changed.length > 0) throw new Error(`round ${round}: ${changed.length} sessions changed`)
    const ids = changed.map(({ session }) => session)
    if (touched.some((id) => !ids.includes(id))) throw new Error(`round ${round}: of ${CHANGED} changed sessions ${changed.length} were seen`)
    if (change === 'rewrite' && !ids.includes(metas[0].id)) throw new Error(`round ${round}: the rewrite was not seen`)
    if (round >= WARM_UP) times.push(took)
    work = report
  }
  const { files, rows, bytes, stats } = work
  return { ms: spread(times).median, files, rows, bytes, stats, changed: seen / (WARM_UP + Number(rounds)) }
}

function busyWriter() {
  const script = new URL('./busy-writer.mjs', import.meta.url).pathname
  const child = spawn(process.execPath, [script, layout, store, '100'], { stdio: ['pipe', 'inherit', 'inherit'] })
  return { clear: () => {}, close: () => child.stdin.end() }
}
