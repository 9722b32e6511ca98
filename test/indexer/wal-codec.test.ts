import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { decodeWal, encodeWal, encodeWalAside, WAL_VERSION } from '../../src/indexer/state/wal-codec.js'
import { walRecord } from '../contracts/state.js'
import { keyOf } from '../support/index-world.js'

const metadata = {
  agent: 'opencode' as const,
  session_id: 'ses_a',
  message_id: 'msg_1',
  chunk: 0,
  role: 'user',
  created_at: 1,
  text_hash: 'h',
  project_id: 'p',
  directory: '/d',
  title: 't',
  source: 'memory',
  rev: 1,
  space: '',
}
const rowsOf = (texts: readonly string[]) => texts.map((text, vector) => ({ id: `doc-${vector}`, text, vector, metadata }))
const sample = () => walRecord({ rows: rowsOf(['one', 'two']), dimensions: 3, matrix: Float32Array.of(1, 2, 3, -4, 0.25, 1e-30) })

describe('a WAL record', () => {
  it.each([1, 100, 100_000])('is the same bytes packed beside the event loop, which goes on (%i letters)', async (letters) => {
    const text = Array.from({ length: letters }, (_, i) => String.fromCharCode(97 + ((i * i) % 26))).join('')
    const record = walRecord({ rows: rowsOf([text, 'two']), dimensions: 1, matrix: Float32Array.of(1, 2) })
    const now = encodeWal(record)
    let turned = false
    setImmediate(() => {
      turned = true
    })
    const packing = encodeWalAside(record)
    record.matrix.fill(7)
    expect(await packing).toEqual(now)
    expect(turned).toBe(letters > 10_000)
  })

  it('comes back as it was', () => {
    const anyRecord = fc.record({
      key: fc.constant(keyOf('ses_é')),
      texts: fc.array(fc.string({ unit: 'binary', maxLength: 400 }), { maxLength: 6 }),
      deletes: fc.array(fc.string()),
      value: fc.float({ noNaN: true, noDefaultInfinity: true }),
    })
    fc.assert(
      fc.property(anyRecord, ({ key, texts, deletes, value }) => {
        const record = walRecord({ key, rows: rowsOf(texts), deletes, dimensions: 4, matrix: new Float32Array(texts.length * 4).fill(value) })
        expect(decodeWal(encodeWal(record))).toEqual(record)
      }),
      { numRuns: 100 },
    )
  })

  it('costs little more than its numbers and its deflated text', () => {
    const matrix = new Float32Array(32 * 1024).fill(0.5)
    const { head, matrix: bytes } = encodeWal(
      walRecord({ rows: rowsOf(Array.from({ length: 32 }, () => 'text '.repeat(400))), dimensions: 1024, matrix }),
    )
    expect(bytes.length).toBe(matrix.byteLength + 32)
    expect(head.length).toBeLessThan(4000)
  })

  it('[F35] with any byte changed is damaged, never read as something else', () => {
    const whole = encodeWal(sample())
    for (const part of ['head', 'matrix'] as const) {
      for (let at = 0; at < whole[part].length; at++) {
        const bytes = Buffer.from(whole[part])
        bytes[at] = (bytes[at] ?? 0) ^ 0x10
        // A greater version is for a newer reader.
        const code = at === 4 || at === 5 ? 'STATE_TOO_NEW' : 'WAL_DAMAGED'
        expect(() => decodeWal({ ...whole, [part]: bytes }), `${part} byte ${at}`).toThrow(expect.objectContaining({ code }))
      }
    }
  })

  it('[F35] cut or lengthened anywhere is damaged', () => {
    const whole = encodeWal(sample())
    for (const part of ['head', 'matrix'] as const) {
      for (let length = 0; length < whole[part].length; length++) {
        const cut = { ...whole, [part]: whole[part].subarray(0, length) }
        expect(() => decodeWal(cut)).toThrow(expect.objectContaining({ code: 'WAL_DAMAGED' }))
      }
      const longer = { ...whole, [part]: Buffer.concat([whole[part], Buffer.alloc(4)]) }
      expect(() => decodeWal(longer)).toThrow(expect.objectContaining({ code: 'WAL_DAMAGED' }))
    }
    expect(() => decodeWal({ head: whole.head, matrix: undefined })).toThrow(expect.objectContaining({ code: 'WAL_DAMAGED' }))
    expect(() => decodeWal({ head: undefined, matrix: whole.matrix })).toThrow(expect.objectContaining({ code: 'WAL_DAMAGED' }))
  })

  it.each([Number.NaN, Number.POSITIVE_INFINITY])('[F35] with %s among its numbers is damaged', (value) => {
    const bytes = encodeWal(walRecord({ dimensions: 2, matrix: Float32Array.of(1, value) }))
    expect(() => decodeWal(bytes)).toThrow(expect.objectContaining({ code: 'WAL_DAMAGED' }))
  })

  it('whose rows name vectors it does not hold is damaged', () => {
    const bytes = encodeWal(walRecord({ rows: rowsOf(['one', 'two']), dimensions: 2, matrix: Float32Array.of(1, 2) }))
    expect(() => decodeWal(bytes)).toThrow(expect.objectContaining({ code: 'WAL_DAMAGED' }))
  })

  it('[F27] of a newer version is too new whatever else it holds', () => {
    const { head, matrix } = encodeWal(sample())
    for (const bytes of [head, matrix]) bytes.writeUInt16LE(WAL_VERSION + 1, 4)
    head.fill(0xff, 16)
    expect(() => decodeWal({ head, matrix })).toThrow(expect.objectContaining({ code: 'STATE_TOO_NEW' }))
  })
})
