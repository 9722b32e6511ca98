/** Small random corpora, written as every kind of store, and damage at any record of them. */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import fc from 'fast-check'
import type { Document } from '../../src/core/documents.js'
import { type Corpus, type CorpusMessage, type CorpusSession, corpusSession } from './corpus.js'
import { openCodeTables } from './opencode-ddl.js'
import { pretty, writeEraASessions, writeFileAt, writeTreeSessions } from './store-fixtures.js'
import { openCode2Tables } from './v2-ddl.js'
import { insertV2Session, writeV2Row } from './v2-fixture.js'

/** Long ago, so that nothing is taken for a write that is still going on. */
const START = Date.parse('2026-03-01T10:00:00Z')
const PROJECTS = ['0a1b', 'global']

/** A record's place; its ids need not be those of a record that is there. */
export interface Place {
  readonly session: string
  readonly message?: string
  readonly part?: string
}

export interface Layout {
  readonly name: string
  /** False where parts stand inside their messages. */
  readonly partLeaves: boolean
  /** Writes the corpus into a data folder. */
  write(data: string, corpus: Corpus): void
  /** Puts bytes in the place of a record, or where there was none; gives the path, or the joined ids, that name them. */
  damage(data: string, corpus: Corpus, place: Place, bytes: Uint8Array): string
}

/** Sessions of up to three messages of up to three parts. */
export const anyCorpus: fc.Arbitrary<Corpus> = fc
  .array(fc.array(fc.nat({ max: 3 }), { maxLength: 3 }), { minLength: 1, maxLength: 3 })
  .map((shape) => shape.map((messages, at) => session(at, messages)))

function session(at: number, messages: readonly number[]): CorpusSession {
  const created = START + at * 60_000
  const id = `ses_${at}`
  return corpusSession(
    created,
    messages.map((parts, n) => message(`${at}${n}`, created + 1 + n * 100, parts)),
    { id, project: PROJECTS[at % PROJECTS.length] ?? '', info: { slug: 's', directory: '/srv', title: `title ${id}`, version: '1.1.65' } },
  )
}

function message(name: string, time: number, parts: number): CorpusMessage {
  const model = { providerID: 'p', modelID: 'm' }
  const role = time % 200 < 100 ? { role: 'user', agent: 'build', model } : { role: 'assistant', mode: 'build', cost: 1 }
  return {
    id: `msg_${name}`,
    data: { ...role, time: { created: time } },
    time,
    parts: Array.from({ length: parts }, (_, at) => ({
      id: `prt_${name}${at}`,
      data: { type: 'text', text: `wörds ${name}${at}` },
      time: time + at,
    })),
  }
}

/** Which record is hit: a number chooses among those that are there, or names one that is not. */
export interface Hit {
  readonly level: 'session' | 'message' | 'part'
  readonly at: readonly [session: number, message: number, part: number]
  readonly bytes: (whole: Uint8Array) => Uint8Array
}

/** Numbers up to 3 reach one past the last record: a damaged file where nothing was, also below parents that are not there. */
export function anyHits(levels: readonly Hit['level'][]): fc.Arbitrary<readonly Hit[]> {
  const hit = fc.record({
    level: fc.constantFrom(...levels),
    at: fc.tuple(fc.nat({ max: 3 }), fc.nat({ max: 3 }), fc.nat({ max: 3 })),
    bytes: anyDamage,
  })
  return fc.array(hit, { minLength: 1, maxLength: 4 })
}

export const ODD_DOCUMENT = Buffer.from('{"type":7,"role":[],"time":null}')

const anyDamage: fc.Arbitrary<(whole: Uint8Array) => Uint8Array> = fc.oneof(
  fc.constant(() => new Uint8Array()),
  fc
    .double({ min: 0, max: 1, maxExcluded: true, noNaN: true })
    .map((share) => (whole: Uint8Array) => whole.subarray(0, Math.floor(share * whole.length))),
  fc.integer({ min: 1, max: 300 }).map((length) => () => new Uint8Array(length)),
  fc.uint8Array({ minLength: 1, maxLength: 200 }).map((bytes) => () => Uint8Array.of(0x7b, ...bytes)),
  fc.constant((whole: Uint8Array) => Buffer.from(whole).fill(0xff, whole.indexOf(0x22) + 1, whole.indexOf(0x22) + 2)),
  fc.constantFrom('[]', 'null', '7', '"text"', 'true').map((text) => () => Buffer.from(text)),
  fc.constant(() => ODD_DOCUMENT),
)

export function placeOf({ level, at: [session, message, part] }: Hit): Place {
  const own = { session: `ses_${session}` }
  if (level === 'session') return own
  return level === 'message'
    ? { ...own, message: `msg_${session}${message}` }
    : { ...own, message: `msg_${session}${message}`, part: `prt_${session}${message}${part}` }
}

export function nameOf({ session, message, part }: Place): string {
  return [session, message, part].filter((id) => id !== undefined).join('/')
}

/** The bytes of the record as it was, or of one that might have stood there. */
export function wholeBytes(place: Place): Uint8Array {
  const ids = { id: place.part ?? place.message ?? place.session, sessionID: place.session }
  return Buffer.from(pretty({ ...ids, type: 'text', role: 'user', text: 'wörds', title: 't', time: { created: START, updated: START } }))
}

const projectOf = (corpus: Corpus, id: string): string => corpus.find((session) => session.id === id)?.project ?? PROJECTS[0] ?? ''

export const ERA_B: Layout = {
  name: 'a tree of era B',
  partLeaves: true,
  write: (data, corpus) => {
    mkdirSync(join(data, 'storage', 'session'), { recursive: true })
    writeTreeSessions(join(data, 'storage'), corpus)
    eachFile(corpus, (place, document, time) => writeFileAt(fileInEraB(data, corpus, place), document, time))
  },
  damage: (data, corpus, place, bytes) => damageFile(fileInEraB(data, corpus, place), bytes),
}

function fileInEraB(data: string, corpus: Corpus, { session, message, part }: Place): string {
  if (message === undefined) return join(data, 'storage', 'session', projectOf(corpus, session), `${session}.json`)
  return part === undefined ? join(data, 'storage', 'message', session, `${message}.json`) : join(data, 'storage', 'part', message, `${part}.json`)
}

export const ERA_A: Layout = {
  name: 'trees of era A',
  partLeaves: true,
  write: (data, corpus) => {
    writeEraASessions(join(data, 'project'), corpus)
    eachFile(corpus, (place, document, time) => writeFileAt(fileInEraA(data, corpus, place), document, time))
  },
  damage: (data, corpus, place, bytes) => damageFile(fileInEraA(data, corpus, place), bytes),
}

function fileInEraA(data: string, corpus: Corpus, { session, message, part }: Place): string {
  const root = join(data, 'project', projectOf(corpus, session), 'storage', 'session')
  if (message === undefined) return join(root, 'info', `${session}.json`)
  return part === undefined ? join(root, 'message', session, `${message}.json`) : join(root, 'part', session, message, `${part}.json`)
}

function damageFile(path: string, bytes: Uint8Array): string {
  writeFileAt(path, bytes, START)
  return path
}

function eachFile(corpus: Corpus, write: (place: Place, document: string, time: number) => void): void {
  for (const { id: session, messages } of corpus) {
    for (const { id: message, data, time, parts } of messages) {
      write({ session, message }, pretty({ id: message, sessionID: session, ...data }), time)
      for (const { id: part, data, time } of parts)
        write({ session, message, part }, pretty({ id: part, messageID: message, sessionID: session, ...data }), time)
    }
  }
}

export const V1: Layout = {
  name: 'the V1 tables of a database',
  partLeaves: true,
  write: (data, corpus) =>
    inDatabase(data, openCodeTables('1.18'), (database) => {
      for (const session of corpus) {
        insertV2Session(database, session, 'session')
        for (const { id, data, time, parts } of session.messages) {
          database.prepare('INSERT INTO message VALUES (?, ?, ?, ?, ?)').run(id, session.id, time, time, JSON.stringify(data))
          for (const part of parts)
            database
              .prepare('INSERT INTO part VALUES (?, ?, ?, ?, ?, ?)')
              .run(part.id, id, session.id, part.time, part.time, JSON.stringify(part.data))
        }
      }
    }),
  damage: (data, _, place, bytes) => {
    const { session, message, part } = place
    inDatabase(data, '', (database) => {
      const upsert = 'ON CONFLICT (id) DO UPDATE SET data = excluded.data'
      if (part !== undefined) database.prepare(`INSERT INTO part VALUES (?, ?, ?, 1, 1, ?) ${upsert}`).run(part, message, session, stored(bytes))
      else database.prepare(`INSERT INTO message VALUES (?, ?, 1, 1, ?) ${upsert}`).run(message, session, stored(bytes))
    })
    return nameOf(place)
  },
}

export const V2: Layout = {
  name: 'the V2 tables of a database',
  partLeaves: false,
  write: (data, corpus) =>
    inDatabase(data, openCode2Tables(), (database) => {
      for (const session of corpus) {
        insertV2Session(database, session)
        for (const message of session.messages)
          writeV2Row(database, { session: session.id, message: message.id }, JSON.stringify(v2Document(message)), message.time, message.time)
      }
    }),
  damage: (data, _, place, bytes) => {
    inDatabase(data, '', (database) => {
      const [[last] = []] = database.prepare('SELECT coalesce(max(seq), 0) + 1 FROM session_message').raw().all() as number[][]
      database
        .prepare("INSERT INTO session_message VALUES (?, ?, 'user', ?, 1, 1, ?) ON CONFLICT (id) DO UPDATE SET data = excluded.data")
        .run(place.message, place.session, last, stored(bytes))
    })
    return nameOf(place)
  },
}

/** The message as OpenCode 2 has it: a question's texts are one, an answer's stand each at its place. */
export function v2Document({ data, parts }: CorpusMessage): Document {
  if (data.role === 'user') return { type: 'user', text: parts.map((part) => part.data.text).join('\n\n'), time: data.time }
  return { type: 'assistant', model: { id: 'm', providerID: 'p' }, content: parts.map((part) => part.data), cost: 1, time: data.time }
}

/** OpenCode writes text; bytes that are none stand as a BLOB. */
function stored(bytes: Uint8Array): string | Buffer {
  const text = Buffer.from(bytes).toString()
  return Buffer.from(text).equals(bytes) ? text : Buffer.from(bytes)
}

function inDatabase(data: string, tables: string, act: (database: Database.Database) => void): void {
  mkdirSync(data, { recursive: true })
  const database = new Database(join(data, 'opencode.db'))
  database.pragma('synchronous = OFF')
  database.exec(tables.replaceAll(/CREATE TABLE (?!IF)/g, 'CREATE TABLE IF NOT EXISTS '))
  database.transaction(() => act(database))()
  database.close()
}
