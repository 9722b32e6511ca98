/** A write that the metadata of a file do not tell, within a tick of its clock: nobody gets bytes that were not indexed, and nobody is stuck. */
import { closeSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync, writeSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { afterAll, describe, expect, it, vi } from 'vitest'
import { parseSessionId } from '../../../src/core/ids.js'
import { sessionKey } from '../../../src/core/keys.js'
import { openSessions } from '../../../src/open.js'
import type { LogStat, OpenLog } from '../../../src/storage/jsonl/log-stat.js'
import type { StoreWork } from '../../../src/storage/store.js'
import { runSessionTreeFlow } from '../../../src/tree/flow.js'
import { tempFolder } from '../../support/temp.js'
import { resultOf } from '../../support/trees.js'

vi.mock('../../../src/storage/jsonl/log-stat.js', async (load) => {
  const real = await load<typeof import('../../../src/storage/jsonl/log-stat.js')>()
  const timeless = (stat: LogStat): LogStat => ({ ...stat, mtimeMs: 1, ctimeMs: 1 })
  const openLog = (path: string, work: StoreWork): OpenLog => {
    const { fd, stat } = real.openLog(path, work)
    return { fd, stat: timeless(stat) }
  }
  return {
    ...real,
    openLog,
    statLog: (path: string) => timeless(real.statLog(path)),
    withLog: async <T>(path: string, work: StoreWork, use: (log: OpenLog) => T | Promise<T>): Promise<T> => {
      const log = openLog(path, work)
      try {
        return await use(log)
      } finally {
        closeSync(log.fd)
      }
    },
  }
})

const folder = tempFolder()
afterAll(() => folder[Symbol.dispose]())

const PI = sessionKey('pi', parseSessionId('s1'))
const at = (n: number): string => new Date(Date.parse('2026-03-01T10:00:00.000Z') + n * 1000).toISOString()
const line = (n: number, text: string): object => ({
  type: 'message',
  id: `m${n}`,
  parentId: n === 0 ? null : `m${n - 1}`,
  timestamp: at(n),
  message: { role: 'user', content: text },
})

describe('a log that was written in place unseen', () => {
  const path = join(folder.path, '--w--', '2026-03-01T10-00-00-000Z_s1.jsonl')
  const head = { type: 'session', version: 3, id: 's1', timestamp: at(0), cwd: '/w' }
  const patch = (from: string, to: string): void => {
    const fd = openSync(path, 'r+')
    writeSync(fd, to, readFileSync(path).indexOf(from))
    closeSync(fd)
  }

  it('is read anew by whoever meets a line of it that is another one now', async () => {
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, [head, line(0, 'first'), line(1, 'second')].map((one) => `${JSON.stringify(one)}\n`).join(''))
    await using sessions = await openSessions({ data: folder.path, map: 'never' })
    const textOf = async (): Promise<readonly unknown[]> => {
      const result = await runSessionTreeFlow(sessions, { session: PI })
      return [result.status, ...resultOf(result).messages.map(({ parts }) => parts[0])]
    }
    const text = (said: string): object => expect.objectContaining({ text: said })
    expect(await textOf()).toEqual(['ok', text('first'), text('second')])
    patch('second', 'SECOND')
    expect(await textOf()).toEqual(['ok', text('first'), text('SECOND')])
    patch('first', 'FIRST')
    const [status] = await textOf()
    expect(status).toBe('ok')
    expect(await textOf()).toEqual(['ok', text('FIRST'), text('SECOND')])
    rmSync(path)
  })
})
