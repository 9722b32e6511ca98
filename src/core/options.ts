/** Options: one defaults object per function, unknown names refused, the caller's object never written. */
import { StorageError } from './errors.js'

/** @throws StorageError INVALID_OPTION when `given` names an option that `defaults` does not. */
export function withDefaults<T extends object>(defaults: T, given: { readonly [K in keyof T]?: T[K] | undefined }): Readonly<T> {
  const set: Partial<T> = {}
  for (const name of Object.keys(given) as (keyof T & string)[]) {
    if (!Object.hasOwn(defaults, name)) throw new StorageError('INVALID_OPTION', { reason: `there is no option "${name}"` })
    if (given[name] !== undefined) set[name] = given[name]
  }
  return Object.freeze({ ...defaults, ...set })
}

/** @throws StorageError INVALID_OPTION unless every own name of `given` is one of `names`. */
export function refuseUnknown(given: object, names: readonly string[]): void {
  for (const name of Object.keys(given)) {
    if (!names.includes(name)) throw new StorageError('INVALID_OPTION', { reason: `there is no option "${name}"` })
  }
}

/** @throws StorageError INVALID_OPTION unless `value` is undefined or a number in [min, max]. */
export function checkNumber(name: string, value: unknown, min: number, max = Number.POSITIVE_INFINITY): void {
  if (value === undefined) return
  if (typeof value === 'number' && value >= min && value <= max) return
  const range = max === Number.POSITIVE_INFINITY ? `of at least ${min}` : `between ${min} and ${max}`
  throw new StorageError('INVALID_OPTION', { reason: `${name} must be a number ${range}, not ${JSON.stringify(value)}` })
}
