/** Errors as plain data: what was thrown in the worker is thrown again in the thread that asked. */
import { isDocument } from '../../core/documents.js'
import { type ErrorCode, errorTable, messageOf, StorageError } from '../../core/errors.js'

export type WireError =
  | {
      readonly code: ErrorCode
      readonly reason: string
      readonly path: string | undefined
      readonly key: string | undefined
      readonly offset: number | undefined
      readonly advice: string
    }
  /** A bug, or the system. */
  | { readonly code: undefined; readonly name: string; readonly message: string; readonly stack: string | undefined }

export function toWire(error: unknown): WireError {
  if (error instanceof StorageError) {
    const { code, reason, path, key, offset, advice } = error
    return { code, reason, path, key, offset, advice }
  }
  const { name, stack } = error instanceof Error ? error : { name: 'Error', stack: undefined }
  return { code: undefined, name, message: messageOf(error), stack }
}

export function fromWire(wire: WireError): Error {
  if (wire.code !== undefined) return new StorageError(wire.code, wire)
  const error = new Error(wire.message)
  error.name = wire.name
  if (wire.stack !== undefined) error.stack = wire.stack
  return error
}

const CODES: ReadonlySet<unknown> = new Set(errorTable().map(({ code }) => code))

export function isWireError(value: unknown): value is WireError {
  if (!isDocument(value)) return false
  const isTextOrNone = (name: string): boolean => value[name] === undefined || typeof value[name] === 'string'
  if (value.code === undefined) return typeof value.name === 'string' && typeof value.message === 'string' && isTextOrNone('stack')
  const { code, reason, advice, offset } = value
  if (!CODES.has(code) || typeof reason !== 'string' || typeof advice !== 'string') return false
  return isTextOrNone('path') && isTextOrNone('key') && (offset === undefined || typeof offset === 'number')
}
