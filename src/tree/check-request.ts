/** Whether a request is one: callers without types pass anything, and what is not understood would be ignored in silence. */
import { checkBoolean, checkFunction, checkNumber, checkSignal, checkText, checkWhole, invalidOption, refuseUnknown, told } from '../core/options.js'
import { PART_KINDS } from '../core/parts.js'
import type { TreeRequest } from './types.js'

/** @throws StorageError INVALID_OPTION */
export function checkRequest(request: TreeRequest): void {
  refuseUnknown(request, ['session', 'messages', 'parts', 'known', 'since', 'limit', 'deep', 'native', 'signal'])
  const { messages, parts, known, limit, deep, native, signal } = request
  if (messages !== undefined) checkWindow(messages)
  checkParts(parts)
  checkFunction('known', known)
  if (limit !== undefined) {
    refuseUnknown(limit, ['bytes', 'files', 'rows'], 'limit')
    for (const name of ['bytes', 'files', 'rows'] as const) checkNumber(`limit.${name}`, limit[name], 0)
  }
  checkBoolean('deep', deep)
  checkBoolean('native', native)
  checkSignal('signal', signal)
}

function checkWindow(messages: NonNullable<TreeRequest['messages']>): void {
  refuseUnknown(messages, ['last', 'before', 'after'], 'messages')
  if (messages.last !== Number.POSITIVE_INFINITY) checkWhole('messages.last', messages.last, 0)
  checkText('messages.before', messages.before)
  checkText('messages.after', messages.after)
}

/** @throws StorageError INVALID_OPTION */
export function checkParts(parts: TreeRequest['parts']): void {
  if (parts === undefined) return
  refuseUnknown(parts, ['kinds'], 'parts')
  const kinds: unknown = parts.kinds
  if (kinds === undefined) return
  if (!Array.isArray(kinds)) throw invalidOption(`parts.kinds must be a list, not ${told(kinds)}`)
  const stranger = kinds.findIndex((kind) => !(PART_KINDS as readonly unknown[]).includes(kind))
  if (stranger >= 0) throw invalidOption(`there is no kind of part ${told(kinds[stranger])}; a kind is one of ${PART_KINDS.join(', ')}`)
}
