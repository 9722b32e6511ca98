/** Which vectors may be compared: the name of a space, of a model, of a host. */
import { createHash } from 'node:crypto'
import { StorageError } from '../../core/errors.js'

export interface OllamaSpace {
  /** With its tag. */
  readonly model: string
  /** Of the model's manifest: another one for other weights, template or parameters. */
  readonly digest: string
  readonly dimensions: number
  readonly numCtx: number
  readonly truncate: boolean
  readonly prefix: OllamaPrefix
}

export interface OllamaPrefix {
  readonly document: string
  readonly query: string
}

/** Raised when equal fields would name other vectors. */
const VERSION = 1

export function spaceName({ model, digest, dimensions, numCtx, truncate, prefix }: OllamaSpace): string {
  return `ollama/${VERSION} model=${model} digest=${digest} dimensions=${dimensions} num_ctx=${numCtx} truncate=${truncate} prefix=${prefixName(prefix)} norm=l2`
}

function prefixName({ document, query }: OllamaPrefix): string {
  if (document === '' && query === '') return 'none'
  return createHash('sha256')
    .update(JSON.stringify([document, query]))
    .digest('hex')
    .slice(0, 16)
}

/** The space of that name, when it is one of the same model and options; what differs may be the digest and the dimensions alone. */
export function knownSpace(name: string, wanted: Omit<OllamaSpace, 'digest' | 'dimensions'>, dimensions?: number): OllamaSpace | undefined {
  const [, digest, length] = name.match(/ digest=(\S+) dimensions=([1-9]\d{0,5}) /) ?? []
  if (digest === undefined || length === undefined) return undefined
  const space: OllamaSpace = { ...wanted, digest, dimensions: Number(length) }
  if (dimensions !== undefined && dimensions !== space.dimensions) return undefined
  return spaceName(space) === name ? space : undefined
}

/** As Ollama lists it: with a tag, without the registry and the folder that are its defaults. @throws StorageError INVALID_OPTION */
export function modelName(given: string): string {
  if (!/^[\w][\w.:/-]{0,200}$/.test(given)) throw new StorageError('INVALID_OPTION', { reason: `"${given}" is no name of a model` })
  const short = given
    .toLowerCase()
    .replace(/^registry\.ollama\.ai\//, '')
    .replace(/^library\//, '')
  return short.split('/').at(-1)?.includes(':') ? short : `${short}:latest`
}

/** Models that Ollama itself has computed elsewhere. */
export function isCloudModel(model: string): boolean {
  return /[:-]cloud$/.test(model)
}

export interface OllamaHost {
  /** Without a path of its own, credentials or a slash at its end. */
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly loopback: boolean
}

/** Takes `host`, `host:port`, a URL, one that ends in `/api`, one with credentials. @throws StorageError INVALID_OPTION */
export function hostOf(given: string): OllamaHost {
  let url: URL
  try {
    url = new URL(given.includes('://') ? given : `http://${given}`)
  } catch {
    throw new StorageError('INVALID_OPTION', { reason: 'host is no URL, such as http://127.0.0.1:11434' })
  }
  if (!/^https?:$/.test(url.protocol) || url.hostname === '' || url.search !== '' || url.hash !== '') {
    throw new StorageError('INVALID_OPTION', { reason: 'host must be an http or https URL without a query' })
  }
  if (url.port === '' && !given.includes('://')) url.port = '11434'
  const path = url.pathname.replace(/\/+$/, '').replace(/\/api$/, '')
  const credentials = `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`
  const headers = credentials === ':' ? {} : { Authorization: `Basic ${Buffer.from(credentials).toString('base64')}` }
  return { url: `${url.protocol}//${url.host}${path}`, headers, loopback: isLoopback(url.hostname) }
}

function isLoopback(hostname: string): boolean {
  return /^(localhost|.+\.localhost|127(\.\d{1,3}){3}|0\.0\.0\.0|\[::1?\]|\[::ffff:7f[0-9a-f]{2}:[0-9a-f]{1,4}\])$/.test(hostname)
}
