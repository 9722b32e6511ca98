/** Sessions in memory for the indexer, so that what is measured is not the reading; and the two services, as fast as they are told to be. */
import { createHash } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { parseMessageId, parsePartId, parseSessionId } from '../../dist/core/ids.js'
import { messageKey, sessionKey } from '../../dist/core/keys.js'

export const keyOf = (at) => sessionKey('opencode', parseSessionId(`ses_${String(at).padStart(6, '0')}`))

const WORDS = 'river stone cloud lease token ledger sink vector queue orphan revert stream silent morning harbour copper'.split(' ')

/** About `characters` of words, another text for each number. */
export function textOf(at, characters = 600) {
  const words = [`note ${at}`]
  for (let length = 8, next = at * 7919; length < characters; next += 1 + (next % 13)) {
    const word = WORDS[next % WORDS.length]
    words.push(word)
    length += word.length + 1
  }
  return words.join(' ')
}

/** A session source of `sessions` sessions with `messages` settled messages each. `revisions` may be changed by the caller. */
export function memorySource({ sessions, messages, characters }) {
  const revisions = new Map(Array.from({ length: sessions }, (_, at) => [at, '1']))
  const count = { hydrated: 0, listed: 0 }
  const metaOf = (at) => ({
    ...{ key: keyOf(at), id: keyOf(at).session, title: `Session ${at}`, directory: '/work', project: 'project_1', created: 1, updated: 2 },
    source: { kind: 'memory', path: '/store' },
  })
  const place = new Map(Array.from({ length: sessions }, (_, at) => [keyOf(at).session, at]))
  const nodes = (key) => {
    const at = place.get(key.session)
    return Array.from({ length: messages }, (_, n) => {
      const id = `msg_${String(at).padStart(6, '0')}_${String(n).padStart(5, '0')}`
      const text = textOf(at * messages + n, characters)
      return {
        key: messageKey(key, parseMessageId(id)),
        message: { role: 'user', id, sessionID: key.session, time: { created: 1 } },
        parts: [{ type: 'text', id: parsePartId(`prt_${id}`), sessionID: key.session, messageID: id, text }],
        damagedParts: 0,
        signature: '1',
        changed: 2,
      }
    })
  }
  return {
    count,
    revisions,
    list: async () => {
      count.listed++
      const listed = [...revisions].map(([at, revision]) => ({ meta: metaOf(at), revision }))
      return { sessions: listed, stores: [{ path: '/store', complete: true }] }
    },
    revision: async (key) => revisions.get(place.get(key.session)),
    tail: async (key, known) => {
      const all = nodes(key)
      const changed = all.filter((node) => known(node.key) !== node.signature)
      count.hydrated += changed.length
      return { meta: metaOf(place.get(key.session)), messages: changed, present: all.map((node) => node.key.message), complete: true }
    },
  }
}

/** Takes `msPerText` for each text, in one sleep per call. */
export function fakeEmbedder({ msPerText = 0, dimensions = 1024, space = `fake-${dimensions}` } = {}) {
  return {
    name: 'fake',
    space,
    dimensions,
    async embed(texts, { signal } = {}) {
      if (msPerText > 0) await delay(msPerText * texts.length, undefined, { signal })
      const matrix = new Float32Array(texts.length * dimensions)
      for (const [at, text] of texts.entries()) matrix.set(vectorOf(text, dimensions), at * dimensions)
      return matrix
    },
  }
}

function vectorOf(text, dimensions) {
  const seed = createHash('sha256').update(text).digest()
  return Float32Array.from({ length: dimensions }, (_, at) => seed[at & 31] / 255 + at / 1e6)
}

/** Holds ids alone, and calls `onWrite` at each write. */
export function instantSink({ space, onWrite = () => {} }) {
  const held = new Map()
  return {
    name: 'instant',
    space,
    held,
    async upsert(rows) {
      onWrite(rows.length)
      for (const { id, metadata } of rows) held.set(id, metadata)
    },
    async delete(ids) {
      for (const id of ids) held.delete(id)
    },
    count: async () => held.size,
    async *ids({ session } = {}) {
      for (const [id, { text_hash, rev, session_id }] of held) if (session === undefined || session === session_id) yield { id, text_hash, rev }
    },
    nearest: async () => [],
    matching: async () => [],
    [Symbol.asyncDispose]: async () => {},
  }
}

/** A record of `rows` texts of about 2 kB with vectors of so many dimensions. */
export function recordOf(claim, { rows, dimensions, now }) {
  const ids = Array.from({ length: rows }, (_, at) => parseMessageId(`msg_${claim.key.session}_${String(at).padStart(5, '0')}`))
  const metadata = (message, at) => ({
    ...{ agent: 'opencode', session_id: claim.key.session, message_id: message, chunk: 0, role: 'user', created_at: 1, text_hash: hash(at) },
    ...{ project_id: 'project_1', directory: '/work', title: 'Session', source: 'memory', rev: claim.token, space: claim.space },
  })
  return {
    key: claim.key,
    space: claim.space,
    createdAt: now,
    rows: ids.map((message, at) => ({
      id: `local~${message}~0`,
      text: textOf(claim.token * 1000 + at, 2000),
      vector: at,
      metadata: metadata(message, at),
    })),
    deletes: [],
    ledger: ids.map((message, at) => ({
      message,
      row: { signature: '1', textHash: hash(at), chunks: [hash(at)], state: 'settled', meta: 'm', at: now, rev: claim.token },
    })),
    drop: [],
    dead: [],
    embedded: rows,
    cached: 0,
    dimensions,
    matrix: Float32Array.from({ length: rows * dimensions }, (_, at) => Math.sin(at)),
  }
}

const hash = (at) => createHash('sha256').update(String(at)).digest('hex').slice(0, 27)

/** In milliseconds. */
export async function timed(work) {
  const started = performance.now()
  await work()
  return performance.now() - started
}

/** One line of JSON, as bench/measure.mjs reads it. */
export function say(figures) {
  console.log(JSON.stringify(figures))
}
