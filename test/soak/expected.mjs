/**
 * What the sink must hold, worked out from what the mutator says it wrote, with none of the code under test:
 * the texts of a message by the rules that docs/indexer.md gives, the ids and hashes by their definitions.
 */
import { createHash } from 'node:crypto'

const CHUNK_CHARACTERS = 1600
const PROJECTION_VERSION = 1

/** Document id -> { hash, title, session }. */
export function expectedDocuments(sessions, namespace = 'local') {
  const documents = new Map()
  for (const session of sessions) {
    for (const message of visible(session)) {
      const chunks = chunksOf(message)
      const hash = textHash(chunks)
      for (const chunk of chunks.keys())
        documents.set(documentId(namespace, session.id, message.id, chunk), { hash, title: session.title, session: session.id })
    }
  }
  return documents
}

/** What differs, a line each; nothing when the sink is exact. `held`: rows of { id, hash, title, session }. */
export function differences(expected, held) {
  const found = []
  const seen = new Set()
  for (const { id, hash, title, session } of held) {
    const wanted = expected.get(id)
    if (seen.has(id)) found.push(`twice ${id} (${session})`)
    seen.add(id)
    if (wanted === undefined) found.push(`orphan ${id} (${session})`)
    else if (wanted.hash !== hash) found.push(`stale ${id} (${session})`)
    else if (wanted.title !== title) found.push(`stale title ${id} (${session})`)
  }
  for (const [id, { session }] of expected) if (!seen.has(id)) found.push(`missing ${id} (${session})`)
  return found
}

function visible({ messages, revert }) {
  const at = messages.findIndex(({ id }) => id === revert)
  return at === -1 ? messages : messages.slice(0, at)
}

function chunksOf({ parts }) {
  const sections = parts.map(({ data }) => sectionOf(data))
  const text = sections.join('\n\n')
  if (text.length <= CHUNK_CHARACTERS) return [text]
  if (sections.some(({ length }) => length < CHUNK_CHARACTERS / 2 || length > CHUNK_CHARACTERS))
    throw new Error('the mutator wrote a message that needs a chunker')
  return sections
}

function sectionOf(data) {
  if (data.type === 'text') return data.text
  const { title, input, output } = data.state
  return [data.tool, title, `command: ${input.command}`, output].join('\n')
}

function textHash(chunks) {
  const hash = createHash('sha256').update(`${PROJECTION_VERSION}:${chunks.length}`)
  for (const chunk of chunks) hash.update(`|${Buffer.byteLength(chunk)}:${chunk}`)
  return hash.digest('hex').slice(0, 32)
}

/** The first 130 bits in base 32, five at a time. */
function documentId(namespace, session, message, chunk) {
  const digest = createHash('sha256').update(['opencode', session, message].join('\u0001')).digest()
  const bits = [...digest].map((byte) => byte.toString(2).padStart(8, '0')).join('')
  const letters = Array.from({ length: 26 }, (_, at) => 'abcdefghijklmnopqrstuvwxyz234567'[Number.parseInt(bits.slice(at * 5, at * 5 + 5), 2)])
  return `${namespace}~${letters.join('')}~${chunk}`
}
