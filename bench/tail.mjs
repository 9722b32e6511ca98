/**
 * The tail of one new message with an open index: node tail.mjs json|db STORE ROUNDS
 * The sessions are opened and read once; then each round appends a user message with one part and reads what is new.
 * Prints the median milliseconds of a round, and how many unchanged parts were opened in all of them.
 */
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { openSessions, runSessionTreeFlow } from 'spanleaf'
import { openSqlite } from '../dist/storage/sqlite/driver.js'
import { spread } from './measure.mjs'

/** Rounds whose times are not counted: the compiler is still at work. */
const WARM_UP = 30
const MARK = 'BenchTail'

const [layout, data, rounds] = process.argv.slice(2)
const writer = layout === 'json' ? jsonWriter(data) : await databaseWriter(data)
writer.clear()
const sessions = await openSessions({ data })
const [{ key }] = sessions.index.sessionsByTime()
const signatures = new Map()
const request = { session: key, known: (key) => signatures.get(key.message) }
const { messages } = await readTail()
const newest = messages.at(-1).message.time.created
const [store] = sessions.stores
const times = []
let unchangedOpened = 0
for (let round = 1; round <= WARM_UP + Number(rounds); round++) {
  const id = writer.append(key.session, newest + round * 1000, round)
  const before = { ...store.work }
  const started = performance.now()
  const tail = await readTail()
  const took = performance.now() - started
  if (round > WARM_UP) times.push(took)
  if (tail.messages.length !== 1 || tail.messages[0].key.message !== id) throw new Error(`round ${round}: not the one new message came back`)
  unchangedOpened += tail.opened - 3
  if (store.work.bytes - before.bytes !== tail.bytes) throw new Error(`round ${round}: more bytes were read than came back`)
  if (layout === 'json' && store.work.files - before.files !== 3) throw new Error(`round ${round}: more than three files were opened`)
}
await sessions.close()
writer.clear()
console.log(JSON.stringify({ layout, messages: messages.length, ms: spread(times).median, unchangedOpened }))

/** What the caller does not hold yet; from then on it holds that. */
async function readTail() {
  const result = await runSessionTreeFlow(sessions, request)
  if (result.status !== 'ok') throw new Error(`${result.status}: ${JSON.stringify(result.issues ?? result.error)}`)
  for (const node of result.value.messages) signatures.set(node.key.message, node.signature)
  const [resolved] = result.reports.filter(({ stage }) => stage === 'resolve')
  return { messages: result.value.messages, opened: resolved.records, bytes: resolved.bytes }
}

/** An id as OpenCode makes it: 36 bits of milliseconds, 12 bits of a counter, 14 characters. */
function makeId(prefix, time, round) {
  const stamp = (BigInt(time) * 4096n + 1n) & (2n ** 48n - 1n)
  return `${prefix}_${stamp.toString(16).padStart(12, '0')}${MARK}${String(round).padStart(5, '0')}`
}

function records(session, time, round) {
  const ids = { message: makeId('msg', time, round), part: makeId('prt', time, round) }
  const message = { role: 'user', time: { created: time }, agent: 'build', model: { providerID: 'example', modelID: 'example-1' } }
  const part = { type: 'text', text: `The message of round ${round}.` }
  return {
    ids,
    message,
    part,
    whole: {
      message: { id: ids.message, sessionID: session, ...message },
      part: { id: ids.part, sessionID: session, messageID: ids.message, ...part },
    },
  }
}

function jsonWriter(tree) {
  const write = (folder, id, record) => {
    mkdirSync(folder, { recursive: true })
    writeFileSync(join(folder, `${id}.json`), JSON.stringify(record, null, 2))
  }
  return {
    append(session, time, round) {
      const { ids, whole } = records(session, time, round)
      write(join(tree, 'part', ids.message), ids.part, whole.part)
      write(join(tree, 'message', session), ids.message, whole.message)
      return ids.message
    },
    clear() {
      const marked = (name) => name.includes(MARK)
      for (const name of readdirSync(join(tree, 'part')).filter(marked)) rmSync(join(tree, 'part', name), { recursive: true })
      for (const session of readdirSync(join(tree, 'message'))) {
        for (const name of readdirSync(join(tree, 'message', session)).filter(marked)) rmSync(join(tree, 'message', session, name))
      }
    },
  }
}

async function databaseWriter(path) {
  const database = await openSqlite(path, { readOnly: false })
  const insertMessage = database.prepare('INSERT INTO message (id, session_id, time_created, time_updated, data) VALUES (?, ?, ?, ?, ?)')
  const insertPart = database.prepare('INSERT INTO part (id, message_id, session_id, time_created, time_updated, data) VALUES (?, ?, ?, ?, ?, ?)')
  return {
    append(session, time, round) {
      const { ids, message, part } = records(session, time, round)
      insertMessage.run(ids.message, session, time, time, JSON.stringify(message))
      insertPart.run(ids.part, ids.message, session, time, time, JSON.stringify(part))
      return ids.message
    },
    clear() {
      for (const table of ['part', 'message']) database.exec(`DELETE FROM ${table} WHERE id LIKE '%${MARK}%'`)
    },
  }
}
