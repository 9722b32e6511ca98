/** Between a sink and Chroma, or in its place: asks for a token, speaks TLS, counts requests, and answers some of them itself. */
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { createServer as createPlain, type IncomingHttpHeaders, type IncomingMessage, request, type ServerResponse } from 'node:http'
import { createServer as createSecure } from 'node:https'
import { join } from 'node:path'

export interface ProxyRequest {
  readonly method: string
  /** Of the server, without what is before `/api`. */
  readonly path: string
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

/** `hang`: no answer. `reset`: the connection ends. Undefined: what the server answers. */
export type ProxyAnswer =
  | { readonly status: number; readonly body?: unknown; readonly headers?: Record<string, string> }
  | 'hang'
  | 'reset'
  | undefined

export interface ProxyOptions {
  /** The server behind it. @default none: what `answer` does not answer is 404 */
  readonly target?: string
  readonly token?: string
  readonly tls?: Certificate
  readonly answer?: (request: ProxyRequest) => ProxyAnswer
}

export interface ChromaProxy extends AsyncDisposable {
  readonly url: string
  readonly requests: readonly ProxyRequest[]
}

export interface Certificate {
  readonly key: string
  readonly cert: string
  /** What a process must be told to trust. */
  readonly path: string
}

/** For 127.0.0.1, of one day, signed by itself. Undefined without openssl. */
export function selfSigned(folder: string): Certificate | undefined {
  const [keyPath, path] = [join(folder, 'key.pem'), join(folder, 'cert.pem')]
  const names = ['-subj', '/CN=127.0.0.1', '-addext', 'subjectAltName=IP:127.0.0.1']
  try {
    const options = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '1', '-keyout', keyPath, '-out', path, ...names]
    execFileSync('openssl', options, { stdio: 'ignore' })
  } catch {
    return undefined
  }
  return { key: readFileSync(keyPath, 'utf8'), cert: readFileSync(path, 'utf8'), path }
}

export async function chromaProxy(options: ProxyOptions = {}): Promise<ChromaProxy> {
  const requests: ProxyRequest[] = []
  const onRequest = async (incoming: IncomingMessage, response: ServerResponse): Promise<void> => {
    const body = await textOf(incoming)
    const asked = { method: incoming.method ?? '', path: incoming.url ?? '', headers: incoming.headers, body }
    requests.push(asked)
    const answer = options.token !== undefined && !isAllowed(asked.headers, options.token) ? { status: 401, body: 'SECRET' } : options.answer?.(asked)
    if (answer === 'hang') return
    if (answer === 'reset') return void incoming.socket.destroy()
    if (answer === undefined && options.target !== undefined) return forward(options.target, asked, response)
    const { status, body: given = {}, headers = {} } = answer ?? { status: 404 }
    response.writeHead(status, { 'content-type': typeof given === 'string' ? 'text/html' : 'application/json', ...headers })
    response.end(typeof given === 'string' ? given : JSON.stringify(given))
  }
  const handle = (incoming: IncomingMessage, response: ServerResponse): void => void onRequest(incoming, response)
  const server = options.tls === undefined ? createPlain(handle) : createSecure(options.tls, handle)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  return {
    url: `${options.tls === undefined ? 'http' : 'https'}://127.0.0.1:${port}`,
    requests,
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

function isAllowed(headers: IncomingHttpHeaders, token: string): boolean {
  return headers['x-chroma-token'] === token && headers.authorization === `Bearer ${token}`
}

async function textOf(incoming: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of incoming) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString('utf8')
}

function forward(target: string, { method, path, headers, body }: ProxyRequest, response: ServerResponse): void {
  const onward = request(new URL(path, target), { method, headers: { ...headers, host: new URL(target).host } }, (answer) => {
    response.writeHead(answer.statusCode ?? 502, answer.headers)
    answer.pipe(response)
  })
  onward.on('error', () => response.destroy())
  onward.end(body)
}
