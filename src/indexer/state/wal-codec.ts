/**
 * The bytes of a WAL record: a head (JSON, deflated when that helps) and one float32 matrix, each with a header
 * that names its version, its length and its checksum. Decoding is strict: nothing is cut, padded or guessed.
 *
 * head    'SLWH' version:u16 flags:u16 length:u32 crc32:u32, payload
 * matrix  'SLWM' version:u16 dtype:u16 rows:u32 dimensions:u32 crc32:u32 zero:12, rows * dimensions float32
 *
 * Numbers are little-endian, as every platform is that lmdb has a build for.
 */
import { promisify } from 'node:util'
import { crc32, deflateRaw, deflateRawSync, inflateRawSync } from 'node:zlib'
import { type Document, isDocument } from '../../core/documents.js'
import { StorageError } from '../../core/errors.js'
import { parseMessageId, parseSessionId } from '../../core/ids.js'
import { isAgent, sessionKey } from '../../core/keys.js'
import type { DocumentMetadata } from '../ports.js'
import type { DeadMessage, LedgerEntry, LedgerRow, WalRecord, WalRow } from './rows.js'

export const WAL_VERSION = 1
const HEAD_MAGIC = 0x48574c53
const MATRIX_MAGIC = 0x4d574c53
const HEAD_BYTES = 16
const MATRIX_BYTES = 32
const FLOAT32 = 1
const DEFLATED = 1
const DEFLATE_FROM = 512
const DEFLATION = { level: 1 } as const
/** Packing more than this would hold the event loop for a millisecond and more. */
const ASIDE_FROM = 32 * 1024

export interface WalBytes {
  readonly head: Buffer
  readonly matrix: Buffer
}

export function encodeWal(record: WalRecord): WalBytes {
  const json = headJson(record)
  return { head: headOf(json, packedNow(json)), matrix: encodeMatrix(record.matrix, record.dimensions) }
}

/** Undefined for what is too short to be worth it. */
function packedNow(json: Buffer): Buffer | undefined {
  return json.length >= DEFLATE_FROM ? deflateRawSync(json, DEFLATION) : undefined
}

const deflateAside = promisify(deflateRaw)

/** The same bytes, of the record as it is now; what is long is packed on another thread. */
export async function encodeWalAside(record: WalRecord): Promise<WalBytes> {
  const json = headJson(record)
  const matrix = encodeMatrix(record.matrix, record.dimensions)
  const packed = json.length < ASIDE_FROM ? packedNow(json) : await deflateAside(json, DEFLATION)
  return { head: headOf(json, packed), matrix }
}

/** @throws StorageError WAL_DAMAGED; STATE_TOO_NEW for a record of a newer version, which must be left alone */
export function decodeWal(bytes: { readonly head: Buffer | undefined; readonly matrix: Buffer | undefined }): WalRecord {
  if (bytes.head === undefined) throw damaged('the head is missing')
  if (bytes.matrix === undefined) throw damaged('the matrix is missing')
  const { rows, dimensions, matrix } = decodeMatrix(bytes.matrix)
  const record = decodeHead(bytes.head)
  if (record.rows.some((row) => row.vector >= rows)) throw damaged('a row names a vector beyond the matrix')
  return { ...record, dimensions, matrix }
}

function headJson({ key, matrix: _matrix, dimensions: _dimensions, ...rest }: WalRecord): Buffer {
  return Buffer.from(JSON.stringify({ key: [key.agent, key.session], ...rest }))
}

function headOf(json: Buffer, packed: Buffer | undefined): Buffer {
  const payload = packed ?? json
  const head = Buffer.alloc(HEAD_BYTES + payload.length)
  head.writeUInt32LE(HEAD_MAGIC, 0)
  head.writeUInt16LE(WAL_VERSION, 4)
  head.writeUInt16LE(packed === undefined ? 0 : DEFLATED, 6)
  head.writeUInt32LE(payload.length, 8)
  head.writeUInt32LE(crc32(payload), 12)
  payload.copy(head, HEAD_BYTES)
  return head
}

function encodeMatrix(matrix: Float32Array, dimensions: number): Buffer {
  const values = Buffer.from(matrix.buffer, matrix.byteOffset, matrix.byteLength)
  const bytes = Buffer.alloc(MATRIX_BYTES + values.length)
  bytes.writeUInt32LE(MATRIX_MAGIC, 0)
  bytes.writeUInt16LE(WAL_VERSION, 4)
  bytes.writeUInt16LE(FLOAT32, 6)
  bytes.writeUInt32LE(dimensions === 0 ? 0 : matrix.length / dimensions, 8)
  bytes.writeUInt32LE(dimensions, 12)
  bytes.writeUInt32LE(crc32(values), 16)
  values.copy(bytes, MATRIX_BYTES)
  return bytes
}

function decodeMatrix(bytes: Buffer): { rows: number; dimensions: number; matrix: Float32Array } {
  checkHeader(bytes, MATRIX_MAGIC, MATRIX_BYTES, 'matrix')
  if (bytes.readUInt16LE(6) !== FLOAT32) throw damaged('the matrix is of an unknown type')
  if (bytes.subarray(20, MATRIX_BYTES).some((byte) => byte !== 0)) throw damaged('the header of the matrix holds more than it should')
  const rows = bytes.readUInt32LE(8)
  const dimensions = bytes.readUInt32LE(12)
  const values = bytes.subarray(MATRIX_BYTES)
  if (values.length !== rows * dimensions * 4) throw damaged(`the matrix has ${values.length} bytes, not ${rows * dimensions * 4}`)
  if (crc32(values) !== bytes.readUInt32LE(16)) throw damaged('the checksum of the matrix differs')
  // A copy: the buffer of a key-value store is neither aligned nor lasting.
  const matrix = new Float32Array(rows * dimensions)
  new Uint8Array(matrix.buffer).set(values)
  if (!matrix.every(Number.isFinite)) throw damaged('the matrix holds a number that is not finite')
  return { rows, dimensions, matrix }
}

type Head = Omit<WalRecord, 'matrix' | 'dimensions'>

function decodeHead(bytes: Buffer): Head {
  checkHeader(bytes, HEAD_MAGIC, HEAD_BYTES, 'head')
  if (bytes.readUInt16LE(6) > DEFLATED) throw damaged('the head is packed in an unknown way')
  const payload = bytes.subarray(HEAD_BYTES)
  if (payload.length !== bytes.readUInt32LE(8)) throw damaged(`the head has ${payload.length} bytes, not ${bytes.readUInt32LE(8)}`)
  if (crc32(payload) !== bytes.readUInt32LE(12)) throw damaged('the checksum of the head differs')
  try {
    const json = bytes.readUInt16LE(6) !== DEFLATED ? payload : inflateRawSync(payload)
    return toHead(JSON.parse(json.toString('utf8')))
  } catch (error) {
    if (error instanceof StorageError && error.code === 'WAL_DAMAGED') throw error
    throw damaged('the head cannot be read', error)
  }
}

/** The version comes first: whatever else a newer record holds is not ours to judge. */
function checkHeader(bytes: Buffer, magic: number, size: number, name: string): void {
  if (bytes.length < size || bytes.readUInt32LE(0) !== magic) throw damaged(`the ${name} has no header`)
  const version = bytes.readUInt16LE(4)
  if (version > WAL_VERSION)
    throw new StorageError('STATE_TOO_NEW', { reason: `a WAL record is of version ${version}, this is version ${WAL_VERSION}` })
  if (version === 0) throw damaged(`the ${name} has no version`)
}

function toHead(value: unknown): Head {
  const head = object(value)
  const [agent, session] = array(head.key)
  if (!isAgent(agent)) throw damaged('the head names no agent')
  return {
    key: sessionKey(agent, parseSessionId(string(session))),
    // Version 1 knew one space.
    space: head.space === undefined ? '' : string(head.space),
    createdAt: number(head.createdAt),
    projectName: head.projectName === undefined ? undefined : string(head.projectName),
    rows: array(head.rows).map(toRow),
    deletes: array(head.deletes).map(string),
    ledger: array(head.ledger).map(toEntry),
    drop: array(head.drop).map((id) => parseMessageId(string(id))),
    dead: array(head.dead ?? []).map(toDead),
    embedded: number(head.embedded),
    cached: number(head.cached),
  }
}

function toRow(value: unknown): WalRow {
  const row = object(value)
  const vector = number(row.vector)
  if (!Number.isSafeInteger(vector) || vector < 0) throw damaged('a row names no vector')
  return { id: string(row.id), text: string(row.text), vector, metadata: object(row.metadata) as unknown as DocumentMetadata }
}

function toDead(value: unknown): DeadMessage {
  const { message, chunk, code, reason } = object(value)
  return {
    message: parseMessageId(string(message)),
    chunk: chunk === undefined ? undefined : number(chunk),
    code: string(code),
    reason: string(reason),
  }
}

function toEntry(value: unknown): LedgerEntry {
  const entry = object(value)
  return { message: parseMessageId(string(entry.message)), row: toLedgerRow(entry.row) }
}

/** @throws StorageError WAL_DAMAGED when the value is no ledger row */
export function toLedgerRow(value: unknown): LedgerRow {
  const { signature, textHash, chunks, state, meta, at } = object(value)
  if (state !== 'settled' && state !== 'volatile' && state !== 'empty' && state !== 'quarantined') throw damaged('a ledger row is in no state')
  array(chunks).forEach(string)
  string(signature)
  string(textHash)
  string(meta)
  number(at)
  return { rev: 0, ...(value as object) } as LedgerRow
}

function object(value: unknown): Document {
  if (!isDocument(value)) throw damaged('an object is missing')
  return value
}

function array(value: unknown): readonly unknown[] {
  if (!Array.isArray(value)) throw damaged('a list is missing')
  return value
}

function string(value: unknown): string {
  if (typeof value !== 'string') throw damaged('a text is missing')
  return value
}

function number(value: unknown): number {
  if (typeof value !== 'number' || !Number.isFinite(value)) throw damaged('a number is missing')
  return value
}

function damaged(reason: string, cause?: unknown): StorageError {
  return new StorageError('WAL_DAMAGED', { reason }, { cause })
}
