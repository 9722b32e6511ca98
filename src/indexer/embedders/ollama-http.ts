/**
 * The `fetch` that the client of Ollama is given: HTTP over node:http.
 *
 * Node's own fetch gives a response 300 s to begin, and the client's `abort` does not reach an embedding.
 * Here a request lasts as long as its timeout says, an abort closes the connection (which ends the work on the server),
 * bodies are bounded, and every failure is classified before the client sees it: the client would print it, or quote it.
 */
import { Agent as HttpAgent, type IncomingMessage, type RequestOptions, request as requestHttp } from 'node:http'
import { Agent as HttpsAgent, request as requestHttps } from 'node:https'
import { StorageError, systemCode } from '../../core/errors.js'
import { refused, statusFailure, unavailable } from './ollama-errors.js'

export interface HttpLimits {
  readonly timeoutMs: number
  /** Bytes of a body that is taken. */
  readonly maxBytes: number
  readonly signal: AbortSignal | undefined
}

export type Send = (url: string, init: SendInit, limits: HttpLimits) => Promise<Response>

interface SendInit {
  readonly method?: string | undefined
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string | undefined
}

/** Bytes of an error's body that are looked at. */
const ERROR_BYTES = 16 * 1024
const KEEP_OPEN = { keepAlive: true, maxFreeSockets: 2 }

/** Connections are kept for the next request; what waits idle holds no process up. */
export function httpSender(): Send {
  const http = new HttpAgent(KEEP_OPEN)
  const https = new HttpsAgent(KEEP_OPEN)
  return async (url, init, limits) => {
    const secure = url.startsWith('https:')
    const open = (options: RequestOptions) =>
      secure ? requestHttps(url, { agent: https, ...options }) : requestHttp(url, { agent: http, ...options })
    try {
      return await send(open, init, limits)
    } catch (error) {
      // Most likely the server closed an idle connection in the very moment that it was used again. A second time it is down.
      if (error !== STALE_CONNECTION) throw error
      return send((options) => open({ ...options, agent: false }), init, limits)
    }
  }
}

const STALE_CONNECTION = Symbol('stale connection')

type Open = (options: RequestOptions) => ReturnType<typeof requestHttp>

function send(open: Open, { method = 'GET', headers = {}, body }: SendInit, limits: HttpLimits): Promise<Response> {
  const { timeoutMs, signal } = limits
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted()
    const length = body === undefined ? {} : { 'Content-Length': String(Buffer.byteLength(body)) }
    const request = open({ method, headers: { ...headers, ...length } })
    const end = (settle: () => void): void => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', onAbort)
      settle()
    }
    const fail = (error: unknown): void => {
      end(() => reject(error))
      request.destroy()
    }
    const onAbort = (): void => fail(signal?.reason)
    const timer = setTimeout(() => fail(unavailable(`no answer within ${Math.round(timeoutMs / 1000)} s`)), timeoutMs)
    signal?.addEventListener('abort', onAbort, { once: true })
    request.on('error', (error) => fail(request.reusedSocket && systemCode(error) === 'ECONNRESET' ? STALE_CONNECTION : broken(error)))
    request.on('response', (response) => {
      receive(response, limits.maxBytes).then(
        (received) => end(() => resolve(received)),
        (error: unknown) => fail(error instanceof StorageError ? error : broken(error)),
      )
    })
    request.end(body)
  })
}

async function receive(response: IncomingMessage, maxBytes: number): Promise<Response> {
  const status = response.statusCode ?? 0
  const ok = status >= 200 && status < 300
  const pieces: Buffer[] = []
  let bytes = 0
  for await (const piece of response as AsyncIterable<Buffer>) {
    bytes += piece.length
    if (bytes > (ok ? maxBytes : ERROR_BYTES)) {
      if (ok) throw new StorageError('EMBEDDING_INVALID', { reason: `the answer is longer than ${maxBytes} bytes` })
      break
    }
    pieces.push(piece)
  }
  const body = Buffer.concat(pieces)
  if (!ok) throw statusFailure(status, body.toString('utf8'))
  return new Response(status === 204 ? null : body, { status, headers: { 'Content-Type': 'application/json' } })
}

/** Refused, reset, no such host, no route, a certificate that does not hold: the code of the system says which. */
function broken(error: unknown): StorageError {
  const code = systemCode(error) ?? 'connection lost'
  if (/^(CERT_|ERR_TLS|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO_)/.test(code)) {
    return refused(`the certificate of the Ollama server does not hold (${code})`)
  }
  // TLS where there is none, or another protocol altogether.
  if (/^(EPROTO$|HPE_)/.test(code)) return refused(`what answers at this address speaks no HTTP (${code})`)
  return unavailable(code)
}
