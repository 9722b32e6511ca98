/**
 * A worker thread with stores opened as its start data say: one of a path, those that a plain set of places names, or one in memory.
 * It misbehaves when it is asked for the revision of a session with one of the names in TRAPS.
 */
import { parentPort, workerData } from 'node:worker_threads'
import { StorageError } from '../../dist/core/errors.js'
import { openEraAStore, openFileStore } from '../../dist/storage/files/opencode-files.js'
import { openLogStore } from '../../dist/storage/jsonl/open-logs.js'
import { createFileMaps } from '../../dist/storage/maps/file-maps.js'
import { MemoryStore } from '../../dist/storage/memory-store.js'
import { openSqliteStores } from '../../dist/storage/sqlite/opencode-database.js'
import { fixedStores } from '../../dist/storage/store-source.js'
import { serveStores } from '../../dist/storage/worker/host.js'
import { unmappedStores } from '../../dist/storage/worker/plain-stores.js'

const TRAPS = {
  exits: () => process.exit(3),
  throws: () =>
    setImmediate(() => {
      throw new Error('a bug')
    }),
  hangs: () => {
    for (;;);
  },
  silent: () => undefined,
  babbles: () => parentPort.postMessage('what?'),
  misshapen: ({ call }) => parentPort.postMessage({ call, last: true, page: 7, work: [0, 0, 0, 0] }),
  'misshapen error': ({ call }) => parentPort.postMessage({ call, last: true, error: { code: 'NO_SUCH_CODE' }, work: [0, 0, 0, 0] }),
}

const { kind, path, wall, plain, sessions } = workerData.stores
const times = new Float64Array(wall ?? 1)
const clock = {
  now: () => times[0] || Date.now(),
  monotonic: () => performance.now(),
  sleep: async (ms) => {
    if (times[0] === 0) await new Promise((resolve) => setTimeout(resolve, ms))
    else times[0] += ms
  },
}

async function opened() {
  if (kind === 'opencode-json') return [openFileStore(path, clock)]
  if (kind === 'opencode-era-a') return [openEraAStore(path, clock)]
  if (kind === 'opencode-sqlite' || kind === 'opencode-v2') return openSqliteStores(path)
  if (kind === 'memory') return [memoryStore()]
  return [openLogStore(kind, path, { clock, maps: createFileMaps({ map: 'never', clock }) })]
}

/** Its census never ends, its totals wait to be cancelled, and its stamp tells of both. Asked for its revision `fails` or `bug`, it throws. */
function memoryStore() {
  const store = new MemoryStore()
  for (let at = 0; at < sessions; at++) {
    const session = `ses_${at}`
    store.put({ session }, { id: session, title: `Session ${at}`, directory: '/srv', version: '1', time: { created: at, updated: at } }, at)
    for (const message of ['msg_1', 'msg_2']) {
      store.put({ session, message }, { role: 'user', time: { created: at } }, at)
      for (const part of ['prt_1', 'prt_2'])
        store.put({ session, message, part: `${message}_${part}` }, { type: 'text', text: `${session} ${part}` }, at)
    }
  }
  const seen = { given: 0, ended: 0, waiting: 0, cancelled: 0 }
  store.stamp = async () => JSON.stringify(seen)
  store.totals = ({ signal }) =>
    new Promise((_, reject) => {
      seen.waiting++
      signal.addEventListener('abort', () => {
        seen.cancelled++
        reject(signal.reason)
      })
    })
  store.census = async function* () {
    try {
      for (;;) {
        seen.given++
        yield { what: 'ignored', reason: 'nothing', count: seen.given }
      }
    } finally {
      seen.ended++
    }
  }
  const revision = store.revision.bind(store)
  store.revision = async (key) => {
    const details = { reason: 'it failed', path: '/a/path', key: 'a key', offset: 7, advice: 'Do something.' }
    if (key.session === 'fails') throw new StorageError('STORE_BUSY', details)
    if (key.session === 'bug') throw new TypeError('x is not a function')
    return revision(key)
  }
  return store
}

// What is said until then waits at the port.
const source = plain === undefined ? fixedStores(await opened()) : unmappedStores(plain, clock)
serveStores(
  {
    postMessage: (message, transfer) => parentPort.postMessage(message, transfer),
    on: (_, take) =>
      parentPort.on('message', (message) => {
        const trap = message.method === 'revision' ? TRAPS[message.args] : undefined
        if (trap === undefined) take(message)
        else trap(message)
      }),
  },
  source,
)
