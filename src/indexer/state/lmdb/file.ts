/**
 * A look at a file before LMDB maps it: handed a file of another kind, or one cut below its root pages,
 * lmdb ends the whole process instead of throwing. Deeper damage is not seen here.
 */
import { closeSync, openSync, readSync, statSync } from 'node:fs'
import { messageOf, StorageError, systemCode } from '../../../core/errors.js'

const MAGIC = 0xbeefc0de
const VERSION = 2
const META_BYTES = 160
/** Offsets inside a meta page of lmdb 3 on 64-bit machines. */
const AT = { magic: 24, version: 28, pageSize: 48, freeRoot: 88, mainRoot: 136, lastPage: 144, transaction: 152 }
const NO_PAGE = 2n ** 64n - 1n

/**
 * A missing or empty file is fine: LMDB makes it. `whole` also refuses a file that ends before its last page: what stood there may have
 * been free, so that is for files that can be made anew.
 * @throws StorageError STATE_DAMAGED, STATE_UNAVAILABLE
 */
export function checkLmdbFile(path: string, { whole = false }: { readonly whole?: boolean } = {}): void {
  if (sizeOf(path) === 0) return
  const first = readMeta(path, 0)
  const pageSize = first?.readUInt32LE(AT.pageSize) ?? 0
  const second = first && readMeta(path, pageSize)
  if (first === undefined || second === undefined) throw damaged('the file is no LMDB environment', path)
  // After the meta pages: another process may be writing, and what they name is in the file before they are.
  const size = sizeOf(path)
  const newest = first.readBigUInt64LE(AT.transaction) > second.readBigUInt64LE(AT.transaction) ? first : second
  for (const at of whole ? [AT.freeRoot, AT.mainRoot, AT.lastPage] : [AT.freeRoot, AT.mainRoot]) {
    const root = newest.readBigUInt64LE(at)
    if (root !== NO_PAGE && (root + 1n) * BigInt(pageSize) > BigInt(size)) throw damaged('the file was cut short', path)
  }
}

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0
}

/** Undefined when there is no meta page of this format. */
function readMeta(path: string, offset: number): Buffer | undefined {
  const bytes = Buffer.alloc(META_BYTES)
  let fd: number | undefined
  try {
    fd = openSync(path, 'r')
    if (readSync(fd, bytes, 0, META_BYTES, offset) < META_BYTES) return undefined
  } catch (error) {
    throw new StorageError(
      'STATE_UNAVAILABLE',
      { reason: `the file cannot be read: ${systemCode(error) ?? messageOf(error)}`, path },
      { cause: error },
    )
  } finally {
    if (fd !== undefined) closeSync(fd)
  }
  const ours = bytes.readUInt32LE(AT.magic) === MAGIC && bytes.readUInt32LE(AT.version) === VERSION
  return ours ? bytes : undefined
}

function damaged(reason: string, path: string): StorageError {
  return new StorageError('STATE_DAMAGED', { reason, path })
}
