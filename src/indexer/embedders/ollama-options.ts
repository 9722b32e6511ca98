/** Options of the Ollama embedder, and their defaults. */
import { type Clock, systemClock } from '../../core/clock.js'
import {
  checkBoolean,
  checkClock,
  checkFunction,
  checkNumber,
  checkObject,
  checkSignal,
  checkText,
  checkWhole,
  invalidOption,
  LONGEST_MS,
  told,
  withDefaults,
} from '../../core/options.js'
import { modelName, type OllamaPrefix } from './ollama-space.js'

export interface OllamaEmbedderOptions {
  /** With its tag; `:latest` without one. */
  readonly model: string
  /** With or without `/api`. @default 'http://127.0.0.1:11434' */
  readonly host?: string | undefined
  /** Sent with every request, such as `Authorization`. @default none */
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** Tokens of context. The same for documents and queries, or Ollama would load the model anew at each change. @default 32_768 */
  readonly numCtx?: number | undefined
  /** A text that is longer than the context is cut there, and counted; else it is refused with TEXT_TOO_LONG, so that it can be split. @default false */
  readonly truncate?: boolean | undefined
  /** Length of the vectors, for models that allow a shorter one. @default that of the model */
  readonly dimensions?: number | undefined
  /** How long the model stays loaded after a request, as in Ollama: '30m', or seconds. @default '30m' */
  readonly keepAlive?: string | number | undefined
  /** Put before each text of the kind, as some models ask for. @default none */
  readonly prefix?: Partial<OllamaPrefix> | undefined
  /** Milliseconds until an embedding is given up; the first one also loads the model. @default 1_800_000 */
  readonly timeoutMs?: number | undefined
  /** Milliseconds that one request should take; batches are sized by it. @default 15_000 */
  readonly targetMs?: number | undefined
  /** Spaces of the index. While the server is down, an embedder of the first that has these options is opened all the same. @default none */
  readonly expected?: string | readonly string[] | undefined
  /** Called with the number of texts that were cut at the context. */
  readonly onTruncated?: ((texts: number) => void) | undefined
  readonly clock?: Clock | undefined
  readonly signal?: AbortSignal | undefined
}

export interface OllamaSettings {
  readonly model: string
  readonly host: string
  readonly headers: Readonly<Record<string, string>>
  readonly numCtx: number
  readonly truncate: boolean
  readonly dimensions: number | undefined
  readonly keepAlive: string | number
  readonly prefix: OllamaPrefix
  readonly timeoutMs: number
  readonly targetMs: number
  readonly onTruncated: (texts: number) => void
  readonly clock: Clock
}

const defaults: Omit<OllamaSettings, 'model'> = {
  host: 'http://127.0.0.1:11434',
  headers: {},
  numCtx: 32_768,
  truncate: false,
  dimensions: undefined,
  keepAlive: '30m',
  prefix: { document: '', query: '' },
  timeoutMs: 1_800_000,
  targetMs: 15_000,
  onTruncated: () => undefined,
  clock: systemClock,
}

/** @throws StorageError INVALID_OPTION */
export function ollamaSettings(given: OllamaEmbedderOptions): OllamaSettings {
  checkObject('the options', given)
  const { model, prefix = {}, expected: _, signal, ...options } = given
  if (typeof model !== 'string') throw invalidOption(`model must be the name of a model, not ${told(model)}`)
  const settings = withDefaults(defaults, options)
  checkText('host', settings.host)
  checkObject('headers', settings.headers)
  checkBoolean('truncate', settings.truncate)
  checkFunction('onTruncated', settings.onTruncated)
  checkClock('clock', settings.clock)
  checkSignal('signal', signal)
  checkWhole('numCtx', settings.numCtx, 16, 2 ** 24)
  checkWhole('dimensions', settings.dimensions, 1, 65_536)
  checkNumber('timeoutMs', settings.timeoutMs, 1, LONGEST_MS)
  checkNumber('targetMs', settings.targetMs, 1)
  return { ...settings, model: modelName(model), prefix: withDefaults(defaults.prefix, prefix, 'prefix') }
}
