/** What the tests of crashes share: an embedder and a state that put down in a file what they did, for somebody else to count. */
import { createHash } from 'node:crypto'
import { appendFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { embeddingKey } from '../../dist/indexer/embedding/embed-cache.js'

export function hashOf(text) {
  return createHash('sha256').update(text).digest('hex').slice(0, 16)
}

/** Gives the same vector for the same text in the same space; `E hash space key` in the log before each text, with its key in the cache. */
export function loggingEmbedder({ log, space = 'fake', delayMs = 0, dimensions = 8 }) {
  return {
    name: 'fake',
    space,
    dimensions,
    async embed(texts, { signal } = {}) {
      appendFileSync(log, texts.map((text) => `E ${hashOf(text)} ${space} ${embeddingKey(space, 'document', text)}\n`).join(''))
      if (delayMs > 0) await delay(delayMs, undefined, { signal })
      return Float32Array.from(texts.flatMap((text) => [...createHash('sha256').update(space).update(text).digest().subarray(0, dimensions)]))
    },
  }
}

/** `C key` in the log once the vector of a text is stored. */
export function loggingCache(cache, log) {
  return {
    ...cache,
    async put(entries) {
      await cache.put(entries)
      appendFileSync(log, entries.map(({ key }) => `C ${key}\n`).join(''))
    },
  }
}

/** `W hash session space` in the log once a record with the text is durable. */
export function loggingState(state, log) {
  const own = {
    async walAppend(claim, record) {
      const seq = await state.walAppend(claim, record)
      appendFileSync(log, record.rows.map(({ text }) => `W ${hashOf(text)} ${record.key.session} ${record.space}\n`).join(''))
      return seq
    },
  }
  return new Proxy(state, {
    get(target, name) {
      const value = own[name] ?? target[name]
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}

/** Ends the process with SIGKILL at the n-th passing of a point; the log says so first, as `K point`. `at`: 'point:n', or ''. */
export function killingFailpoint(at, log) {
  const [point, nth] = at.split(':')
  let left = Number(nth)
  return (name) => {
    if (name !== point || --left !== 0) return
    appendFileSync(log, `K ${name}\n`)
    process.kill(process.pid, 'SIGKILL')
  }
}
