/** Tells whether a text is JSON, without building it where the optional peer simdjson loads. The verdict is JSON.parse's either way. */
import { createRequire } from 'node:module'

export interface JsonValidator {
  readonly name: 'simdjson' | 'JSON.parse'
  isValid(text: string): boolean
}

const PLAIN: JsonValidator = { name: 'JSON.parse', isValid: parses }

let loaded: JsonValidator | undefined

/** simdjson's where it loads. */
export function jsonValidator(): JsonValidator {
  loaded ??= nativeValidator() ?? PLAIN
  return loaded
}

export function plainJsonValidator(): JsonValidator {
  return PLAIN
}

/**
 * simdjson refuses what JSON.parse takes: numbers beyond its range, lone surrogates written as escapes, nesting deeper than 1024.
 * So only its yes is final. It takes nothing that JSON.parse refuses, save that later versions skip a byte order mark.
 */
function nativeValidator(): JsonValidator | undefined {
  const native = loadNative()
  if (native === undefined) return undefined
  const accepts = (text: string): boolean => {
    try {
      return text.charCodeAt(0) !== BYTE_ORDER_MARK && native.isValid(text)
    } catch {
      return false // out of memory for its copy, say
    }
  }
  return { name: 'simdjson', isValid: (text) => accepts(text) || parses(text) }
}

const BYTE_ORDER_MARK = 0xfeff

interface Native {
  isValid(text: string): boolean
}

function loadNative(): Native | undefined {
  try {
    const module: unknown = createRequire(import.meta.url)('simdjson')
    if (module !== JSON) return isNative(module) ? module : undefined
    // Where it was not built, the package hands out the global JSON, with functions of its own put into it.
    Reflect.deleteProperty(JSON, 'isValid')
  } catch {
    // not installed
  }
  return undefined
}

function isNative(module: unknown): module is Native {
  return typeof module === 'object' && module !== null && 'isValid' in module && typeof module.isValid === 'function'
}

function parses(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}
