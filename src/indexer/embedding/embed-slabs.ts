/**
 * Vectors packed into slabs of up to 32, since LMDB gives each larger value whole pages of its own: packed, a vector of 1024 dimensions takes
 * 1.06 times its bytes, by itself 2.03 times. What is added goes into the open slab until that is full.
 *
 * row    key -> slab:f64 offset:u32 length:u32 crc32:u32, of the vector
 * slab   number -> for each vector: keyLength:u16 zero:u16 length:u32 key float32...
 * used   [day, slab] -> bytes; slabs in the order in which they are evicted
 * about  'bytes' | 'next' -> number, 'open' -> [slab, vectors], ['day', slab] -> day of its last use
 *
 * Everything here runs inside one transaction, or reads.
 */
import { crc32 } from 'node:zlib'
import type { Table } from '../state/lmdb/env.js'

export const SLAB_TABLES = { row: 'binary', slab: 'binary', used: 'msgpack', about: 'msgpack' } as const
export type SlabTables = { readonly [T in keyof typeof SLAB_TABLES]: Table }

const MOST_VECTORS = 32
/** A slab is read as a whole. */
const MOST_BYTES = 512 * 1024
const ROW_BYTES = 20
const HEADER_BYTES = 8

export interface SlabRow {
  readonly slab: number
  readonly offset: number
  readonly length: number
  readonly crc: number
}

export function rowAt({ row }: SlabTables, key: string): SlabRow | undefined {
  const bytes = row.getBinary(key)
  if (bytes?.length !== ROW_BYTES) return undefined
  return { slab: bytes.readDoubleLE(0), offset: bytes.readUInt32LE(8), length: bytes.readUInt32LE(12), crc: bytes.readUInt32LE(16) }
}

/** Undefined when the bytes are not those that were put. */
export function vectorIn(slab: Buffer | undefined, { offset, length, crc }: SlabRow): Float32Array | undefined {
  const bytes = slab?.subarray(offset, offset + length)
  if (bytes?.length !== length || length === 0 || length % 4 !== 0 || crc32(bytes) !== crc) return undefined
  const vector = new Float32Array(length / 4)
  new Uint8Array(vector.buffer).set(bytes)
  return vector
}

export function dayOf({ about }: SlabTables, slab: number): number {
  return numberOf(about.get(['day', slab]))
}

export function bytesHeld({ about }: SlabTables): number {
  return numberOf(about.get('bytes'))
}

/** What is held already and was used since the day `oldest` stays as it is. */
export function addVectors(
  tables: SlabTables,
  vectors: ReadonlyMap<string, Float32Array>,
  { today, oldest }: { readonly today: number; readonly oldest: number },
): void {
  let open = openSlab(tables)
  for (const [key, vector] of vectors) {
    if (isHeld(tables, key, oldest)) continue
    const bytes = Buffer.from(vector.buffer, vector.byteOffset, vector.byteLength)
    if (open.vectors > 0 && (open.vectors >= MOST_VECTORS || open.bytes + bytes.length > MOST_BYTES)) {
      write(tables, open, today)
      open = newSlab(tables)
    }
    add(tables, open, key, bytes)
  }
  write(tables, open, today)
}

function isHeld(tables: SlabTables, key: string, oldest: number): boolean {
  const row = rowAt(tables, key)
  return row !== undefined && dayOf(tables, row.slab) >= oldest && vectorIn(tables.slab.getBinary(row.slab), row) !== undefined
}

interface OpenSlab {
  readonly slab: number
  readonly parts: Buffer[]
  bytes: number
  vectors: number
  changed: boolean
}

function openSlab(tables: SlabTables): OpenSlab {
  const [slab, vectors] = pairOf(tables.about.get('open'))
  const bytes = tables.slab.getBinary(slab)
  return bytes === undefined ? newSlab(tables) : { slab, parts: [bytes], bytes: bytes.length, vectors, changed: false }
}

/** Numbers are never used again: what was read of a slab stays true of its rows. */
function newSlab({ about }: SlabTables): OpenSlab {
  const slab = numberOf(about.get('next')) + 1
  about.putSync('next', slab)
  return { slab, parts: [], bytes: 0, vectors: 0, changed: false }
}

function add({ row }: SlabTables, open: OpenSlab, key: string, bytes: Buffer): void {
  const name = Buffer.from(key)
  const header = Buffer.alloc(HEADER_BYTES)
  header.writeUInt16LE(name.length, 0)
  header.writeUInt32LE(bytes.length, 4)
  const place = Buffer.alloc(ROW_BYTES)
  place.writeDoubleLE(open.slab, 0)
  place.writeUInt32LE(open.bytes + header.length + name.length, 8)
  place.writeUInt32LE(bytes.length, 12)
  place.writeUInt32LE(crc32(bytes), 16)
  row.putSync(key, place)
  open.parts.push(header, name, bytes)
  open.bytes += header.length + name.length + bytes.length
  open.vectors++
  open.changed = true
}

function write(tables: SlabTables, { slab, parts, bytes, vectors, changed }: OpenSlab, day: number): void {
  if (!changed) return
  const { about, used } = tables
  unlist(tables, slab)
  tables.slab.putSync(slab, Buffer.concat(parts))
  used.putSync([day, slab], bytes)
  about.putSync(['day', slab], day)
  about.putSync('bytes', bytesHeld(tables) + bytes)
  about.putSync('open', [slab, vectors])
}

/** Takes a slab out of the order of eviction. */
function unlist(tables: SlabTables, slab: number): void {
  const { about, used } = tables
  const entry = [dayOf(tables, slab), slab]
  about.putSync('bytes', bytesHeld(tables) - numberOf(used.get(entry)))
  used.removeSync(entry)
  about.removeSync(['day', slab])
}

/** Notes that something of these slabs was used today. */
export function touch(tables: SlabTables, slabs: Iterable<number>, day: number): void {
  const { about, used } = tables
  for (const slab of slabs) {
    const before = dayOf(tables, slab)
    const bytes = used.get([before, slab])
    if (before >= day || bytes === undefined) continue
    used.removeSync([before, slab])
    used.putSync([day, slab], bytes)
    about.putSync(['day', slab], day)
  }
}

/** Evicts up to `most` slabs, those first that were not used for longest: while there are more than `maxBytes`, or from before `day`. Gives their number. */
export function evict(
  tables: SlabTables,
  { maxBytes, day, most }: { readonly maxBytes: number; readonly day: number; readonly most: number },
): number {
  const oldest = [...tables.used.getKeys({ limit: most })].map((key) => (Array.isArray(key) ? key.map(numberOf) : []))
  let evicted = 0
  for (const [lastUsed = 0, slab = 0] of oldest) {
    if (lastUsed >= day && bytesHeld(tables) <= maxBytes) break
    drop(tables, slab)
    evicted++
  }
  return evicted
}

function drop(tables: SlabTables, slab: number): void {
  const bytes = tables.slab.getBinary(slab)
  for (const { key } of bytes === undefined ? [] : entriesOf(bytes)) {
    if (rowAt(tables, key)?.slab === slab) tables.row.removeSync(key)
  }
  unlist(tables, slab)
  tables.slab.removeSync(slab)
}

/** Overwrites the vectors of these keys, and forgets them. A slab without any goes. */
export function removeVectors(tables: SlabTables, keys: readonly string[]): void {
  const bySlab = new Map<number, SlabRow[]>()
  for (const key of keys) {
    const row = rowAt(tables, key)
    tables.row.removeSync(key)
    if (row !== undefined) bySlab.set(row.slab, [...(bySlab.get(row.slab) ?? []), row])
  }
  for (const [slab, rows] of bySlab) {
    const bytes = tables.slab.getBinary(slab)
    if (bytes === undefined) continue
    const left = Buffer.from(bytes)
    for (const { offset, length } of rows) left.fill(0, offset, offset + length)
    if ([...entriesOf(left)].some(({ key }) => rowAt(tables, key)?.slab === slab)) tables.slab.putSync(slab, left)
    else drop(tables, slab)
  }
}

function* entriesOf(bytes: Buffer): Generator<{ readonly key: string }> {
  for (let at = 0; at + HEADER_BYTES <= bytes.length; ) {
    const key = at + HEADER_BYTES
    const vector = key + bytes.readUInt16LE(at)
    yield { key: bytes.toString('utf8', key, vector) }
    at = vector + bytes.readUInt32LE(at + 4)
  }
}

function numberOf(value: unknown): number {
  return typeof value === 'number' ? value : 0
}

function pairOf(value: unknown): readonly [number, number] {
  const [first, second]: readonly unknown[] = Array.isArray(value) ? value : []
  return [numberOf(first), numberOf(second)]
}
