/** States of earlier schemas. `schema-1.mdb.gz` was written by the code of then: a session of each kind, see the names. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import type { MessageId } from '../../src/core/ids.js'
import { spaceIdOf } from '../../src/indexer/space.js'
import { openLmdbState } from '../../src/indexer/state/lmdb/state.js'
import type { LocalIndexStore } from '../../src/indexer/state/state.js'
import { claimed, LEASE_MS, MAX_DELAY_MS } from '../contracts/state-stage.js'
import { fakeClock, fakeOwners, keyOf, START, tempFolder } from '../support/index-world.js'

const FIXTURE = gunzipSync(readFileSync(new URL('../support/states/schema-1.mdb.gz', import.meta.url)))
const SPACE = 'hash:16'
const IDENTITY = { space: SPACE, namespace: 'local' }
const [DONE, PENDING, GONE, DEAD, LEASED, NEW] = ['ses_done', 'ses_pending', 'ses_gone', 'ses_dead', 'ses_leased', 'ses_new'].map(keyOf)
const LIVE = { id: spaceIdOf(SPACE), space: SPACE, state: 'live' }

async function opened(folder: { readonly path: string }, failpoint?: (name: string) => void) {
  const directory = join(folder.path, 'index')
  mkdirSync(directory, { recursive: true })
  const clock = fakeClock()
  Object.assign(clock, { wall: START + 2000, mono: 1_002_000 })
  const dead = new Set<number>()
  const open = (): Promise<LocalIndexStore> =>
    openLmdbState({ directory, clock, owners: fakeOwners(2, dead), leaseMs: LEASE_MS, maxDelayMs: MAX_DELAY_MS, failpoint })
  return { directory, clock, dead, open }
}

async function migrated(folder: { readonly path: string }) {
  const place = await opened(folder)
  writeFileSync(join(place.directory, 'state.mdb'), FIXTURE)
  return { ...place, state: await place.open() }
}

describe('a state of schema 1', () => {
  it('goes on where it was', async () => {
    using folder = tempFolder()
    const { state, clock } = await migrated(folder)
    await using _state = state
    expect(state.identity()).toEqual(IDENTITY)
    expect(state.spaces()).toEqual([{ ...LIVE, createdAt: clock.wall }])
    expect(state.status()).toMatchObject({
      queue: { ready: 3, leased: 1, backoff: 1 },
      wal: { records: 1, bytes: 341, oldestAgeMs: 1000 },
      ledger: { sessions: 6, messages: 3, documents: 4, quarantined: 0, truncatedBytes: 7 },
      dead: 1,
      toRebuild: 0,
      suspects: 0,
      oldestPendingAgeMs: 1000,
      lastError: { code: 'SINK_FAILED', at: START + 1000 },
      counters: { embedded: 1, commits: 3, upserts: 1, failures: 1, quarantined: 1, claims: 0 },
    })
    expect(state.sessions().map(({ key, gone, stranded }) => [key.session, gone, stranded])).toEqual([
      ['ses_dead', false, false],
      ['ses_done', false, false],
      ['ses_gone', true, false],
      ['ses_leased', false, false],
      ['ses_new', false, false],
      ['ses_pending', false, false],
    ])
    expect(await state.bind(IDENTITY)).toMatchObject(LIVE)
    await expect(state.bind({ ...IDENTITY, namespace: 'other' })).rejects.toMatchObject({ code: 'INVALID_OPTION' })
  })

  it('keeps its ledger under the live space, and lets what was done rest', async () => {
    using folder = tempFolder()
    const { state } = await migrated(folder)
    await using _state = state
    const row = { signature: 'v1', textHash: 'hash', chunks: ['k1', 'k2'], state: 'settled', meta: 'meta', at: START, rev: 0 }
    expect([...state.ledger(DONE ?? keyOf(''), LIVE.id)]).toEqual([
      ['msg_1', row],
      ['msg_2', { ...row, state: 'empty', textHash: '', chunks: [], truncatedBytes: 7 }],
    ])
    const seen = { key: DONE ?? keyOf(''), revision: 'r1', meta: 'm', store: '/store' }
    const before = state.status().queue
    await state.observe({ seen: [seen], gone: [] })
    expect(state.status().queue).toEqual(before)
  })

  it('hands its pending record on, which goes into the ledger of the live space', async () => {
    using folder = tempFolder()
    const { state, clock } = await migrated(folder)
    await using _state = state
    expect(state.pending()).toMatchObject([{ key: PENDING, documents: 1, project: 'project', createdAt: START + 1000, bytes: 341 }])
    clock.advance(MAX_DELAY_MS)
    const claim = await claimed(state, PENDING)
    expect(claim).toMatchObject({ lane: 'replay', space: LIVE.id, failures: 1, crashes: 0 })
    const record = state.walRead(claim.wal ?? 0)
    expect(record).toMatchObject({ key: PENDING, space: '', dead: [], rows: [{ id: 'doc-ses_pending', text: 'text' }] })
    await state.commit(claim, { wal: { seq: claim.wal ?? 0, record, replayed: true } })
    expect(state.ledger(claim.key).get('msg_1' as MessageId)).toMatchObject({ signature: 'v1', rev: 0 })
    expect(state.status()).toMatchObject({ wal: { records: 0, bytes: 0 }, ledger: { messages: 4, documents: 6 } })
  })

  it('goes on removing what was gone', async () => {
    using folder = tempFolder()
    const { state } = await migrated(folder)
    await using _state = state
    const claim = await claimed(state, undefined, { lanes: ['replay'] })
    expect(claim).toMatchObject({ key: GONE, gone: true })
    await state.commit(claim, { drop: ['msg_1' as MessageId] })
    expect(await state.remove(claim)).toBe(true)
    expect(state.status().ledger).toMatchObject({ sessions: 5, messages: 2 })
  })

  it('keeps its leases, and the tokens rise', async () => {
    using folder = tempFolder()
    const { state, clock, dead } = await migrated(folder)
    await using _state = state
    expect(state.status().leases).toMatchObject([{ key: LEASED, pid: 1 }])
    const { token } = await claimed(state, NEW)
    expect(token).toBe(6)
    dead.add(1)
    expect(await state.sweep()).toBe(1)
    expect(await claimed(state, LEASED)).toMatchObject({ revision: 'r2', crashes: 1, verify: undefined })
    expect(clock.wall).toBe(START + 2000)
  })

  it('keeps what was put aside, which can be tried again now', async () => {
    using folder = tempFolder()
    const { state } = await migrated(folder)
    await using _state = state
    expect(state.deadLetters()).toMatchObject([{ kind: 'record', key: DEAD, code: 'WAL_DAMAGED', at: START + 1000 }])
    const claim = await claimed(state, DEAD)
    expect(claim.verify).toBe(1)
    await state.release(claim, { kind: 'done', verified: claim.verify })
    expect(await state.retryDead()).toBe(1)
    const again = await claimed(state, DEAD)
    expect(state.walRead(again.wal ?? 0)).toMatchObject({ key: DEAD, rows: [{ id: 'doc-ses_dead' }] })
  })

  it('can be built anew in another space, then', async () => {
    using folder = tempFolder()
    const { state } = await migrated(folder)
    await using _state = state
    await state.bind({ ...IDENTITY, space: 'other' }, { rebuild: true })
    expect(state.status().toRebuild).toBe(5)
  })

  it('is of schema 1 still when the process ends in the middle of it', async () => {
    using folder = tempFolder()
    const place = await opened(folder, (name) => {
      if (name === 'j') throw new Error('killed')
    })
    writeFileSync(join(place.directory, 'state.mdb'), FIXTURE)
    await expect(place.open()).rejects.toThrow('killed')
    const { open } = await opened(folder)
    await using state = await open()
    expect(state.status()).toMatchObject({ ledger: { sessions: 6, messages: 3 }, wal: { records: 1 }, queue: { leased: 1 } })
  })

  it('is moved once, however many open it', async () => {
    using folder = tempFolder()
    const { state, open } = await migrated(folder)
    await using _state = state
    await using other = await open()
    expect(other.status().ledger).toMatchObject({ sessions: 6, messages: 3, documents: 4 })
    expect(other.status().queue).toEqual({ ready: 3, leased: 1, backoff: 1 })
  })
})
