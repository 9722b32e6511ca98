/** Workers that end, hang, or talk nonsense; calls that are given up; sources that are closed. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterEach, describe, expect, it } from 'vitest'
import { parseSessionId } from '../../../src/core/ids.js'
import { type SessionKey, sessionKey } from '../../../src/core/keys.js'
import type { Store } from '../../../src/storage/store.js'
import type { StoreSource } from '../../../src/storage/store-source.js'
import type { WorkerOptions } from '../../../src/storage/worker/worker-stores.js'
import { createSessionSet } from '../../../src/tree/sessions/session-set.js'
import { tempFolder } from '../../support/temp.js'
import { storeInWorker } from '../../support/worker-stores.js'

const open: StoreSource[] = []
afterEach(async () => {
  for (const source of open.splice(0)) await source[Symbol.asyncDispose]()
})

async function started(options: WorkerOptions = {}, sessions = 3): Promise<{ source: StoreSource; store: Store }> {
  const source = storeInWorker({ kind: 'memory', sessions }, options)
  open.push(source)
  await source.refresh()
  const [store] = source.stores
  if (store === undefined) throw new Error('the worker has no store')
  return { source, store }
}

function keyOf(session: string): SessionKey {
  return sessionKey('opencode', parseSessionId(session))
}

/** What answers has answered by then, on a busy machine too; what never does costs a test as long. */
const PATIENCE_MS = 4000

const LOST = { name: 'StorageError', code: 'WORKER_LOST', retryable: true }

describe('a worker', () => {
  it.each([
    ['exits', /ended with 3/],
    ['throws', /a bug/],
    ['hangs', /revision in time/],
    ['babbles', /wrong shape/],
    ['misshapen', /revision in the wrong shape/],
    ['misshapen error', /revision in the wrong shape/],
  ])('that %s is replaced: calls in flight fail, the next one is answered', async (trap, reason) => {
    const { source, store } = await started(trap === 'hangs' ? { timeoutMs: PATIENCE_MS } : {})
    const listing = await store.sessions()
    const { entries: messages } = await store.messages(keyOf('ses_1'))
    const work = { ...store.work }
    const others = [store.revision(keyOf('silent')), store.totals()]
    const calls = await Promise.allSettled([store.revision(keyOf(trap)), ...others])
    for (const call of calls) expect(call).toMatchObject({ status: 'rejected', reason: LOST })
    expect(calls.some((call) => call.status === 'rejected' && reason.test(call.reason.reason))).toBe(true)
    expect((await store.messages(keyOf('ses_1'), { previous: messages })).entries).toEqual(messages)
    expect(store.work.rows).toBeGreaterThanOrEqual(work.rows)
    expect(await store.sessions()).toEqual(listing)
    await source.refresh()
    expect(source.stores).toEqual([store])
    expect(source.stores[0]).toBe(store)
  })

  it('is replaced when one call is not answered in time, though it answers others', async () => {
    const { store } = await started({ timeoutMs: PATIENCE_MS })
    const silent = store.revision(keyOf('silent'))
    silent.catch(() => undefined)
    expect(await store.messageCounts([keyOf('ses_0')])).toEqual([2])
    await expect(silent).rejects.toMatchObject(LOST)
    expect(await store.messageCounts([keyOf('ses_0')])).toEqual([2])
  })

  it('is not replaced when it was this thread that stood still', async () => {
    const { store } = await started({ timeoutMs: 2000 })
    const counts = store.messageCounts([keyOf('ses_0')])
    const until = performance.now() + 2500
    for (let turn = 0; turn < 10; turn++) await Promise.resolve()
    while (performance.now() < until);
    expect(await counts).toEqual([2])
  })

  it('may be lost time and again', async () => {
    const { store } = await started()
    for (let round = 0; round < 3; round++) {
      await expect(store.revision(keyOf('exits'))).rejects.toMatchObject(LOST)
      expect((await store.sessions()).entries.length).toBe(3)
    }
  })

  it('leaves a set of sessions what it had listed, with an issue, until it is back', async () => {
    const { source } = await started()
    open.pop()
    await using sessions = await createSessionSet(source)
    const [store] = sessions.stores
    const before = sessions.index.sessionsByTime()
    const [failed] = await Promise.allSettled([store?.revision(keyOf('exits')), sessions.refresh().catch(() => undefined)])
    expect(failed).toMatchObject({ status: 'rejected', reason: LOST })
    expect(sessions.index.sessionsByTime()).toEqual(before)
    await sessions.refresh()
    expect(sessions.index.sessionsByTime()).toEqual(before)
    expect(sessions.issues).toEqual([])
  })

  it('that cannot be started is lost too, and says where its file should be', async () => {
    const source = storeInWorker({ kind: 'memory', sessions: 1 }, { entry: new URL('file:///nowhere/at-all.mjs') })
    open.push(source)
    for (let round = 0; round < 2; round++) {
      await expect(source.refresh()).rejects.toMatchObject({ ...LOST, reason: expect.stringContaining('nowhere/at-all.mjs') })
    }
  })
})

describe('a worker that never comes up', () => {
  it('is started again less and less often, however often it is asked for', async () => {
    using folder = tempFolder()
    const [main, starts] = [join(folder.path, 'main.mjs'), join(folder.path, 'starts')]
    writeFileSync(main, `import { appendFileSync } from 'node:fs'\nappendFileSync(${JSON.stringify(starts)}, '.')\nthrow new Error('no luck')\n`)
    const source = storeInWorker({ kind: 'memory', sessions: 1 }, { entry: pathToFileURL(main) })
    open.push(source)
    const from = performance.now()
    let asked = 0
    for (; performance.now() - from < 1000 || asked < 20; asked++) {
      await expect(source.refresh()).rejects.toMatchObject({ ...LOST, reason: expect.stringContaining('no luck') })
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
    const begun = readFileSync(starts, 'utf8').length
    expect(asked).toBeGreaterThan(begun)
    // The pauses between them are of 100 ms, 200 ms, 400 ms ...
    expect(begun).toBeLessThanOrEqual(1 + Math.log2(1 + (performance.now() - from) / 100))
  })
})

describe('an error of a store', () => {
  it('crosses with all it says', async () => {
    const { store } = await started()
    const details = { reason: 'it failed', path: '/a/path', key: 'a key', offset: 7, advice: 'Do something.' }
    const message = 'it failed (/a/path). Do something.'
    await expect(store.revision(keyOf('fails'))).rejects.toMatchObject({
      name: 'StorageError',
      code: 'STORE_BUSY',
      retryable: true,
      message,
      ...details,
    })
  })

  it('that is a bug crosses as what it is, and the worker stays', async () => {
    const { store } = await started()
    await expect(store.revision(keyOf('bug'))).rejects.toMatchObject({ name: 'TypeError', message: 'x is not a function' })
    expect(await store.messageCounts([keyOf('ses_0')])).toEqual([2])
  })
})

describe('a call', () => {
  it('that is given up ends at once, there and here', async () => {
    const { store } = await started()
    const controller = new AbortController()
    const totals = store.totals({ signal: controller.signal })
    while (JSON.parse((await store.stamp?.()) ?? '').waiting === 0);
    controller.abort(new Error('enough'))
    await expect(totals).rejects.toThrow('enough')
    expect(JSON.parse((await store.stamp?.()) ?? '')).toMatchObject({ cancelled: 1 })
    await expect(store.sessions({ signal: AbortSignal.abort(new Error('before')) })).rejects.toThrow('before')
  })

  it('that is given up while another one waits leaves that one alone', async () => {
    const { store } = await started()
    const controller = new AbortController()
    const lists = [store.sessions({ signal: controller.signal }), store.sessions()]
    controller.abort(new Error('enough'))
    await expect(lists[0]).rejects.toThrow('enough')
    expect((await lists[1])?.entries.length).toBe(3)
  })

  it('fails when its source is closed meanwhile, and so does every later one', async () => {
    const { source, store } = await started()
    const calls = [store.totals(), store.revision(keyOf('silent'))]
    const closed = { code: 'SET_CLOSED', retryable: false, reason: 'the set of sessions was closed' }
    const settled = Promise.allSettled(calls)
    await store.messageCounts([])
    await Promise.all([source[Symbol.asyncDispose](), source[Symbol.asyncDispose]()])
    for (const call of await settled) expect(call).toMatchObject({ status: 'rejected', reason: closed })
    await expect(store.sessions()).rejects.toMatchObject(closed)
    await expect(source.refresh()).rejects.toMatchObject(closed)
  })

  it('that hangs does not keep its source from being closed', async () => {
    const { source, store } = await started()
    const call = store.revision(keyOf('hangs'))
    call.catch(() => undefined)
    await new Promise((resolve) => setTimeout(resolve, 50))
    await source[Symbol.asyncDispose]()
    await expect(call).rejects.toMatchObject({ code: 'SET_CLOSED' })
  })
})
