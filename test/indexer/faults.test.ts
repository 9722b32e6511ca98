/** Whose fault a failure is, and that nothing of a session or a server gets into its words. */
import { describe, expect, it } from 'vitest'
import { type ErrorCode, StorageError } from '../../src/core/errors.js'
import { deferralMs, faultOf, outside } from '../../src/indexer/faults.js'

const systemError = (code: string): Error => Object.assign(new Error('words of a server'), { code })

describe('whose fault a failure is', () => {
  const cases: [string, unknown, string][] = [
    ...(['EMBEDDER_UNAVAILABLE', 'EMBEDDER_REFUSED', 'EMBEDDER_CHANGED', 'SINK_UNAVAILABLE', 'SINK_MISMATCH'] as ErrorCode[]).map(
      (code): [string, unknown, string] => [code, new StorageError(code, { reason: 'x' }), 'service'],
    ),
    ...(['TEXT_REFUSED', 'TEXT_TOO_LONG', 'EMBEDDING_INVALID'] as ErrorCode[]).map((code): [string, unknown, string] => [
      code,
      new StorageError(code, { reason: 'x' }),
      'text',
    ]),
    ['a refused document', new StorageError('SINK_REFUSED', { reason: 'x', key: 'local~a~0' }), 'text'],
    ['refused credentials', new StorageError('SINK_REFUSED', { reason: 'x' }), 'service'],
    ['another code', new StorageError('SINK_FAILED', { reason: 'x' }), 'unknown'],
    ['ECONNREFUSED', systemError('ECONNREFUSED'), 'service'],
    ['ECONNRESET', systemError('ECONNRESET'), 'service'],
    ['ETIMEDOUT', systemError('ETIMEDOUT'), 'service'],
    ['a cause', new Error('x', { cause: systemError('UND_ERR_SOCKET') }), 'service'],
    ['several addresses', new TypeError('x', { cause: new AggregateError([systemError('ECONNREFUSED')]) }), 'service'],
    ['fetch', new TypeError('fetch failed'), 'service'],
    ['a timeout', new DOMException('late', 'TimeoutError'), 'service'],
    ['a file', systemError('ENOENT'), 'unknown'],
    ['an error', new TypeError('x is not a function'), 'unknown'],
    ['no error', 'fetch failed', 'unknown'],
    ['nothing', undefined, 'unknown'],
  ]
  it.each(cases)('%s', (_, error, fault) => expect(faultOf(error)).toBe(fault))

  it('is told of causes in a circle too', () => {
    const error = new Error('x')
    error.cause = error
    expect(faultOf(error)).toBe('unknown')
  })
})

describe('a failure of a call', () => {
  const failed = async (code: 'EMBEDDER_FAILED' | 'SINK_FAILED', error: unknown) => {
    const thrown = await outside(code, () => Promise.reject(error)).catch((thrown: unknown) => thrown)
    return thrown instanceof StorageError ? [thrown.code, thrown.reason] : thrown
  }
  it('repeats no word of what was thrown', async () => {
    expect(await failed('SINK_FAILED', new Error('SECRET'))).toEqual(['SINK_FAILED', 'the sink failed (Error)'])
    expect(await failed('EMBEDDER_FAILED', 'SECRET')).toEqual(['EMBEDDER_FAILED', 'the embedder failed (string)'])
    expect(await failed('SINK_FAILED', systemError('ECONNRESET'))).toEqual(['SINK_UNAVAILABLE', 'the sink does not answer (ECONNRESET)'])
    expect(await failed('EMBEDDER_FAILED', new TypeError('fetch failed', { cause: systemError('ECONNREFUSED') }))).toEqual([
      'EMBEDDER_UNAVAILABLE',
      'the embedder does not answer (ECONNREFUSED)',
    ])
    const refused = new StorageError('TEXT_REFUSED', { reason: 'SECRET' })
    expect(await failed('EMBEDDER_FAILED', refused)).toEqual(['TEXT_REFUSED', 'the embedder refuses the text'])
    expect(await failed('SINK_FAILED', new StorageError('SINK_REFUSED', { reason: 'SECRET', key: 'local~a~0' }))).toEqual([
      'SINK_REFUSED',
      'the sink refuses the document',
    ])
    expect(await failed('EMBEDDER_FAILED', new StorageError('STATE_DAMAGED', { reason: 'SECRET' }))).toEqual([
      'EMBEDDER_FAILED',
      'the embedder failed (STATE_DAMAGED)',
    ])
  })
  it('keeps which document is refused', async () => {
    const refused = new StorageError('SINK_REFUSED', { reason: 'SECRET', key: 'local~a~0' })
    const thrown = await outside('SINK_FAILED', () => Promise.reject(refused)).catch((thrown: unknown) => thrown)
    expect([thrown, faultOf(thrown)]).toMatchObject([{ key: 'local~a~0' }, 'text'])
  })
  it('keeps what a port says of its service', async () => {
    const error = new StorageError('EMBEDDER_REFUSED', { reason: 'the model is missing' })
    expect(await failed('EMBEDDER_FAILED', error)).toEqual(['EMBEDDER_REFUSED', 'the model is missing'])
    const refused = new StorageError('SINK_REFUSED', { reason: 'the token is not accepted' })
    expect(await failed('SINK_FAILED', refused)).toEqual(['SINK_REFUSED', 'the token is not accepted'])
  })
})

it('a claim waits for the service that failed, at least a second', () => {
  const breaker = (retryInMs: number) => ({
    service: 'sink' as const,
    retryInMs: () => retryInMs,
    run: () => Promise.reject(),
    status: () => never(),
  })
  const breakers = { embedder: breaker(4000), sink: breaker(0) }
  expect(deferralMs(breakers, new StorageError('EMBEDDER_UNAVAILABLE', { reason: 'x' }))).toBe(4000)
  expect(deferralMs(breakers, new StorageError('SINK_UNAVAILABLE', { reason: 'x' }))).toBe(1000)
})

function never(): never {
  throw new Error('not asked')
}
