/** Checks the values of settings. What is wrong is named by its variable or its key, and a secret is never repeated. */
import { StorageError } from '../../core/errors.js'
import { told } from '../../core/options.js'
import { NAMESPACE } from '../text/document.js'
import type { Setting, TextFormat } from './config-settings.js'

const YES = ['1', 'true', 'yes', 'y', 'on']
const NO = ['0', 'false', 'no', 'n', 'off']

/** From the text of a variable or a flag. @throws StorageError INVALID_OPTION */
export function valueOfText(name: string, setting: Setting, text: string): unknown {
  switch (setting.type) {
    case 'word':
      return oneOf(name, setting.words, text)
    case 'flag':
      if (YES.includes(text.toLowerCase())) return true
      if (NO.includes(text.toLowerCase())) return false
      throw wrong(name, 'must be true or false', text)
    case 'number':
      return inRange(name, setting, /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN, text)
    case 'text':
      return checkedText(name, setting.format, text)
    default:
      return setting satisfies never
  }
}

/** From the config file, and from programs. @throws StorageError INVALID_OPTION */
export function valueOfJson(name: string, setting: Setting, value: unknown): unknown {
  switch (setting.type) {
    case 'word':
      return oneOf(name, setting.words, value)
    case 'flag':
      if (typeof value === 'boolean') return value
      throw wrong(name, 'must be true or false', value)
    case 'number':
      return inRange(name, setting, value, value)
    case 'text':
      return checkedText(name, setting.format, value)
    default:
      return setting satisfies never
  }
}

function oneOf(name: string, words: readonly string[], value: unknown): string {
  const word = words.find((one) => one === value)
  if (word === undefined) throw wrong(name, `must be ${words.join(' or ')}`, value)
  return word
}

function inRange(name: string, { min, max }: { readonly min: number; readonly max: number }, value: unknown, given: unknown): number {
  if (typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max) return value
  throw wrong(name, `must be a whole number from ${min} to ${max}`, given)
}

function checkedText(name: string, format: TextFormat, value: unknown): string {
  const { is, expected, normal = (text) => text } = FORMATS[format]
  if (typeof value === 'string' && is(value)) return normal(value)
  throw wrong(name, `must be ${expected}`, value !== '' && UNREPEATED.has(format) ? undefined : value)
}

/** What is wrong with an address may be the password in it. */
const UNREPEATED: ReadonlySet<TextFormat> = new Set(['token', 'address', 'ollama-address'])

interface Format {
  readonly is: (text: string) => boolean
  readonly expected: string
  readonly normal?: (text: string) => string
}

const FORMATS: Readonly<Record<TextFormat, Format>> = {
  address: {
    is: (text) => isAddress(text) && new URL(text).pathname === '/',
    expected: 'an address such as http://localhost:8000, without a path, a user, a query or a fragment',
    normal: withoutSlash,
  },
  'ollama-address': {
    is: isAddress,
    expected: 'an address such as http://localhost:11434, without a user, a query or a fragment',
    normal: (text) => withoutSlash(withoutSlash(text).replace(/\/api$/, '')),
  },
  model: { is: (text) => /^[\w./:@-]{1,200}$/.test(text), expected: 'the name of a model, such as nomic-embed-text:latest' },
  collection: {
    is: isCollection,
    expected: '3 to 502 letters, digits, dots, dashes or underscores that begin and end with a letter or digit, without two dots in a row',
  },
  name: { is: (text) => /^[\w.@-]{1,200}$/.test(text), expected: 'a name of letters, digits, dots, dashes or underscores' },
  namespace: { is: (text) => NAMESPACE.test(text), expected: '1 to 64 letters, digits, dots, dashes or underscores' },
  token: { is: (text) => /^[\x21-\x7e]{1,4096}$/.test(text), expected: 'a token without blanks' },
}

function isAddress(text: string): boolean {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || !['http:', 'https:'].includes(url.protocol)) return false
  return url.hostname !== '' && url.username === '' && url.password === '' && url.search === '' && url.hash === ''
}

function withoutSlash(text: string): string {
  return new URL(text).href.replace(/\/+$/, '')
}

/** The rules of Chroma, with room for `__` and 8 digits. */
function isCollection(text: string): boolean {
  return text.length <= 502 && /^[A-Za-z0-9][A-Za-z0-9._-]+[A-Za-z0-9]$/.test(text) && !text.includes('..') && !/^\d+\.\d+\.\d+\.\d+$/.test(text)
}

/** `given`: what is repeated; undefined repeats nothing. */
function wrong(name: string, expected: string, given: unknown): StorageError {
  if (given === '') return new StorageError('INVALID_OPTION', { reason: `${name} is empty; it ${expected}` })
  if (given === undefined) return new StorageError('INVALID_OPTION', { reason: `${name} ${expected}` })
  return new StorageError('INVALID_OPTION', { reason: `${name} ${expected}, not ${told(given)}` })
}
