/** What reads everything says so when the set is closed meanwhile, or its worker is lost: a part of it is not all, and nothing is damaged. */
import { describe, expect, it } from 'vitest'
import { StorageError } from '../../src/core/errors.js'
import type { Store } from '../../src/storage/store.js'
import { findSessionsContaining, grepSessions } from '../../src/tree/grep/grep.js'
import { createSessionSet } from '../../src/tree/sessions/session-set.js'
import type { Sessions } from '../../src/tree/sessions/sessions.js'
import { describeStores } from '../../src/tree/sessions/stores.js'
import { verifyStores } from '../../src/tree/verify.js'
import { conversation, corpusSession } from '../support/corpus.js'
import { jsonFixture, sqliteFixture } from '../support/store-fixtures.js'
import { setOf } from '../support/trees.js'
import { storeInWorker } from '../support/worker-stores.js'

const START = Date.parse('2026-03-01T10:00:00Z')
const CORPUS = Array.from({ length: 4 }, (_, n) => corpusSession(START + n * 60_000, conversation(START + n * 60_000 + 1, 2)))
const CLOSED = { code: 'SET_CLOSED', retryable: false, reason: 'the set of sessions was closed' }

type Opened = Pick<AsyncDisposable, typeof Symbol.asyncDispose> & { readonly set: Sessions }

const WAYS: readonly (readonly [string, () => Promise<Opened>])[] = [
  ['files', () => openFixture(jsonFixture(CORPUS))],
  ['a database', () => openFixture(sqliteFixture('1.18')(CORPUS))],
  ['a worker', async () => opened(await createSessionSet(storeInWorker({ kind: 'memory', sessions: 4 })))],
]

async function openFixture(fixture: ReturnType<typeof jsonFixture>): Promise<Opened> {
  return opened(await setOf(await fixture.open()), fixture)
}

function opened(set: Sessions, fixture?: Disposable): Opened {
  return {
    set,
    async [Symbol.asyncDispose]() {
      await set.close()
      fixture?.[Symbol.dispose]()
    },
  }
}

async function drained(items: AsyncIterable<unknown>, each: () => Promise<void> = async () => undefined): Promise<void> {
  for await (const _ of items) await each()
}

describe.each(WAYS)('a set of %s that is closed', (_, open) => {
  it.each([
    ['grep', (set: Sessions, onIssue: () => void) => grepSessions(set, /./, { onIssue })],
    ['finding sessions', (set: Sessions, onIssue: () => void) => findSessionsContaining(set, /./, { onIssue })],
  ])('ends %s with an error, during it and before', async (_, search) => {
    await using at = await open()
    let issues = 0
    const onIssue = (): void => {
      issues++
    }
    await expect(drained(search(at.set, onIssue), () => at.set.close())).rejects.toMatchObject(CLOSED)
    await expect(drained(search(at.set, onIssue))).rejects.toMatchObject(CLOSED)
    expect(issues).toBe(0)
  })

  it('ends verifying with an error, during it and before', async () => {
    await using at = await open()
    const verifying = verifyStores(at.set)
    verifying.catch(() => undefined)
    await at.set.close()
    await expect(verifying).rejects.toMatchObject(CLOSED)
    await expect(verifyStores(at.set)).rejects.toMatchObject(CLOSED)
  })
})

describe.each(WAYS)('describing the stores of a set of %s', (_, open) => {
  it('ends with an error when it is closed, during it and before', async () => {
    await using at = await open()
    const describing = describeStores(at.set)
    describing.catch(() => undefined)
    await at.set.close()
    await expect(describing).rejects.toMatchObject(CLOSED)
    await expect(describeStores(at.set)).rejects.toMatchObject(CLOSED)
  })
})

describe('verifying while a worker is lost', () => {
  async function losing(times: number): Promise<Opened> {
    const fixture = jsonFixture(CORPUS)
    const store = await fixture.open()
    const census = store.census.bind(store)
    let lost = 0
    const failing: Store['census'] = async function* (...given) {
      yield* census(...given)
      if (lost++ < times) throw new StorageError('WORKER_LOST', { reason: 'it ended' })
    }
    return opened(await setOf(Object.assign(store, { census: failing })), fixture)
  }

  it('reads the store once more, from its beginning', async () => {
    await using at = await losing(1)
    const { total } = await verifyStores(at.set)
    expect([total.sessions, total.damaged]).toEqual([CORPUS.length, 0])
  })

  it('is lost with it the second time', async () => {
    await using at = await losing(2)
    await expect(verifyStores(at.set)).rejects.toMatchObject({ code: 'WORKER_LOST', retryable: true })
  })
})
