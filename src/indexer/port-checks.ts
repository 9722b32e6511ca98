/** What an indexer stands upon, for callers without types. */
import { checkObject, checkText, checkWhole, hasMethods, invalidOption, told } from '../core/options.js'
import type { IndexerOptions } from './indexer-types.js'

const SETS = ['refresh', 'locate', 'listMessages']
const PORTS = {
  sessions: { methods: ['list', 'revision', 'tail'], kind: 'an open set of sessions, or a session source such as sessionSource(sessions)' },
  state: { methods: ['bind', 'observe', 'claim', 'commit'], kind: 'an index state, as openLmdbState() and openIndexHome() give it' },
  embedder: { methods: ['embed'], kind: 'an embedder, such as hashEmbedder()' },
  sink: { methods: ['upsert', 'delete', 'count', 'ids'], kind: 'a sink, as openLocalSink() and openIndexHome() give it' },
  cache: { methods: ['get', 'put', 'remove', 'stats'], kind: 'a cache of embeddings, as openEmbedCache() and openIndexHome() give it' },
  redact: { methods: ['redact'], kind: 'a redactor, such as await secretlintRedactor()' },
} as const

/** @throws StorageError INVALID_OPTION */
export function checkPorts(options: IndexerOptions): void {
  for (const name of ['sessions', 'state', 'embedder', 'sink'] as const) {
    const port: unknown = options[name]
    if (port === undefined) throw invalidOption(`${name} must be ${PORTS[name].kind}`)
    checkPort(name, port)
  }
  const former: unknown = options.former
  if (former === undefined) return
  if (!Array.isArray(former)) throw invalidOption(`former must be a list of sinks, not ${told(former)}`)
  for (const sink of former) if (!hasMethods(sink, PORTS.sink.methods)) throw invalidOption(`former must hold sinks alone, not ${told(sink)}`)
}

/** @throws StorageError INVALID_OPTION unless `port` is undefined or what the name says */
export function checkPort(name: keyof typeof PORTS, port: unknown): void {
  if (port === undefined) return
  const { methods, kind } = PORTS[name]
  const isSet = name === 'sessions' && hasMethods(port, SETS)
  if (!isSet && !hasMethods(port, methods)) throw invalidOption(`${name} must be ${kind}`)
  checkObject(name, port)
  if (name === 'embedder') checkSpace(port)
  if (name === 'redact' && (!('name' in port) || typeof port.name !== 'string')) throw invalidOption('redact must have a name, with its version')
}

function checkSpace(embedder: object): void {
  const { space = '', dimensions = Number.NaN } = embedder as { readonly space?: unknown; readonly dimensions?: unknown }
  checkText('the space of the embedder', space)
  checkWhole('the dimensions of the embedder', dimensions, 1)
}
