/** The sinks of the soak: opened for the indexer, and read from outside by other means than its own. */
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { openChromaSink } from '../../dist/indexer/sinks/chroma.js'
import { openLocalSink } from '../../dist/indexer/sinks/local.js'

export function collectionOf(seed) {
  return `soak_${seed}_${Date.now().toString(36)}`
}

export async function openSink({ sink, home, chroma }, space) {
  if (sink === 'local') return openLocalSink({ path: join(home, 'documents.db'), space })
  const { url, collection } = chroma
  return openChromaSink({ url, collection, space })
}

/** Rows of { id, hash, title, session }. */
export async function readSink({ sink, home, chroma }) {
  return sink === 'local' ? readLocal(join(home, 'documents.db')) : readChroma(chroma)
}

function readLocal(path) {
  const database = new Database(path, { readonly: true })
  try {
    return database.prepare('SELECT id, text_hash AS hash, title, session_id AS session FROM documents').all()
  } finally {
    database.close()
  }
}

/** Every collection whose name begins with that of the run: the indexer adds the space to it. */
async function readChroma({ url, collection }) {
  const base = `${url}/api/v2/tenants/default_tenant/databases/default_database/collections`
  const collections = (await call(`${base}?limit=1000`)).filter(({ name }) => name.startsWith(collection))
  const rows = []
  for (const { id } of collections) {
    for (let offset = 0; ; offset += 300) {
      const page = await call(`${base}/${id}/get`, { limit: 300, offset, include: ['metadatas'] })
      rows.push(
        ...page.ids.map((document, at) => {
          const { text_hash: hash, title, session_id: session } = page.metadatas[at]
          return { id: document, hash, title, session }
        }),
      )
      if (page.ids.length < 300) break
    }
  }
  return rows
}

async function call(url, body) {
  const answer = await fetch(
    url,
    body === undefined ? {} : { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) },
  )
  if (!answer.ok) throw new Error(`${url} answered ${answer.status}: ${await answer.text()}`)
  return answer.json()
}
