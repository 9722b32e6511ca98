/** Appends a message to one session after the other, a commit every so many milliseconds, until its input ends; then takes all of it back. */
import { setTimeout as delay } from 'node:timers/promises'
import { openSessions } from 'spanleaf'
import { writerOf } from './writer.mjs'

const [layout, store, everyMs] = process.argv.slice(2)
const sessions = await openSessions({ data: store })
const ids = sessions.index.sessionsByTime().map(({ id }) => id)
await sessions.close()
const writer = await writerOf(layout, store)
let ending = false
process.stdin.resume().once('end', () => {
  ending = true
})
for (let round = 0; !ending; round++) {
  writer.append(ids[round % Math.min(ids.length, 3)], round)
  await delay(Number(everyMs))
}
writer.clear()
writer.close()
