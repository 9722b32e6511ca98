/** Options: one defaults object per function, unknown names refused, the caller's object never written. Callers without types pass anything. */
import { StorageError } from './errors.js'

/** The longest wait that a timer takes, in milliseconds: a longer one would end at once. */
export const LONGEST_MS = 2 ** 31 - 1

const OPTIONS = 'the options'

/** @throws StorageError INVALID_OPTION when `given` names an option that `defaults` does not. */
export function withDefaults<T extends object>(defaults: T, given: { readonly [K in keyof T]?: T[K] | undefined }, what = OPTIONS): Readonly<T> {
  refuseUnknown(given, Object.keys(defaults), what)
  const set: Partial<T> = {}
  for (const name of Object.keys(given) as (keyof T & string)[]) if (given[name] !== undefined) set[name] = given[name]
  return Object.freeze({ ...defaults, ...set })
}

/** `what`: how the object is called. @throws StorageError INVALID_OPTION unless `given` is an object of which every own name is one of `names`. */
export function refuseUnknown(given: unknown, names: readonly string[], what = OPTIONS): void {
  checkObject(what, given)
  const where = what === OPTIONS ? '' : ` in ${what}`
  for (const name of Object.keys(given)) if (!names.includes(name)) throw invalidOption(`there is no option ${told(name)}${where}`)
}

/** @throws StorageError INVALID_OPTION unless `value` is an object, and no list. */
export function checkObject(name: string, value: unknown): asserts value is object {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw invalidOption(`${name} must be an object, not ${told(value)}`)
}

/** @throws StorageError INVALID_OPTION unless `value` is undefined or a number in [min, max]. */
export function checkNumber(name: string, value: unknown, min: number, max = Number.POSITIVE_INFINITY): void {
  if (value === undefined) return
  if (typeof value === 'number' && value >= min && value <= max) return
  const range = max === Number.POSITIVE_INFINITY ? `of at least ${min}` : `between ${min} and ${max}`
  throw invalidOption(`${name} must be a number ${range}, not ${told(value)}`)
}

/** @throws StorageError INVALID_OPTION unless `value` is undefined or a whole number in [min, max]. */
export function checkWhole(name: string, value: unknown, min: number, max = Number.MAX_SAFE_INTEGER): void {
  if (value === undefined) return
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= min && value <= max) return
  const range = max === Number.MAX_SAFE_INTEGER ? `of at least ${min}` : `from ${min} to ${max}`
  throw invalidOption(`${name} must be a whole number ${range}, not ${told(value)}`)
}

/** A text such as 'false' is no switch. @throws StorageError INVALID_OPTION unless `value` is undefined or a boolean. */
export function checkBoolean(name: string, value: unknown): void {
  if (value !== undefined && typeof value !== 'boolean') throw invalidOption(`${name} must be true or false, not ${told(value)}`)
}

/** @throws StorageError INVALID_OPTION unless `value` is undefined or a text that is not empty. */
export function checkText(name: string, value: unknown): void {
  if (value === undefined || (typeof value === 'string' && value !== '')) return
  throw invalidOption(value === '' ? `${name} is empty` : `${name} must be a text, not ${told(value)}`)
}

/** @throws StorageError INVALID_OPTION unless `value` is undefined or one of `words`. */
export function checkWord(name: string, value: unknown, words: readonly string[]): void {
  if (value === undefined || words.some((word) => word === value)) return
  const which = words.length > 2 ? `one of ${words.join(', ')}` : words.join(' or ')
  throw invalidOption(`${name} must be ${which}, not ${told(value)}`)
}

/** @throws StorageError INVALID_OPTION unless `value` is undefined or a function. */
export function checkFunction(name: string, value: unknown): void {
  if (value !== undefined && typeof value !== 'function') throw invalidOption(`${name} must be a function, not ${told(value)}`)
}

/** `kind`: what the value must be, for people. @throws StorageError INVALID_OPTION unless `value` is undefined or has the methods. */
export function checkMethods(name: string, value: unknown, methods: readonly string[], kind: string): void {
  if (value === undefined || hasMethods(value, methods)) return
  throw invalidOption(`${name} must be ${kind}`)
}

export function hasMethods(value: unknown, methods: readonly string[]): boolean {
  return methods.every((method) => typeof Object(value)[method] === 'function')
}

/** @throws StorageError INVALID_OPTION unless `value` is undefined or an AbortSignal. */
export function checkSignal(name: string, value: unknown): void {
  checkMethods(name, value, ['addEventListener', 'removeEventListener', 'throwIfAborted'], 'an AbortSignal')
}

/** @throws StorageError INVALID_OPTION unless `value` is undefined or a Clock. */
export function checkClock(name: string, value: unknown): void {
  checkMethods(name, value, ['now', 'monotonic', 'sleep'], 'a clock, with now(), monotonic() and sleep()')
}

export function invalidOption(reason: string): StorageError {
  return new StorageError('INVALID_OPTION', { reason })
}

const TOLD_LENGTH = 100

/** What was given, for an error: short, and NaN as NaN. */
export function told(value: unknown): string {
  switch (typeof value) {
    case 'string':
      return value.length > TOLD_LENGTH ? `${JSON.stringify(value.slice(0, TOLD_LENGTH))} and so on` : JSON.stringify(value)
    case 'object':
      if (value === null) return 'null'
      return Array.isArray(value) ? 'a list' : 'an object'
    case 'function':
      return 'a function'
    default:
      return String(value)
  }
}
