/** A listing that goes on from the one before gives what a fresh one does, and the same objects for what did not change. */
import { describe, expect, it } from 'vitest'
import { type Clock, systemClock } from '../../src/core/clock.js'
import type { SessionEntry } from '../../src/storage/store.js'
import { pastGrain } from '../support/past-grain.js'
import type { FixtureMaker } from '../support/store-fixtures.js'
import { type ContractSubject, never } from '../support/store-world.js'
import { keyOf } from '../support/trees.js'
import { workOf } from '../support/work.js'

/** A minute ahead: nothing that a test writes is as new as the look, and all of it is recent. */
const AHEAD: Clock = { ...systemClock, now: () => Date.now() + 60_000 }

export function describeChanges(make: FixtureMaker, subject: ContractSubject): void {
  const { corpus } = subject
  const [first, across] = corpus
  const plain = (entries: readonly SessionEntry[]) => entries.map(({ version: _, ...entry }) => entry)

  describe('listing again', () => {
    it('gives the very same entries while nothing is written, and opens nothing', async () => {
      using fixture = make(corpus)
      await pastGrain()
      await using store = await fixture.open(AHEAD)
      const before = await store.sessions()
      const { value: again, work } = await workOf(store, () => store.sessions({ before: { entries: before.entries, mark: before.mark } }))
      expect(again.entries.length).toBe(corpus.length)
      for (const [at, entry] of again.entries.entries()) expect(entry).toBe(before.entries[at])
      expect({ files: work.files, bytes: work.bytes, rows: work.rows }).toEqual({ files: 0, bytes: 0, rows: 0 })
    })

    it('gives another version to the session that is written to, and to no other; entries equal those of a fresh listing', async () => {
      using fixture = make(corpus)
      await pastGrain()
      await using store = await fixture.open(AHEAD)
      let before = await store.sessions()
      const time = Date.now()
      const fresh = subject.newMessage(time)
      const last = across.messages.at(-1) ?? never()
      const acts: (readonly [session: string, act: () => void])[] = [
        [first.id, () => fixture.write({ session: first.id, message: fresh.id }, JSON.stringify(fresh.data), time)],
        [first.id, () => fixture.write({ session: first.id, message: fresh.id }, JSON.stringify({ ...fresh.data, more: 'of it' }), time + 5)],
        [first.id, () => fixture.remove({ session: first.id, message: fresh.id })],
        [across.id, () => fixture.write({ session: across.id, message: last.id }, '{"cut', time + 10)],
        [across.id, () => fixture.remove({ session: across.id, message: last.id })],
      ]
      // What nobody touches lately is not looked at so closely, so the session is made hot first.
      for (const [session, act] of [[across.id, () => touch(across.id)] as const, ...acts]) {
        act()
        await pastGrain()
        const now = await store.sessions({ before: { entries: before.entries, mark: before.mark } })
        const versions = new Map(before.entries.map((entry) => [entry.key.session as string, entry]))
        const moved = now.entries.filter((entry) => versions.get(entry.key.session) !== entry)
        expect(moved.map(({ key }) => key.session)).toEqual([session])
        expect(moved[0]?.version).not.toBe(versions.get(session)?.version)
        const other = await fixture.open(AHEAD)
        expect(plain(now.entries)).toEqual(plain((await other.sessions()).entries))
        if (other !== store) await other[Symbol.asyncDispose]()
        before = now
      }
      function touch(session: string): void {
        const more = subject.newMessage(time - 1000)
        fixture.write({ session, message: more.id }, JSON.stringify(more.data), time - 1000)
      }
    })

    it('goes on from what another process listed', async () => {
      using fixture = make(corpus)
      await pastGrain()
      await using store = await fixture.open(AHEAD)
      const { entries, mark } = await store.sessions()
      const before = { entries: structuredClone(entries), mark }
      const time = Date.now()
      const fresh = subject.newMessage(time)
      fixture.write({ session: first.id, message: fresh.id }, JSON.stringify(fresh.data), time)
      await pastGrain()
      const later = await fixture.open(AHEAD)
      await using _ = later === store ? undefined : later
      const now = await later.sessions({ before })
      const held = new Set(before.entries)
      expect(now.entries.filter((entry) => !held.has(entry)).map(({ key }) => key.session)).toEqual([first.id])
      const again = await later.sessions({ before: now })
      for (const [at, entry] of again.entries.entries()) expect(entry).toBe(now.entries[at])
    })

    it('looks at some alone, and gives the rest back as it is', async () => {
      using fixture = make(corpus)
      await pastGrain()
      await using store = await fixture.open(AHEAD)
      const before = await store.sessions()
      const time = Date.now()
      for (const session of [first, across]) {
        const fresh = subject.newMessage(time)
        fixture.write({ session: session.id, message: `${fresh.id.slice(0, -1)}${session === first ? 1 : 2}` }, JSON.stringify(fresh.data), time)
      }
      await pastGrain()
      const some = await store.sessions({ before, only: [keyOf(first.id)] })
      const held = new Set(before.entries)
      expect(some.entries.filter((entry) => !held.has(entry)).map(({ key }) => key.session)).toEqual([first.id])
      const all = await store.sessions({ before: { entries: some.entries, mark: some.mark } })
      const seen = new Set(some.entries)
      expect(all.entries.filter((entry) => !seen.has(entry)).map(({ key }) => key.session)).toEqual([across.id])
    })

    it('trusts nothing when it is asked not to', async () => {
      using fixture = make(corpus)
      await pastGrain()
      await using store = await fixture.open(AHEAD)
      const before = await store.sessions()
      const deep = await store.sessions({ before, deep: true })
      const message = first.messages[0] ?? never()
      const time = Date.now()
      fixture.write({ session: first.id, message: message.id }, JSON.stringify({ ...message.data, changed: true }), time)
      await pastGrain()
      const now = await store.sessions({ before: deep, deep: true })
      const held = new Set(deep.entries)
      expect(now.entries.filter((entry) => !held.has(entry)).map(({ key }) => key.session)).toEqual([first.id])
    })

    it('tells with a deep look what was written between two processes, also after a plain one', async () => {
      using fixture = make(corpus)
      await pastGrain()
      await using store = await fixture.open(AHEAD)
      // What an earlier process looked at closely is what there is to hold the sessions against.
      const one = await fixture.open(AHEAD)
      await using _one = one === store ? undefined : one
      let { entries, mark } = await one.sessions({ before: await store.sessions(), deep: true })
      const message = first.messages[0] ?? never()
      for (const more of ['some', 'more']) {
        fixture.write({ session: first.id, message: message.id }, JSON.stringify({ ...message.data, more }), Date.now())
        await pastGrain()
        const held = new Map(entries.map(({ key, version }) => [key.session, version]))
        const later = await fixture.open(AHEAD)
        await using _ = later === store ? undefined : later
        const plain = await later.sessions({ before: { entries: structuredClone(entries), mark } })
        const deep = await later.sessions({ before: plain, deep: true })
        const told = deep.entries.filter(({ key, version }) => version !== held.get(key.session)).map(({ key }) => key.session)
        expect(told).toEqual([first.id])
        entries = deep.entries
        mark = deep.mark
      }
    })

    it('tells another process nothing that a deep look told before', async () => {
      using fixture = make(corpus)
      await pastGrain()
      await using store = await fixture.open(AHEAD)
      const time = Date.now()
      const fresh = subject.newMessage(time)
      let before = await store.sessions({ deep: true })
      for (const more of ['some', 'more']) {
        fixture.write({ session: first.id, message: fresh.id }, JSON.stringify({ ...fresh.data, more }), Date.now())
        await pastGrain()
        before = await store.sessions({ before, deep: true })
      }
      const held = { entries: structuredClone(before.entries), mark: before.mark }
      const later = await fixture.open(AHEAD)
      await using _ = later === store ? undefined : later
      const now = await later.sessions({ before: held })
      for (const [at, entry] of now.entries.entries()) expect(entry.version).toBe(held.entries[at]?.version)
    })

    it('does not take with it what a listing found that nobody goes on from', async () => {
      using fixture = make(corpus)
      await pastGrain()
      await using store = await fixture.open(AHEAD)
      const before = await store.sessions()
      const time = Date.now()
      const fresh = subject.newMessage(time)
      fixture.write({ session: first.id, message: fresh.id }, JSON.stringify(fresh.data), time)
      await pastGrain()
      const thrownAway = await store.sessions({ before })
      const now = await store.sessions({ before })
      for (const listing of [thrownAway, now]) {
        expect(listing.entries.filter((entry, at) => entry.version !== before.entries[at]?.version).map(({ key }) => key.session)).toEqual([first.id])
      }
    })
  })
}
