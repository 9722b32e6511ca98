/**
 * The tail of a log that grows: node log-tail.mjs claude|codex|pi DATA ROUNDS
 * DATA has one session. Each round appends ten lines, and reads what is new since the last cursor. Prints the median milliseconds
 * of a round. The log is cut back to its length at the end.
 */
import { appendFileSync, existsSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { openSessions, runSessionTreeFlow } from 'spanleaf'
import { spread } from './measure.mjs'

/** Rounds whose times are not counted: the compiler is still at work. */
const WARM_UP = 50
const LINES = 10
const TEXT = 'What was said in this line of the log. '.repeat(10)

const [agent, data, rounds] = process.argv.slice(2)
const first = await openSessions({ data })
const [{ key }] = first.index.sessionsByTime()
const { path } = first.index.merged(key).entry
await first.close()
cutBack()
const { size } = statSync(path)
writeFileSync(`${path}.length`, String(size))
try {
  console.log(JSON.stringify({ agent, bytes: size, ms: await measured() }))
} finally {
  cutBack()
}

async function measured() {
  const sessions = await openSessions({ data })
  // The place where the log ends; reading all of it would say the same.
  const [store] = sessions.stores
  let { cursor: since } = await store.messages(key, { cursor: true })
  const times = []
  for (let round = 0; round < WARM_UP + Number(rounds); round++) {
    appendFileSync(path, linesOf(round))
    const started = performance.now()
    const result = await runSessionTreeFlow(sessions, { session: key, since })
    const took = performance.now() - started
    if (result.status !== 'ok' || result.reread !== undefined) throw new Error(`round ${round}: ${result.status} ${result.reread ?? ''}`)
    if (result.value.messages.length !== LINES) throw new Error(`round ${round}: ${result.value.messages.length} messages are new`)
    since = result.cursor
    if (round >= WARM_UP) times.push(took)
  }
  await sessions.close()
  return spread(times).median
}

/** What a run that was stopped left in the log. */
function cutBack() {
  const length = `${path}.length`
  if (!existsSync(length)) return
  truncateSync(path, Number(readFileSync(length, 'utf8')))
  rmSync(length)
}

/** Prompts: each is a message of its own, and follows the one before. */
function linesOf(round) {
  const lines = Array.from({ length: LINES }, (_, at) => lineOf(round * LINES + at))
  return `${lines.map((line) => JSON.stringify(line)).join('\n')}\n`
}

function lineOf(number) {
  const timestamp = new Date(Date.UTC(2027, 0) + number * 1000).toISOString()
  const text = `${number}: ${TEXT}`
  if (agent === 'codex')
    return { timestamp, type: 'response_item', payload: { type: 'message', role: 'user', content: [{ type: 'input_text', text }] } }
  const [id, parent] = [number, number - 1].map((at) => (at < 0 ? null : `bench-${at}`))
  if (agent === 'pi') return { type: 'message', id, parentId: parent, timestamp, message: { role: 'user', content: [{ type: 'text', text }] } }
  return { parentUuid: parent, isSidechain: false, uuid: id, timestamp, type: 'user', message: { role: 'user', content: text } }
}
