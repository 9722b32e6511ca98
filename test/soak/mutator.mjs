/**
 * A process that changes a store all the time, until its standard input ends: then it finishes what it streams, writes down
 * what the sessions are (the file `world`), and ends. Argument: {"kind","data","world","seed","silent","paceMs"}.
 */
import { writeFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { between, oneOf, randomOf } from './random.mjs'
import { openWriter } from './store-writer.mjs'

const { kind, data, world, seed, silent = false, paceMs = 12 } = JSON.parse(process.argv[2])
const random = randomOf(seed)
const writer = openWriter(kind, data)
const sessions = []
/** Messages that are still being written. */
const streaming = []

let resting = false
process.stdin.resume().once('end', () => {
  resting = true
})

let last = 0
/** Epoch milliseconds that never repeat. */
function now() {
  last = Math.max(Date.now(), last + 1)
  return last
}

function idOf(prefix) {
  const ascending = (BigInt(now()) * 4096n + 1n) & 0xffffffffffffn
  const value = prefix === 'ses' ? ~ascending & 0xffffffffffffn : ascending
  const tail = Array.from({ length: 14 }, () => between(random, 0, 35).toString(36)).join('')
  return `${prefix}_${value.toString(16).padStart(12, '0')}${tail}`
}

const WORDS = 'river stone cloud lease token ledger sink vector queue orphan revert stream silent morning harbour copper'.split(' ')

/** Never the same text twice; `length` in characters, about. */
function textOf(length) {
  let text = `note ${now().toString(36)} ${between(random, 0, 1e9).toString(36)}`
  while (text.length < length) text += ` ${oneOf(random, WORDS)}`
  return text
}

function textPart(length, ended = true) {
  const created = now()
  return {
    id: idOf('prt'),
    created,
    updated: created,
    data: { type: 'text', text: textOf(length), time: ended ? { start: created, end: now() } : { start: created } },
  }
}

function toolPart() {
  const created = now()
  const state = {
    status: 'completed',
    input: { command: textOf(30) },
    output: textOf(60),
    title: 'a command',
    metadata: {},
    time: { start: created, end: now() },
  }
  return { id: idOf('prt'), created, updated: created, data: { type: 'tool', callID: 'call_1', tool: 'bash', state } }
}

/** Either all of a message fits one chunk, or each of its parts is a chunk: the expectation needs no chunker of its own. */
function partsOf() {
  if (random() < 0.15) return Array.from({ length: between(random, 2, 4) }, () => textPart(between(random, 920, 1400)))
  const parts = Array.from({ length: between(random, 1, 3) }, () => textPart(between(random, 30, 300)))
  return random() < 0.3 ? [...parts, toolPart()] : parts
}

function touch(session) {
  session.updated = now()
  writer.session(session)
}

function write(session, message) {
  message.updated = now()
  writer.message(session, message)
  for (const part of message.parts) writer.part(session, message, part)
}

function newMessage(role, ended = true) {
  const id = idOf('msg')
  const created = now()
  const parts = ended ? partsOf() : [textPart(40, false)]
  return { id, role, created, updated: created, parts, completed: role === 'assistant' && ended ? now() : undefined }
}

function append(session) {
  for (const role of ['user', 'assistant']) {
    const message = newMessage(role)
    session.messages.push(message)
    write(session, message)
  }
  touch(session)
}

function newSession() {
  const created = now()
  const session = { id: idOf('ses'), title: `Title ${sessions.length}`, created, updated: created, messages: [], revert: undefined }
  sessions.push(session)
  writer.session(session)
  for (let turns = between(random, 1, 4); turns > 0; turns--) append(session)
}

const OPERATIONS = {
  append,
  newSession: () => sessions.length < 40 && newSession(),
  stream(session) {
    const message = newMessage('assistant', false)
    session.messages.push(message)
    streaming.push({ session, message })
    write(session, message)
    touch(session)
  },
  grow() {
    const stream = oneOf(random, streaming)
    if (stream === undefined) return
    const [part] = stream.message.parts
    if (part.data.text.length < 1400) part.data.text += ` ${oneOf(random, WORDS)} ${between(random, 0, 999)}`
    part.updated = now()
    writer.part(stream.session, stream.message, part)
  },
  finish: () => finish(oneOf(random, streaming)),
  edit(session) {
    const message = settledOf(session)
    const part = message?.parts.findLast(({ data }) => data.type === 'text')
    if (part === undefined) return
    part.data.text = message.parts.length > 1 && message.parts.every(({ data }) => data.text?.length > 900) ? textOf(1000) : textOf(120)
    part.updated = now()
    writer.part(session, message, part)
    touch(session)
  },
  /** An edit that moves no time, only the length: no revision tells of it in a database. */
  silentEdit(session) {
    const message = silent ? settledOf(session) : undefined
    const part = message?.parts[0]
    if (part === undefined || message.parts.reduce((sum, { data }) => sum + (data.text?.length ?? 300), 0) > 1200) return
    part.data.text += ` unseen ${between(random, 0, 999)}`
    writer.part(session, message, part)
  },
  revert(session) {
    if (session.messages.length < 2) return
    session.revert = oneOf(random, session.messages).id
    touch(session)
  },
  unrevert(session) {
    if (session.revert === undefined) return
    session.revert = undefined
    touch(session)
  },
  removeMessage(session) {
    const message = settledOf(session)
    if (message === undefined || message.id === session.revert) return
    session.messages.splice(session.messages.indexOf(message), 1)
    writer.removeMessage(session, message)
    touch(session)
  },
  removeSession(session) {
    if (sessions.length < 6) return
    sessions.splice(sessions.indexOf(session), 1)
    for (let at = streaming.length - 1; at >= 0; at--) if (streaming[at].session === session) streaming.splice(at, 1)
    writer.removeSession(session)
  },
  rename(session) {
    session.title = textOf(20)
    touch(session)
  },
  /** The texts are those of the origin, under ids of their own. */
  fork(session) {
    if (sessions.length >= 40) return
    const created = now()
    const settled = session.messages.filter((message) => !streaming.some((stream) => stream.message === message))
    const messages = settled.slice(0, between(random, 1, 6)).map((message) => ({
      ...message,
      id: idOf('msg'),
      parts: message.parts.map((part) => ({ ...structuredClone(part), id: idOf('prt') })),
    }))
    const forked = { id: idOf('ses'), title: `Fork of ${session.title}`, created, updated: created, messages, revert: undefined }
    sessions.push(forked)
    writer.session(forked)
    for (const message of messages) write(forked, message)
    touch(forked)
  },
}

const WEIGHTS = {
  append: 4,
  newSession: 1,
  stream: 2,
  grow: 8,
  finish: 2,
  edit: 4,
  silentEdit: 2,
  revert: 1,
  unrevert: 1,
  removeMessage: 1.5,
  removeSession: 0.4,
  rename: 0.6,
  fork: 0.7,
}
const DRAWN = Object.entries(WEIGHTS).flatMap(([name, weight]) => Array.from({ length: weight * 10 }, () => name))

function settledOf(session) {
  return oneOf(
    random,
    session.messages.filter((message) => !streaming.some((stream) => stream.message === message)),
  )
}

function finish(stream) {
  if (stream === undefined) return
  streaming.splice(streaming.indexOf(stream), 1)
  const { session, message } = stream
  const [part] = message.parts
  part.data.time.end = now()
  part.updated = now()
  message.completed = now()
  write(session, message)
  touch(session)
}

for (let count = 0; count < 8; count++) newSession()
process.stdout.write('ready\n')
let operations = 0
while (!resting) {
  OPERATIONS[oneOf(random, DRAWN)](oneOf(random, sessions))
  operations++
  await delay(random() * 2 * paceMs)
}
while (streaming.length > 0) finish(streaming[0])
writer.close()
writeFileSync(world, JSON.stringify({ operations, sessions }))
